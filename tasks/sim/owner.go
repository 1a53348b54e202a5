package sim

import (
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"strings"

	"phoenix/tasks"
)

// ownerFile remembers who files belong to where the process may not give them away: a
// newcomer's lab is not root. Beside the machine's own files, so that every process that
// serves the tree sees it.
const ownerFile = "/.sim/owners.json"

// mayGive tells whether files can be given away for real.
func mayGive() bool { return os.Geteuid() == 0 }

func (m *Machine) owners() map[string]tasks.Owner {
	all := make(map[string]tasks.Owner)
	data, err := m.read(ownerFile)
	if err != nil || json.Unmarshal(data, &all) != nil {
		return make(map[string]tasks.Owner)
	}
	return all
}

// remember notes an owner; nil forgets it.
func (m *Machine) remember(p string, o *tasks.Owner) error {
	return m.holding(ownerFile+".lock", func() error {
		all := m.owners()
		if o == nil {
			delete(all, p)
		} else {
			all[p] = *o
		}
		data, err := json.Marshal(all)
		if err != nil {
			return err
		}
		return m.write(ownerFile, data, 0o600)
	})
}

// give makes a file somebody's.
func (m *Machine) give(p string, o tasks.Owner) error {
	if mayGive() {
		return os.Lchown(m.path(p), o.UID, o.GID)
	}
	return m.remember(path.Clean(p), &o)
}

// giveAll gives what one user has below a folder to another number.
func (m *Machine) giveAll(dir string, from, to int) error {
	h := m.Host()
	info, err := h.Stat(dir)
	if err != nil {
		return nil // nothing there is nothing to give
	}
	if info.UID == from {
		if err := m.give(dir, tasks.Owner{UID: to, GID: info.GID}); err != nil {
			return err
		}
	}
	if !info.Mode.IsDir() {
		return nil
	}
	names, err := h.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := m.giveAll(path.Join(dir, name), from, to); err != nil {
			return err
		}
	}
	return nil
}

// Stat shows the owner that was remembered.
func (h *host) Stat(p string) (tasks.FileInfo, error) {
	info, err := h.Host.Stat(p)
	if err == nil && !mayGive() {
		if o, known := h.m.owners()[path.Clean(p)]; known {
			info.UID, info.GID = o.UID, o.GID
		}
	}
	return info, err
}

// writeOwned makes a change whose owner cannot be set, and remembers the owner. What is
// below /etc/pve has none of its own.
func (h *host) writeOwned(e tasks.Edit, write func(tasks.Edit) error) error {
	owner, at := e.Owner, h.m.behind(path.Clean(e.Path))
	e.Owner = nil
	if err := write(e); err != nil || strings.HasPrefix(at, "/etc/pve/") {
		return err
	}
	if e.Verb == tasks.VerbRemove || owner != nil {
		return h.m.remember(at, owner)
	}
	return nil
}

// behind is where a link at the end of a path leads.
func (m *Machine) behind(p string) string {
	for range 8 {
		info, err := os.Lstat(m.path(p))
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return p
		}
		target, err := os.Readlink(m.path(p))
		if err != nil {
			return p
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(p), target)
		}
		p = path.Clean(target)
	}
	return p
}
