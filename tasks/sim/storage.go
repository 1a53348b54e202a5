package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// storageFile is where Proxmox keeps its storages.
const storageFile = "/etc/pve/storage.cfg"

// storage is one section of storage.cfg.
type storage struct {
	id, typ string
	// path is the folder (of the simulated machine) that the storage's data lies
	// in: the path property of a dir; /dev/VG of an lvmthin; /POOL of a zfspool.
	path string
	// content is the set of what may lie there: "rootdir", "images", "vztmpl", …
	content map[string]bool
	// props are the other properties as written, without content and path; a bare
	// key has the value "1".
	props    map[string]string
	disabled bool
	// hasPath tells whether path is a property of the type.
	hasPath bool
}

// can tells whether the storage may hold that kind of content.
func (s storage) can(content string) bool { return s.content[content] && !s.disabled }

// templates is the folder of container templates.
func (s storage) templates() string { return s.path + "/template/cache" }

// file tells whether volumes are files below path/images, named ID/NAME.
func (s storage) file() bool {
	return slices.Contains([]string{"dir", "nfs", "cifs", "btrfs", "glusterfs"}, s.typ)
}

// storagesAnd reads storage.cfg. Without the file there is only the implicit "local".
// What the file says in words that Proxmox does not know comes back as warnings.
func (m *Machine) storagesAnd() (list []storage, warnings []string) {
	data, err := m.read(storageFile)
	if errors.Is(err, fs.ErrNotExist) {
		data = []byte("dir: local\n\tpath /var/lib/vz\n\tcontent backup,iso,vztmpl,images,rootdir,snippets\n")
	}
	return parseStorages(data)
}

// storages lists the storages in the order of storage.cfg.
func (m *Machine) storages() []storage {
	list, _ := m.storagesAnd()
	return list
}

// storage finds one by its name.
func (m *Machine) storage(id string) (storage, bool) {
	for _, s := range m.storages() {
		if s.id == id {
			return s, true
		}
	}
	return storage{}, false
}

func parseStorages(data []byte) (list []storage, warnings []string) {
	header := regexp.MustCompile(`^(\S+):\s*(\S+)\s*$`)
	var at *storage
	for n, line := range strings.Split(string(data), "\n") {
		switch h := header.FindStringSubmatch(line); {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			at = nil
		case h != nil && !strings.HasPrefix(line, "\t"):
			list = append(list, storage{typ: h[1], id: h[2], content: map[string]bool{}, props: map[string]string{}})
			at = &list[len(list)-1]
		case at == nil:
			warnings = append(warnings, fmt.Sprintf("file %s line %d (skip section '%s'): unsupported type '%s'", storageFile, n+1, line, line))
		default:
			if w := at.property(strings.TrimSpace(line)); w != "" {
				warnings = append(warnings, fmt.Sprintf("file %s line %d (section '%s') - %s", storageFile, n+1, at.id, w))
			}
		}
	}
	for i := range list {
		list[i].complete()
	}
	return list, warnings
}

// property takes one line of a section and returns what is wrong with it.
func (s *storage) property(line string) (warning string) {
	key, value, found := strings.Cut(line, " ")
	value = strings.TrimSpace(value)
	if !found {
		value = "1"
	}
	switch {
	case key == "content":
		for _, c := range splitList(value) {
			s.content[c] = true
		}
	case key == "path":
		s.path, s.hasPath = value, true
	case key == "disable":
		s.disabled = value != "0"
	case slices.Contains(storageProperties(), key):
		s.props[key] = value
	default:
		return fmt.Sprintf("unable to parse value of '%s': unknown property type", key)
	}
	return ""
}

// complete fills in what Proxmox takes for granted.
func (s *storage) complete() {
	if len(s.content) == 0 {
		s.content = map[string]bool{"images": true, "rootdir": s.typ != "nfs" && s.typ != "cifs" && s.typ != "lvm"}
		if s.typ == "pbs" {
			s.content = map[string]bool{"backup": true}
		}
	}
	for c, is := range s.content {
		if !is {
			delete(s.content, c)
		}
	}
	switch s.typ {
	case "lvm", "lvmthin":
		s.path = "/dev/" + s.props["vgname"]
	case "zfspool":
		s.path = "/" + s.props["pool"]
	case "nfs", "cifs":
		if s.path == "" {
			s.path, s.hasPath = "/mnt/pve/"+s.id, true
		}
	}
}

// saveStorages writes the whole file anew, as Proxmox does: comments and unknown
// lines are lost, content lists come out in a random order.
func (m *Machine) saveStorages(list []storage) error {
	var b bytes.Buffer
	for _, s := range list {
		fmt.Fprintf(&b, "%s: %s\n", s.typ, s.id)
		if s.disabled {
			b.WriteString("\tdisable\n")
		}
		fixed := storageFixed(s.typ)
		lines := map[string]string{}
		for k, v := range s.props {
			lines[k] = v
		}
		if s.hasPath {
			lines["path"] = s.path
		}
		lines["content"] = strings.Join(m.contentList(s), ",")
		for _, required := range []bool{true, false} {
			for _, k := range sortedKeys(lines) {
				if slices.Contains(fixed, k) == required {
					fmt.Fprintf(&b, "\t%s %s\n", k, lines[k])
				}
			}
		}
		b.WriteString("\n")
	}
	return m.write(storageFile, b.Bytes(), 0o640)
}

func (m *Machine) contentList(s storage) []string {
	content := sortedKeys(s.content)
	m.shuffle(content)
	return content
}

// storageFixed lists the properties that a type of storage must have and keeps.
func storageFixed(typ string) []string {
	return map[string][]string{
		"dir": {"path"}, "btrfs": {"path"}, "nfs": {"export", "path", "server"}, "cifs": {"path", "server", "share"},
		"lvm": {"vgname", "base"}, "lvmthin": {"thinpool", "vgname"}, "zfspool": {"pool"}, "pbs": {"datastore", "server"},
	}[typ]
}

// storageTypes lists the types that the simulated machine knows.
func storageTypes() []string {
	return []string{"btrfs", "cephfs", "cifs", "dir", "esxi", "glusterfs", "iscsi", "iscsidirect", "lvm", "lvmthin", "nfs", "pbs", "rbd", "zfs", "zfspool"}
}

// storageProperties lists what a section may hold beside path, content and disable.
func storageProperties() []string {
	return []string{
		"base", "blocksize", "bwlimit", "content-dirs", "create-base-path", "create-subdirs", "datastore", "domain",
		"encryption-key", "export", "fingerprint", "format", "is_mountpoint", "master-pubkey", "max-protected-backups",
		"mkdir", "mountpoint", "namespace", "nocow", "nodes", "options", "pool", "port", "preallocation", "prune-backups",
		"saferemove", "saferemove_throughput", "server", "share", "shared", "smbversion", "sparse", "subdir",
		"tagged_only", "thinpool", "username", "vgname",
	}
}

// onNode tells whether the storage is there for the node.
func (s storage) onNode(node string) bool {
	return s.props["nodes"] == "" || slices.Contains(splitList(s.props["nodes"]), node)
}

// splitList splits at what Proxmox splits lists at: commas, semicolons, blanks.
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",; \t\n\x00", r) })
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// space is what `pvesm status` says of a storage, in KiB.
func (s storage) space() (total, used, available int64) {
	switch s.typ {
	case "btrfs":
		return 20971520, 5920, 20429824
	case "lvmthin", "zfspool", "lvm":
		return 832888832, 0, 832888832
	}
	return 264212084, 18098980, 77402284
}

// volumeID splits STORAGE:NAME.
func volumeID(id string) (storage, name string, ok bool) {
	storage, name, ok = strings.Cut(id, ":")
	return storage, name, ok && storage != "" && name != "" && !strings.ContainsAny(id, " \t\n")
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
