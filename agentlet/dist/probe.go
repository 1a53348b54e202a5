package dist

import (
	"errors"
	"fmt"
)

// ErrNoProbe is the error of Probe for an architecture that there was no C compiler for
// when this phoenix was built. The helper works without; cards are then read in a poorer
// way.
var ErrNoProbe = errors.New("this phoenix was built without the GPU probe; install a C compiler for that architecture, run `make helpers`, then build it again")

// ProbeGlibc is the newest release of the GNU C library that the probe may need:
// Proxmox VE 8 has 2.36.
const ProbeGlibc = "2.34"

// Probe returns the GPU probe (cmd/agentlet-nvml) for an architecture, as Helper does the
// helper. There may be none: the error is then ErrNoProbe.
func Probe(arch string) (gz []byte, sha256hex string, err error) {
	gz, hash, err := packed(built, "agentlet-nvml", arch)
	if errors.Is(err, ErrNotBuilt) {
		return nil, "", fmt.Errorf("find agentlet-nvml for %s: %w", arch, ErrNoProbe)
	}
	return gz, hash, err
}
