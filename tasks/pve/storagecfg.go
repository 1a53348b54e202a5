package pve

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
)

// StorageCfgPath is where Proxmox keeps the storages of the cluster.
const StorageCfgPath = "/etc/pve/storage.cfg"

// localPath is the only path that the storage "local" can have.
const localPath = "/var/lib/vz"

// StorageCfg is every storage that Proxmox knows, in the order of the file.
type StorageCfg []Storage

// Storage is one section of storage.cfg: "TYPE: ID" and its indented properties.
type Storage struct {
	Type, ID string
	// Implicit is set for the storage "local" when the file does not have it.
	Implicit bool
	props    []property
}

type property struct{ key, value string }

// ParseStorageCfg reads Proxmox's section format as pve-common's SectionConfig
// does: a header at column 0, properties indented by blanks, a section ends at an
// empty line, "#" lines are ignored, a key alone means 1. A "local" that is missing,
// or is not the directory /var/lib/vz, is replaced by the implicit one
// (pve-storage, PVE::Storage::Plugin parse_config). An error names the line.
func ParseStorageCfg(data []byte) (StorageCfg, error) {
	var cfg StorageCfg
	inside := false
	for i, raw := range tasks.Lines(string(data)) {
		line := strings.TrimRight(raw, "\r\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			inside = false
		case line[0] == ' ' || line[0] == '\t':
			if !inside {
				return nil, fmt.Errorf("read storage.cfg: line %d is a property outside of a section: %q", i+1, line)
			}
			s := &cfg[len(cfg)-1]
			s.props = append(s.props, parseProperty(line))
		default:
			s, ok := parseHeader(line)
			if !ok {
				return nil, fmt.Errorf("read storage.cfg: line %d is no section header (want TYPE: ID): %q", i+1, line)
			}
			cfg, inside = append(cfg, s), true
		}
	}
	return cfg.withLocal(), nil
}

func parseHeader(line string) (Storage, bool) {
	kind, id, ok := strings.Cut(line, ":")
	kind, id = strings.TrimSpace(kind), strings.TrimSpace(id)
	if !ok || kind == "" || id == "" || strings.ContainsAny(id, " \t") {
		return Storage{}, false
	}
	return Storage{Type: kind, ID: id}, true
}

func parseProperty(line string) property {
	line = strings.TrimSpace(line)
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return property{line, "1"}
	}
	return property{line[:i], strings.TrimSpace(line[i:])}
}

func (c StorageCfg) withLocal() StorageCfg {
	i := slices.IndexFunc(c, func(s Storage) bool { return s.ID == "local" })
	if i >= 0 {
		path, has := c[i].Get("path")
		if c[i].Type == "dir" && (!has || path == localPath) {
			if !has {
				c[i].props = append(c[i].props, property{"path", localPath})
			}
			return c
		}
		c = slices.Delete(c, i, i+1)
	}
	return append(StorageCfg{{Type: "dir", ID: "local", Implicit: true, props: []property{
		{"path", localPath},
		{"content", "backup,images,iso,rootdir,snippets,vztmpl"},
		{"prune-backups", "keep-all=1"},
	}}}, c...)
}

// ReadStorageCfg reads the storages of the machine. A missing file means only the
// implicit "local".
func ReadStorageCfg(h tasks.Host) (StorageCfg, error) {
	data, err := tasks.ReadTable(h, StorageCfgPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", StorageCfgPath, err)
	}
	return ParseStorageCfg(data)
}

// Find returns the storage with the given ID.
func (c StorageCfg) Find(id string) (Storage, bool) {
	i := slices.IndexFunc(c, func(s Storage) bool { return s.ID == id })
	if i < 0 {
		return Storage{}, false
	}
	return c[i], true
}

// IDs lists the storages in the order of the file, for messages.
func (c StorageCfg) IDs() []string {
	out := make([]string, len(c))
	for i, s := range c {
		out[i] = s.ID
	}
	return out
}

// Get returns a property as written; the last one where it is repeated.
func (s Storage) Get(key string) (string, bool) {
	for i := len(s.props) - 1; i >= 0; i-- {
		if s.props[i].key == key {
			return s.props[i].value, true
		}
	}
	return "", false
}

// Bool reads a switch; a missing one is off. A path, which is_mountpoint may have,
// is on.
func (s Storage) Bool(key string) bool {
	v, _ := s.Get(key)
	on, _ := ParseBool(v)
	return on || strings.HasPrefix(v, "/")
}

// Set reads a list as a sorted set, since Proxmox writes lists in random order.
func (s Storage) Set(key string) []string {
	v, _ := s.Get(key)
	return SplitSet(v)
}

// SplitSet splits a list at commas, semicolons and blanks, and sorts it.
func SplitSet(v string) []string {
	out := strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(",; \t", r) })
	slices.Sort(out)
	return slices.Compact(out)
}

// Content is what may be kept on the storage, sorted. Where the file does not say,
// it is the default of the type (pve-storage 8.4).
func (s Storage) Content() []string {
	if set := s.Set("content"); len(set) > 0 {
		return set
	}
	switch s.Type {
	case "lvm", "nfs", "cifs", "rbd", "iscsi", "iscsidirect", "glusterfs":
		return []string{"images"}
	case "pbs", "cephfs":
		return []string{"backup"}
	}
	return []string{"images", "rootdir"}
}

// Allows tells whether the kind of content may be kept on the storage.
func (s Storage) Allows(content string) bool { return slices.Contains(s.Content(), content) }

// Path is the directory of a storage that keeps files, and "" for the others.
func (s Storage) Path() string {
	if p, ok := s.Get("path"); ok {
		return p
	}
	switch s.Type {
	case "nfs", "cifs", "cephfs", "glusterfs":
		return "/mnt/pve/" + s.ID
	}
	return ""
}

// ContentDir is the directory below Path that holds one kind of content; "" for a
// storage that keeps no files. `content-dirs` overrides the defaults.
func (s Storage) ContentDir(content string) string {
	base := s.Path()
	if base == "" {
		return ""
	}
	dirs, _ := s.Get("content-dirs")
	for _, d := range SplitSet(dirs) {
		if kind, dir, ok := strings.Cut(d, "="); ok && kind == content {
			return base + "/" + strings.Trim(dir, "/")
		}
	}
	sub := map[string]string{
		"vztmpl": "template/cache", "iso": "template/iso", "backup": "dump",
		"rootdir": "private", "snippets": "snippets", "images": "images", "import": "import",
	}
	return base + "/" + sub[content]
}
