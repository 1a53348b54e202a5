package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// etabFile is where exportfs keeps what is exported.
const etabFile = "/var/lib/nfs/etab"

// exportGroups are the flags that exclude each other, in the order of etab, the
// default first.
func exportGroups() [][]string {
	return [][]string{
		{"ro", "rw"}, {"sync", "async"}, {"wdelay", "no_wdelay"}, {"hide", "nohide"}, {"nocrossmnt", "crossmnt"}, {"secure", "insecure"},
		{"root_squash", "no_root_squash"}, {"no_all_squash", "all_squash"}, {"no_subtree_check", "subtree_check"},
		{"secure_locks", "insecure_locks"}, {"acl", "no_acl"}, {"", "security_label"}, {"no_pnfs", "pnfs"},
	}
}

// layNFS lays what Debian's package nfs-kernel-server brings.
func (m *Machine) layNFS() error {
	if err := os.MkdirAll(m.path("/etc/exports.d"), 0o755); err != nil {
		return err
	}
	for _, file := range []string{"/etc/exports", etabFile} {
		if m.exists(file) {
			continue
		}
		if err := m.write(file, nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// exportfs of nfs-utils 2.6.2: -ra reads /etc/exports and /etc/exports.d, -s and -v
// list. A mistake in one line stops no other.
func exportfs(c *call) int {
	if len(c.argv) == 1 || c.argv[1] == "-s" || c.argv[1] == "-v" {
		for line := range strings.Lines(c.m.text(etabFile)) {
			c.printf("%s", strings.Replace(line, "\t", "  ", 1))
		}
		return 0
	}
	if c.argv[1] != "-ra" && c.argv[1] != "-r" {
		c.errorf("exportfs: invalid option -- '%s'\n", strings.TrimLeft(c.argv[1], "-"))
		return 1
	}
	files := []string{"/etc/exports"}
	names, err := filepath.Glob(c.m.path("/etc/exports.d") + "/*.exports")
	if err != nil {
		return c.died(err, 1)
	}
	for _, name := range names {
		files = append(files, "/etc/exports.d/"+filepath.Base(name))
	}
	var table []string
	code := 0
	for _, file := range files {
		n := 0
		for line := range strings.Lines(c.m.text(file)) {
			n++
			words := strings.Fields(line)
			if len(words) == 0 || strings.HasPrefix(words[0], "#") {
				continue
			}
			for _, w := range words[1:] {
				entry, ok := c.export(fmt.Sprintf("%s:%d", file, n), words[0], w)
				if !ok {
					code = 1
				}
				if entry != "" && !slices.Contains(table, entry) {
					table = append(table, entry)
				}
			}
		}
	}
	return max(code, c.died(c.m.exclusive(func() error { return c.m.write(etabFile, []byte(strings.Join(table, "")), 0o644) }), 1))
}

// export is the line of etab for one client.
func (c *call) export(at, path, word string) (string, bool) {
	client, list, _ := strings.Cut(strings.TrimSuffix(word, ")"), "(")
	if client == "" {
		client = "*"
	}
	values := map[string]string{"anonuid": "65534", "anongid": "65534", "sec": "sys"}
	flags := map[string]bool{}
	for f := range strings.SplitSeq(list, ",") {
		key, value, has := strings.Cut(f, "=")
		known := slices.ContainsFunc(exportGroups(), func(g []string) bool { return slices.Contains(g, f) && f != "" })
		switch {
		case f == "":
		case has && slices.Contains([]string{"anonuid", "anongid", "sec", "fsid", "mountpoint"}, key):
			values[key] = value
		case f == "mountpoint" || f == "mp":
			values["mountpoint"] = ""
		case known:
			for _, g := range exportGroups() {
				if slices.Contains(g, f) {
					delete(flags, g[0])
					delete(flags, g[1])
				}
			}
			flags[f] = true
		default:
			c.errorf("exportfs: %s: unknown keyword \"%s\"\n\n", at, f)
			return "", false
		}
	}
	if !flags["subtree_check"] && !flags["no_subtree_check"] {
		c.errorf("exportfs: %s: Neither 'subtree_check' or 'no_subtree_check' specified for export \"%s:%s\".\n"+
			"  Assuming default behaviour ('no_subtree_check').\n  NOTE: this default has changed since nfs-utils version 1.0.x\n\n", strings.Replace(at, ":", " [", 1)+"]", client, path)
	}
	ok := true
	if fi, err := os.Stat(c.m.path(strings.ReplaceAll(path, `\040`, " "))); err != nil || !fi.IsDir() {
		c.errorf("exportfs: Failed to stat %s: No such file or directory\n", strings.ReplaceAll(path, `\040`, " "))
		ok = false
	}
	return path + "\t" + client + "(" + exportFlags(flags, values) + ")\n", ok
}

func exportFlags(flags map[string]bool, values map[string]string) string {
	var out, again []string
	for _, g := range exportGroups() {
		chosen := g[0]
		if flags[g[1]] {
			chosen = g[1]
		}
		if chosen != "" {
			out = append(out, chosen)
		}
		if slices.Contains([]string{"ro", "root_squash", "no_all_squash"}, g[0]) {
			again = append(again, chosen)
		}
	}
	for _, key := range []string{"fsid", "mountpoint", "anonuid", "anongid", "sec"} {
		switch v, has := values[key]; {
		case has && v == "":
			out = append(out, key)
		case has:
			out = append(out, key+"="+v)
		}
	}
	return strings.Join(append(out, again...), ",")
}
