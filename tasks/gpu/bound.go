package gpu

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

const boundCards = "/proc/driver/nvidia/gpus"

// Bound is one card that NVIDIA's driver has.
type Bound struct {
	// Address on the bus: "0000:01:00.0".
	Address string
	// UUID is "GPU-" and a UUID in lower case; empty until a program has used the card:
	// the driver asks the card for it only then.
	UUID string
	// Minor is the number of its node, /dev/nvidiaMINOR. It is given in the order in
	// which the driver found the cards, which need not be that of their addresses.
	Minor int
}

// Node is the card's device node.
func (b Bound) Node() string { return "/dev/nvidia" + strconv.Itoa(b.Minor) }

// BoundCards lists the cards of the loaded driver in the order of their addresses, which
// is that of the indexes of nvidia-smi. Cards of virtual machines, and those that the
// driver was told to leave out, are not among them.
func BoundCards(h tasks.Host) ([]Bound, error) {
	names, err := h.ReadDir(boundCards)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no driver
	}
	if err != nil {
		return nil, fmt.Errorf("read the driver's cards: %w", err)
	}
	slices.Sort(names)
	var out []Bound
	for _, n := range names {
		at := path.Join(boundCards, n, "information")
		data, err := h.ReadFile(at)
		if err != nil {
			return nil, fmt.Errorf("read the driver's cards: %w", err)
		}
		b, excluded, err := parseInformation(string(data))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", at, err)
		}
		if b.Address = n; !excluded {
			out = append(out, b)
		}
	}
	return out, nil
}

// uuid is what the driver says of a card; question marks stand in it before the card was
// used.
var uuid = regexp.MustCompile(`^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// parseInformation reads the lines "KEY: VALUE" that the driver writes of a card. Before
// driver 470, an excluded card was called a blacklisted one.
func parseInformation(text string) (b Bound, excluded bool, err error) {
	b.Minor = -1
	for _, line := range tasks.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "GPU UUID":
			if value = "GPU-" + strings.ToLower(strings.TrimPrefix(value, "GPU-")); uuid.MatchString(value) {
				b.UUID = value
			}
		case "Device Minor":
			if b.Minor, err = strconv.Atoi(value); err != nil || b.Minor < 0 {
				return Bound{}, false, fmt.Errorf("%q is not the number of a device node", value)
			}
		case "GPU Excluded", "Blacklisted":
			excluded = value == "Yes"
		}
	}
	if b.Minor < 0 {
		return Bound{}, false, errors.New("it does not tell the number of the device node")
	}
	return b, excluded, nil
}

// ControlNodes are the device nodes that every program needs beside those of its cards.
func ControlNodes() []string {
	return []string{"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"}
}

// ModesetNode is the device node for displays, which not every machine has.
const ModesetNode = "/dev/nvidia-modeset"

var cardNode = regexp.MustCompile(`^/dev/nvidia[0-9]+$`)

// IsNode tells whether a path is the device node of a card or one that goes with them.
// Those of parts of a card, in /dev/nvidia-caps, are none.
func IsNode(p string) bool {
	return cardNode.MatchString(p) || p == ModesetNode || slices.Contains(ControlNodes(), p)
}
