package nfs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

// flags are the flags of one client, by name: "access" is "rw" or "ro", "squash" is
// "root_squash", "anonuid" is a number. What has its default is left out.
type flags map[string]string

// word is a flag that is on or off: what it belongs to.
type word struct{ name, value string }

// words are the flags without a value (exports(5) of nfs-utils 2.6), the default of
// each name first.
func words() []word {
	return []word{
		{"access", "ro"}, {"access", "rw"},
		{"sync", "sync"}, {"sync", "async"},
		{"wdelay", "wdelay"}, {"wdelay", "no_wdelay"},
		{"hide", "hide"}, {"hide", "nohide"},
		{"crossmnt", "nocrossmnt"}, {"crossmnt", "crossmnt"},
		{"ports", "secure"}, {"ports", "insecure"},
		{"root", "root_squash"}, {"root", "no_root_squash"},
		{"all", "no_all_squash"}, {"all", "all_squash"},
		{"subtree", "no_subtree_check"}, {"subtree", "subtree_check"},
		{"locks", "secure_locks"}, {"locks", "insecure_locks"},
		{"acl", "acl"}, {"acl", "no_acl"},
		{"pnfs", "no_pnfs"}, {"pnfs", "pnfs"},
		{"label", ""}, {"label", "security_label"},
		{"mountpoint", ""}, {"mountpoint", "mountpoint"},
	}
}

// synonyms are other names of flags, as they come back from exportfs.
func synonyms() map[string]string {
	return map[string]string{"auth_nlm": "secure_locks", "no_auth_nlm": "insecure_locks", "mp": "mountpoint", "fsid=root": "fsid=0"}
}

// values are the flags with a value: how it looks, and its default.
func values() map[string]struct{ pattern, absent string } {
	return map[string]struct{ pattern, absent string }{
		"anonuid":    {`^(-1|[0-9]{1,10})$`, "65534"},
		"anongid":    {`^(-1|[0-9]{1,10})$`, "65534"},
		"fsid":       {`^([0-9]{1,10}|[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12})$`, ""},
		"sec":        {`^(sys|none|krb5|krb5i|krb5p)(:(sys|none|krb5|krb5i|krb5p))*$`, "sys"},
		"mountpoint": {`^/[^\s,()"\\#]*$`, ""},
	}
}

// parseFlags reads a list of flags. The last of two that exclude each other wins, as
// it does for exportfs; an error names a flag that is none.
func parseFlags(list []string) (flags, error) {
	out := make(flags)
	for _, f := range list {
		if other, ok := synonyms()[f]; ok {
			f = other
		}
		key, value, has := strings.Cut(f, "=")
		v, known := values()[key]
		i := slices.IndexFunc(words(), func(w word) bool { return w.value == f && f != "" })
		switch {
		case has && known && regexp.MustCompile(v.pattern).MatchString(value):
			out[key] = value
			if value == v.absent {
				delete(out, key)
			}
		case i >= 0:
			w := words()[i]
			out[w.name] = w.value
			if first := slices.IndexFunc(words(), func(o word) bool { return o.name == w.name }); first == i {
				delete(out, w.name)
			}
		default:
			return nil, fmt.Errorf("%q is no flag of an export", f)
		}
	}
	return out, nil
}

// list writes the flags for exports(5): whether it may be written and whether parts
// of a file system are checked always, since exportfs warns where nothing is said of
// that, the rest where it is not the default. Flags behind sec= would be for that
// flavour only, so it is the last.
func (f flags) list() string {
	out := []string{"ro"}
	if f["access"] != "" {
		out[0] = f["access"]
	}
	if f["subtree"] == "" {
		out = append(out, "no_subtree_check")
	}
	for _, key := range tasks.Keys(f) {
		switch _, has := values()[key]; {
		case key == "access", key == "sec":
		case has && f[key] != key:
			out = append(out, key+"="+f[key])
		default:
			out = append(out, f[key])
		}
	}
	if f["sec"] != "" {
		out = append(out, "sec="+f["sec"])
	}
	return strings.Join(out, ",")
}
