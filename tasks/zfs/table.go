package zfs

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// Table is what properties there are, and what values they take.
type Table map[string]valueKind

// valueKind is what the values of a property look like.
type valueKind struct {
	// words are the only values.
	words []string
	// same are words that read back as another one; vague is one that means different
	// things in different versions and is not accepted.
	same  map[string]string
	vague string
	// size values are bytes, limit values, too, with none for 0; count values are
	// numbers, with none for the largest; text values are anything on one line.
	size, limit, count, text bool
	// block sizes are powers of two; zero says that one of them may be 0.
	block, zero bool
	// fixed properties are decided when the dataset is made.
	fixed bool
}

// add enters properties whose values are words: a line each, the name first.
func (t Table) add(text string, fixed bool) {
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		t[f[0]] = valueKind{words: f[1:], fixed: fixed}
	}
}

// DatasetTable has the properties of file systems that can be set (OpenZFS,
// module/zcommon/zfs_prop.c), but for mountpoint, which the families treat apart,
// and for the keys of encryption.
func DatasetTable() Table {
	count, limit, text := valueKind{count: true}, valueKind{limit: true}, valueKind{text: true}
	t := Table{
		"aclinherit":       {words: strings.Fields("discard noallow restricted passthrough passthrough-x"), same: map[string]string{"secure": "restricted"}},
		"acltype":          {words: strings.Fields("off posix nfsv4"), same: map[string]string{"noacl": "off", "disabled": "off", "posixacl": "posix"}},
		"compression":      {words: compressions()},
		"filesystem_limit": count, "snapshot_limit": count,
		"quota": limit, "refquota": limit, "reservation": limit, "refreservation": limit,
		"recordsize": {size: true, block: true}, "special_small_blocks": {size: true, block: true, zero: true},
		"sharenfs": text, "sharesmb": text,
		// "on" is dir in OpenZFS 2.2 and sa in 2.3, so it does not say what is wanted.
		"xattr": {words: strings.Fields("off sa dir"), same: map[string]string{"on": "dir"}, vague: "on"},
	}
	t.add(`aclmode discard groupmask passthrough restricted
		atime on off
		canmount on off noauto
		checksum on off fletcher2 fletcher4 sha256 noparity sha512 skein edonr blake3
		copies 1 2 3
		dedup on off verify sha256 sha256,verify sha512 sha512,verify skein skein,verify edonr,verify blake3 blake3,verify
		devices on off
		direct disabled standard always
		dnodesize legacy auto 1k 2k 4k 8k 16k
		exec on off
		logbias latency throughput
		longname on off
		nbmand on off
		overlay on off
		prefetch all none metadata
		primarycache all none metadata
		readonly on off
		redundant_metadata all most some none
		relatime on off
		secondarycache all none metadata
		setuid on off
		snapdev hidden visible
		snapdir hidden visible disabled
		sync standard always disabled`, false)
	t.add(`casesensitivity sensitive insensitive mixed
		encryption off aes-128-ccm aes-192-ccm aes-256-ccm aes-128-gcm aes-192-gcm aes-256-gcm
		normalization none formC formD formKC formKD
		utf8only on off`, true)
	return t
}

func compressions() []string {
	out := strings.Fields("on off lzjb gzip zle lz4 zstd zstd-fast")
	for i := 1; i <= 9; i++ {
		out = append(out, fmt.Sprintf("gzip-%d", i))
	}
	for i := 1; i <= 19; i++ {
		out = append(out, fmt.Sprintf("zstd-%d", i))
	}
	for _, i := range strings.Fields("1 2 3 4 5 6 7 8 9 10 20 30 40 50 60 70 80 90 100 500 1000") {
		out = append(out, "zstd-fast-"+i)
	}
	return out
}

// PoolTable has the properties of pools that can be set and that say nothing about
// booting or importing (module/zcommon/zpool_prop.c). ashift has a key of its own.
func PoolTable() Table {
	t := Table{"comment": {text: true}}
	t.add(`autoexpand on off
		autoreplace on off
		autotrim on off
		delegation on off
		failmode wait continue panic
		listsnapshots on off
		multihost on off`, false)
	return t
}

// userProperty is the name of a property of one's own: with a colon.
func userProperty(name string) bool {
	return len(name) < 256 && regexp.MustCompile(`^[a-z0-9._-]*:[a-z0-9:._-]*$`).MatchString(name) && !strings.HasPrefix(name, "-")
}

func (t Table) of(name string) valueKind {
	if k, ok := t[name]; ok {
		return k
	}
	return valueKind{text: true}
}

// canonical is the value as `get -p` prints it.
func (k valueKind) canonical(v string) string {
	if same, ok := k.same[v]; ok {
		return same
	}
	switch {
	case k.size, k.limit:
		if n, err := ParseSize(v); err == nil {
			return strconv.FormatInt(n, 10)
		}
	case k.count && v == "none":
		return strconv.FormatUint(math.MaxUint64, 10)
	}
	return v
}

// argument is the value as zfs takes it: a size as a number of bytes, since zfs rounds
// fractions in its own way, and no limit as none, since it refuses 0.
func (k valueKind) argument(v string) string {
	switch c := k.canonical(v); {
	case k.limit && c == "0":
		return "none"
	case k.size, k.limit:
		return c
	}
	return v
}

// Validate returns the faults of wanted properties, each at PATH.NAME.
func (t Table) Validate(path string, want map[string]string) []tasks.Problem {
	var out tasks.Problems
	for _, name := range tasks.Keys(want) {
		add := func(summary, hint string) {
			out.Add(path+"."+name, summary, hint)
		}
		k, known := t[name]
		_, isPool := t["autotrim"]
		switch {
		case !known && (isPool || !userProperty(name)):
			add(fmt.Sprintf("there is no property %q that can be set", name), t.hint(name))
		case unprintable(want[name]) || len(want[name]) > 1024:
			add("the value must be one line of at most 1024 bytes", "")
		default:
			if hint := k.fault(want[name]); hint != "" {
				add(fmt.Sprintf("%q is no value of %s", want[name], name), hint)
			}
		}
	}
	return out
}

// fault says what values there are, when v is none.
func (k valueKind) fault(v string) string {
	switch {
	case k.limit:
		if _, err := ParseSize(v); err != nil {
			return "a size such as 500G, or none"
		}
	case k.size:
		n, err := ParseSize(v)
		switch {
		case err != nil || v == "none":
			return "a size such as 128K or 1M"
		case k.zero && n == 0 || !k.block:
		case n < 512 || n > 16<<20 || n&(n-1) != 0:
			return "a power of two from 512 to 16M, such as 128K or 1M"
		}
	case k.count:
		if _, err := strconv.ParseUint(v, 10, 64); err != nil && v != "none" {
			return "a number, or none"
		}
	case len(k.words) > 0 && !slices.Contains(k.words, v) && (k.same[v] == "" || k.vague == v):
		if len(k.words) > 16 {
			return "such as " + strings.Join(k.words[:8], ", ")
		}
		return "one of " + strings.Join(k.words, ", ")
	}
	return ""
}

// hint names what was perhaps meant.
func (t Table) hint(name string) string {
	switch name {
	case "mountpoint":
		return "mountpoint is a key of its own"
	case "ashift":
		return "ashift is a key of its own"
	case "volsize", "volblocksize", "volmode", "volthreading":
		return "it belongs to volumes, which Proxmox makes by itself"
	case "keyformat", "keylocation", "pbkdf2iters":
		return "make an encrypted dataset by hand; its other properties can be managed"
	}
	for _, known := range tasks.Keys(t) {
		if strings.HasPrefix(known, name) || strings.HasPrefix(name, known) || strings.ReplaceAll(known, "_", "") == strings.ReplaceAll(name, "_", "") {
			return "did you mean " + known + "?"
		}
	}
	return "properties that cannot be set, and those of newer versions, are not accepted"
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// RootTable has what the file system of a pool itself can have: its mount point is
// one of its properties.
func RootTable() Table {
	t := DatasetTable()
	t["mountpoint"] = valueKind{text: true}
	return t
}

// MountpointValid tells whether a mount point is a clean absolute path, none or
// legacy.
func MountpointValid(p string) bool {
	return p == "none" || p == "legacy" || path.IsAbs(p) && path.Clean(p) == p && p != "/" && !unprintable(p)
}
