package lab

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"
	"golang.org/x/crypto/ssh"
)

// By these the lab knows again what it has written: the folder may be one that somebody
// works in.
const (
	inventoryHead  = "# The lab's hosts."
	containersHead = "// One container on each host of the lab."
	keyComment     = "phoenix-lab"
	hostKeyComment = "phoenix-lab-host"
)

func writtenByLab(inventory []byte) bool { return bytes.HasPrefix(inventory, []byte(inventoryHead)) }

// notTheLabs is the refusal of a file that would be lost.
func notTheLabs(dir, name string) error {
	return fmt.Errorf("%s is not the lab's; move it away, or use another --dir", filepath.Join(dir, name))
}

// refuseForeign refuses a folder with files of the lab's names that are not the lab's,
// before anything is written there. The configurations may be anybody's: they are left
// as they are.
func refuseForeign(dir string) error {
	_, err := os.Stat(filepath.Join(dir, portsFile))
	served := err == nil // then hosts.yaml may have become the user's own, and fit all the same
	host := publicKey(dir, hostKeyFile, hostKeyComment)
	user := publicKey(dir, KeyFile, keyComment)
	for name, ours := range map[string]func(data []byte) bool{
		InventoryFile:    func(data []byte) bool { return served || writtenByLab(data) },
		KeyFile:          func([]byte) bool { return user != nil },
		hostKeyFile:      func([]byte) bool { return host != nil },
		KeyFile + ".pub": func(data []byte) bool { return user != nil && bytes.HasPrefix(data, user) },
		KnownHostsFile: func(data []byte) bool {
			return !slices.ContainsFunc(strings.Split(string(data), "\n"), func(line string) bool {
				return line != "" && (host == nil || !strings.HasSuffix(line, " "+string(host)))
			})
		},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !ours(data):
			return notTheLabs(dir, name)
		}
	}
	return nil
}

// publicKey is the public part of a private key that the lab has made, as known_hosts
// has it; nil of any other.
func publicKey(dir, name, comment string) []byte {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(data)
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil || !bytes.Contains(block.Bytes, []byte(comment)) {
		return nil
	}
	return bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey()))
}

// share says which containers each host has, as hosts.yaml writes it: those of the lab's
// own file one on each host, and all of a user's own on the first, as parents and clones
// have to be together.
func (l *Lab) share() []string {
	out := slices.Repeat([]string{"[]"}, len(l.Hosts))
	there, spread := l.configured()
	if len(l.Hosts) == 1 || !spread {
		out[0] = "all"
		return out
	}
	for i := range l.Hosts {
		if ctid := firstCTID + i; slices.Contains(there, ctid) {
			out[i] = fmt.Sprintf("[%d]", ctid)
		}
	}
	return out
}

// configured lists the containers of the LXC file; spread tells whether it is the lab's
// own. One that is still to be written has a container for each host.
func (l *Lab) configured() (ctids []int, spread bool) {
	data, err := os.ReadFile(filepath.Join(l.dir, LXCFile))
	if err != nil {
		data = []byte(l.containers())
	}
	var file struct {
		Containers map[string]json.RawMessage `json:"lxc_configs"`
	}
	spread = bytes.Contains(data, []byte(containersHead))
	plain, err := hujson.Standardize(data) // which blanks the comments in data
	if err != nil || json.Unmarshal(plain, &file) != nil {
		return nil, false
	}
	for id := range file.Containers {
		if n, err := strconv.Atoi(id); err == nil {
			ctids = append(ctids, n)
		}
	}
	return ctids, spread
}
