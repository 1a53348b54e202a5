package storage

import (
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// kindOf is what a type of storage knows (pve-storage 8.4, the options of each
// plugin). All have content, nodes and disabled.
type kindOf struct {
	// needs must be given, and are fixed once the storage exists.
	needs []string
	// fixed may be given, and are fixed as well.
	fixed []string
	// may be given, and can be set.
	may []string
	// content are the kinds of content that it can have.
	content []string
}

// volumes are the contents of storages that have no files.
func volumes() []string { return []string{"images", "rootdir"} }

func fileContents() []string {
	return []string{"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import"}
}

func kinds() map[string]kindOf {
	withNone := append(fileContents(), "none")
	return map[string]kindOf{
		"dir":     {needs: []string{"path"}, may: []string{"shared", "is_mountpoint", "prune_backups"}, content: withNone},
		"btrfs":   {needs: []string{"path"}, may: []string{"shared", "is_mountpoint", "prune_backups"}, content: withNone},
		"zfspool": {needs: []string{"pool"}, may: []string{"sparse", "mountpoint", "blocksize"}, content: volumes()},
		"lvmthin": {needs: []string{"vgname", "thinpool"}, content: volumes()},
		"nfs":     {needs: []string{"server", "export"}, fixed: []string{"path"}, may: []string{"options", "prune_backups"}, content: fileContents()},
		"cifs": {needs: []string{"server", "share"}, fixed: []string{"path"}, content: fileContents(),
			may: []string{"options", "username", "domain", "smbversion", "password", "prune_backups"}},
	}
}

// typeNames lists the types, for messages.
func typeNames() string { return strings.Join(tasks.Keys(kinds()), ", ") }

func (k kindOf) isFixed(path string) bool {
	return slices.Contains(k.needs, path) || slices.Contains(k.fixed, path)
}

// word is a property that is one word or line: its path, Proxmox's name for it, and
// what is wanted.
type word struct{ path, key, want string }

// words lists those of every type, the fixed ones first.
func (s *Spec) words() []word {
	return []word{
		{"path", "path", s.Path}, {"pool", "pool", s.Pool}, {"vgname", "vgname", s.VGName}, {"thinpool", "thinpool", s.ThinPool},
		{"server", "server", s.Server}, {"export", "export", s.Export}, {"share", "share", s.Share},
		{"mountpoint", "mountpoint", s.Mountpoint}, {"blocksize", "blocksize", s.Blocksize}, {"options", "options", s.Options},
		{"username", "username", s.Username}, {"domain", "domain", s.Domain}, {"smbversion", "smbversion", s.SMBVersion},
	}
}

// canonical is a form of the value in which equal ones are equal.
func (w word) canonical(v string) string {
	switch w.path {
	case "options":
		return joined(pve.SplitSet(v))
	case "blocksize":
		return strings.ToLower(v)
	case "smbversion":
		if v == "" {
			return "default"
		}
	}
	return v
}

// found is the value in storage.cfg.
func (w word) found(s pve.Storage) string {
	if w.path == "path" {
		return s.Path()
	}
	v, _ := s.Get(w.key)
	return v
}

// toggle is one boolean: its path, Proxmox's name for it, and what is wanted.
type toggle struct {
	path, key string
	want      *bool
}

func (s *Spec) switches() []toggle {
	return []toggle{
		{"shared", "shared", s.Shared},
		{"disabled", "disable", s.Disabled},
		{"is_mountpoint", "is_mountpoint", s.IsMountpoint},
		{"sparse", "sparse", s.Sparse},
	}
}
