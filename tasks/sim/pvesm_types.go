package sim

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
)

// secretsDir holds passwords of storages.
const secretsDir = "/etc/pve/priv/storage/"

// mountpoint notes where the pool of a new storage is mounted (ZFSPoolPlugin,
// on_add_hook).
func (m *Machine) mountpoint(s *storage) {
	if s.typ != "zfspool" || s.props["mountpoint"] != "" {
		return
	}
	if p, d := m.pools().find(s.props["pool"]); d != nil {
		if at, _ := p.value(s.props["pool"], "mountpoint"); path.IsAbs(at) {
			s.props["mountpoint"] = at
		}
	}
}

// activateVolumes looks whether what a storage of volumes is made of is there.
func (m *Machine) activateVolumes(s storage) error {
	switch s.typ {
	case "zfspool":
		// A dataset that is missing in the pool is not noticed.
		name, _, _ := strings.Cut(s.props["pool"], "/")
		if p := m.pools()[name]; p == nil || p.Exported {
			return fmt.Errorf("could not activate storage '%s', zfs error: cannot import '%s': no such pool available", s.id, name)
		}
	case "lvmthin":
		lv := s.props["vgname"] + "/" + s.props["thinpool"]
		if lv != "pve/data" && !m.exists("/dev/"+lv) {
			return fmt.Errorf("no such logical volume %s", lv)
		}
	}
	return nil
}

// password keeps the password that was given, or asked for on standard input, in the
// file from which Proxmox mounts (CIFSPlugin, on_add_hook).
func (c *call) password(s storage, a cliArgs) error {
	value, given := a["password"]
	if !given {
		return nil
	}
	if value == "" {
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if line == "" && err != nil {
			return errors.New("EOF while reading password")
		}
		value = strings.TrimSuffix(line, "\n")
	}
	if s.typ == "cifs" {
		value = "password=" + value
		if s.props["username"] == "" {
			c.errorf("storage %s: ignoring password parameter, no user set\n", s.id)
		}
	}
	if err := os.MkdirAll(c.m.path(secretsDir), 0o700); err != nil {
		return err
	}
	return c.m.write(secretsDir+s.id+".pw", []byte(value+"\n"), 0o600)
}
