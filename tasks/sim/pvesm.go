package sim

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// pvesm manages storages (PVE::CLI::pvesm, libpve-storage-perl 8.3.8).
func pvesm(c *call) int {
	return cliProgram{name: "pvesm", code: 255, verbs: []cliVerb{
		{usage: "pvesm add <type> <storage> [OPTIONS]", fixed: []string{"type", "storage"}, options: storageOptions(), run: pvesmAdd},
		{usage: "pvesm remove <storage>", fixed: []string{"storage"}, run: pvesmRemove},
		{usage: "pvesm set <storage> [OPTIONS]", fixed: []string{"storage"}, options: storageSetOptions(), run: pvesmSet},
		{usage: "pvesm alloc <storage> <vmid> <filename> <size> [OPTIONS]", fixed: []string{"storage", "vmid", "filename", "size"},
			options: []cliOption{{"format", "raw|qcow2|subvol|vmdk"}}, run: pvesmAlloc},
		{usage: "pvesm free <volume> [OPTIONS]", fixed: []string{"volume"}, options: []cliOption{{"delay", "integer"}, {"storage", "string"}}, run: pvesmFree},
		{usage: "pvesm list <storage> [OPTIONS]", fixed: []string{"storage"}, options: []cliOption{{"content", "string"}, {"vmid", "integer"}}, run: pvesmList},
		{usage: "pvesm path <volume>", fixed: []string{"volume"}, run: pvesmPath},
		{usage: "pvesm status  [OPTIONS]", options: []cliOption{
			{"content", "string"}, {"enabled", "boolean"}, {"format", "boolean"}, {"storage", "string"}, {"target", "string"},
		}, run: pvesmStatus},
	}}.run(c)
}

// storageOptions is the union of the properties of all types; booleans are known.
func storageOptions() []cliOption {
	booleans := []string{"disable", "saferemove", "shared", "sparse", "tagged_only", "create-base-path", "create-subdirs", "mkdir", "nocow"}
	options := []cliOption{{"path", "string"}, {"content", "string"}, {"disable", "boolean"}, {"password", "prompt"}}
	for _, name := range storageProperties() {
		kind := "string"
		if slices.Contains(booleans, name) {
			kind = "boolean"
		}
		options = append(options, cliOption{name, kind})
	}
	return options
}

// storageSetOptions leaves out what is fixed in every type that has it.
func storageSetOptions() []cliOption {
	fixed := []string{"path", "export", "share", "vgname", "thinpool", "base", "datastore"}
	options := slices.DeleteFunc(storageOptions(), func(o cliOption) bool { return slices.Contains(fixed, o.name) })
	return append(options, cliOption{"delete", "string"}, cliOption{"digest", "string"})
}

func pvesmStatus(c *call, a cliArgs) int {
	list, warnings := c.m.storagesAnd()
	for _, w := range warnings {
		c.errorf("%s\n", w)
	}
	want, filtered := a["storage"]
	if filtered && !slices.ContainsFunc(list, func(s storage) bool { return s.id == want }) {
		c.errorf("%spvesm status  [OPTIONS]\n", complaint("storage: No such storage."))
		return 255
	}
	list = slices.DeleteFunc(list, func(s storage) bool {
		return filtered && s.id != want || a["content"] != "" && !s.content[a["content"]] || a["enabled"] == "1" && s.disabled || !s.onNode(c.m.Node)
	})
	slices.SortFunc(list, func(x, y storage) int { return strings.Compare(x.id, y.id) })
	width := 0
	for _, s := range list {
		width = max(width, len(s.id))
	}
	row := func(cells ...any) {
		c.printf("%-*s %10s %10s %15s %15s %15s %8s\n", append([]any{width + 1}, cells...)...)
	}
	row("Name", "Type", "Status", "Total", "Used", "Available", "%")
	for _, s := range list {
		status, total, used, free := c.state(s)
		percent := "N/A"
		if status == "active" {
			percent = fmt.Sprintf("%.2f%%", float64(used)*100/float64(total))
		} else if status == "inactive" {
			percent = "0.00%"
		}
		row(s.id, s.typ, status, itoa(total), itoa(used), itoa(free), percent)
	}
	return 0
}

// state is a storage's status with its space in KiB; it complains of one that
// cannot be reached.
func (c *call) state(s storage) (status string, total, used, free int64) {
	if s.disabled {
		return "disabled", 0, 0, 0
	}
	if err := c.m.reachable(s); err != nil {
		c.errorf("%v\n", err)
		return "inactive", 0, 0, 0
	}
	total, used, free = s.space()
	return "active", total, used, free
}

// reachable tells why a storage cannot be used, if so.
func (m *Machine) reachable(s storage) error {
	switch {
	case s.file() && !m.exists(s.path):
		return fmt.Errorf("unable to activate storage '%s' - directory '%s' does not exist or is unreachable", s.id, s.path)
	case s.props["is_mountpoint"] == "yes" || s.props["is_mountpoint"] == "1":
		if !strings.Contains(m.text("/proc/mounts"), " "+s.path+" ") {
			return fmt.Errorf("unable to activate storage '%s' - directory is expected to be a mount point but is not mounted: '%s'", s.id, s.path)
		}
	}
	return nil
}

func pvesmPath(c *call, a cliArgs) int {
	id, name, ok := volumeID(a["volume"])
	if !ok {
		c.errorf("%spvesm path <volume>\n", complaint("volume: invalid format - unable to parse volume ID '"+a["volume"]+"'\n"))
		return 2
	}
	s, found := c.m.storage(id)
	if !found {
		c.errorf("storage '%s' does not exist\n", id)
		return 255
	}
	p, err := s.locate(name)
	if err != nil {
		c.errorf("%v\n", err)
		return 255
	}
	c.printf("%s\n", p)
	return 0
}

// locate is the path of a volume by its name on the storage, whether there or not.
func (s storage) locate(name string) (string, error) {
	dirs := map[string]string{"vztmpl": "template/cache", "iso": "template/iso", "backup": "dump", "snippets": "snippets", "import": "import"}
	kind, file, cut := strings.Cut(name, "/")
	if dir, ok := dirs[kind]; ok && cut && s.file() {
		return s.path + "/" + dir + "/" + file, nil
	}
	volume := regexp.MustCompile(`^(\d+)/(vm|base|subvol|basevol)-\d+-\S+\.(raw|qcow2|vmdk|subvol)$`)
	switch {
	case !s.file():
		return s.path + "/" + name, nil
	case volume.MatchString(name) && s.typ == "btrfs" && strings.HasSuffix(name, ".raw"):
		return s.path + "/images/" + strings.TrimSuffix(name, ".raw") + "/disk.raw", nil
	case volume.MatchString(name):
		return s.path + "/images/" + name, nil
	}
	return "", fmt.Errorf("unable to parse directory volume name '%s'", name)
}

func pvesmAdd(c *call, a cliArgs) int {
	err := c.m.exclusive(func() error { return c.addStorage(a) })
	return c.died(err, 255)
}

// died ends a program the way Perl's die does.
func (c *call) died(err error, code int) int {
	if err == nil {
		return 0
	}
	var full *os.PathError
	if errors.As(err, &full) {
		c.errorf("close (rename) atomic file '%s' failed: %v\n", strings.TrimPrefix(full.Path, c.m.Root), full.Err)
		return code
	}
	c.errorf("%s\n", strings.TrimRight(err.Error(), "\n"))
	return code
}

func (c *call) addStorage(a cliArgs) error {
	typ, id := a["type"], a["storage"]
	usage := "pvesm add <type> <storage> [OPTIONS]"
	if !slices.Contains(storageTypes(), typ) {
		return errors.New(complaint(fmt.Sprintf("type: value '%s' does not have a value in the enumeration '%s'", typ, strings.Join(storageTypes(), ", "))) + usage)
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9\-_.]*[a-z0-9]$`).MatchString(id) {
		return errors.New(complaint(fmt.Sprintf("storage: invalid format - storage ID '%s' contains illegal characters\n", id)) + usage)
	}
	if err := checkContent(a["content"], usage); err != nil {
		return err
	}
	list := c.m.storages()
	if slices.ContainsFunc(list, func(s storage) bool { return s.id == id }) {
		return fmt.Errorf("create storage failed: storage ID '%s' already defined", id)
	}
	s := storage{id: id, typ: typ, content: map[string]bool{}, props: map[string]string{}}
	var missing []string
	for _, name := range storageFixed(typ) {
		if a[name] == "" && !(name == "path" && (typ == "nfs" || typ == "cifs")) && name != "base" {
			missing = append(missing, name+": property is missing and it is not optional")
		}
	}
	if missing != nil {
		return errors.New(complaint(missing...) + usage)
	}
	if err := s.assign(a); err != nil {
		return fmt.Errorf("create storage failed: %w", err)
	}
	s.complete()
	c.m.mountpoint(&s)
	if err := c.password(s, a); err != nil {
		return fmt.Errorf("create storage failed: %w", err)
	}
	if err := c.m.activate(s); err != nil {
		return fmt.Errorf("create storage failed: %w", err)
	}
	return c.m.saveStorages(append(list, s))
}

// activate makes the folders of a directory storage, as `pvesm add` does.
func (m *Machine) activate(s storage) error {
	switch {
	case s.disabled:
		return nil
	case s.typ == "nfs" || s.typ == "cifs":
		return os.MkdirAll(m.path(s.path), 0o755)
	case s.typ != "dir" && s.typ != "btrfs":
		return m.activateVolumes(s)
	}
	if s.props["create-base-path"] != "0" && s.props["is_mountpoint"] == "" {
		if err := os.MkdirAll(m.path(s.path), 0o755); err != nil {
			return err
		}
	}
	if err := m.reachable(s); err != nil {
		return err
	}
	dirs := map[string]string{"vztmpl": "template/cache", "iso": "template/iso", "backup": "dump", "snippets": "snippets", "rootdir": "private", "images": "images"}
	for c := range s.content {
		if dir := dirs[c]; dir != "" && s.props["create-subdirs"] != "0" {
			if err := os.MkdirAll(m.path(s.path+"/"+dir), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// assign takes options over into the section.
func (s *storage) assign(a cliArgs) error {
	for name, value := range a {
		switch name {
		case "type", "storage", "delete", "digest", "password":
		case "path":
			s.path, s.hasPath = value, true
		case "disable":
			s.disabled = value == "1"
		case "content":
			if value != "" {
				s.content = map[string]bool{}
			}
			for _, c := range splitList(value) {
				s.content[c] = true
			}
		case "maxfiles":
			s.props["prune-backups"] = "keep-last=" + value
		default:
			s.props[name] = value
		}
	}
	return nil
}

func checkContent(list, usage string) error {
	known := []string{"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"}
	for _, c := range splitList(list) {
		if !slices.Contains(known, c) {
			return errors.New(complaint(fmt.Sprintf("content: invalid format - invalid content type '%s'\n", c)) + usage)
		}
	}
	return nil
}

func pvesmSet(c *call, a cliArgs) int {
	return c.died(c.m.exclusive(func() error { return c.setStorage(a) }), 255)
}

func (c *call) setStorage(a cliArgs) error {
	if err := checkContent(a["content"], "pvesm set <storage> [OPTIONS]"); err != nil {
		return err
	}
	data, _ := c.m.read(storageFile)
	if d := a["digest"]; d != "" && d != sha1Hex(data) {
		return said("update storage failed: detected modified configuration - file changed by other user? Try again.")
	}
	list := c.m.storages()
	i := slices.IndexFunc(list, func(s storage) bool { return s.id == a["storage"] })
	if i < 0 {
		return fmt.Errorf("update storage failed: storage '%s' does not exist", a["storage"])
	}
	s := &list[i]
	s.props = maps.Clone(s.props)
	for _, name := range storageFixed(s.typ) {
		if v, given := a[name]; given && v != s.props[name] {
			return fmt.Errorf("update storage failed: can't change value of fixed parameter '%s'", name)
		}
	}
	for _, name := range splitList(a["delete"]) {
		switch {
		case name == "disable":
			s.disabled = false
		case name == "content":
			s.content = map[string]bool{}
			s.complete()
		case name == "password":
			if err := os.Remove(c.m.path(secretsDir + s.id + ".pw")); err != nil && !os.IsNotExist(err) {
				return err
			}
		case slices.Contains(storageProperties(), name):
			delete(s.props, name)
		default:
			return fmt.Errorf("update storage failed: no such option '%s'", name)
		}
	}
	if err := s.assign(a); err != nil {
		return err
	}
	if err := c.password(*s, a); err != nil {
		return fmt.Errorf("update storage failed: %w", err)
	}
	return c.m.saveStorages(list)
}

func pvesmRemove(c *call, a cliArgs) int {
	return c.died(c.m.exclusive(func() error {
		list := c.m.storages()
		i := slices.IndexFunc(list, func(s storage) bool { return s.id == a["storage"] })
		if i < 0 {
			return fmt.Errorf("delete storage failed: storage '%s' does not exist", a["storage"])
		}
		return c.m.saveStorages(slices.Delete(list, i, i+1))
	}), 255)
}

func sha1Hex(data []byte) string {
	sum := sha1.Sum(data)
	return hex.EncodeToString(sum[:])
}
