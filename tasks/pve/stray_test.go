package pve

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestStraysAreWhatProxmoxWouldNotHaveWrittenThere(t *testing.T) {
	const head = "arch: amd64\nmp0: /srv,mp=/srv\nlxc.cap.drop: sys_time\n"
	const snapshot = "\n[before]\n#text\narch: amd64\nmemory: 512\nmp0: /srv,mp=/srv\nrootfs: x:y\nsnaptime: 1\n"
	for name, c := range map[string]struct{ end, want string }{
		"nothing":                              {"", ""},
		"an entry out of order":                {"mp1: /a,mp=/a\n", "mp1: /a,mp=/a"},
		"a device out of order":                {"dev0: /dev/null\n", "dev0: /dev/null"},
		"an option for the second time":        {"memory: 1024\n", "memory: 1024"},
		"an entry for the second time":         {"mp0: /b,mp=/b\n", "mp0: /b,mp=/b"},
		"the form with =":                      {"lxc.cap.drop = x\n", "lxc.cap.drop: x"},
		"blanks that Proxmox does not write":   {"lxc.cap.drop:  x\n", "lxc.cap.drop: x"},
		"what the head has, too":               {"lxc.cap.drop = sys_time\n", ""},
		"a raw line again behind an empty one": {"lxc.cap.drop: x\n\nlxc.cap.drop: x\n", "lxc.cap.drop: x"},
		"behind an empty line":                 {"\nlxc.cap.drop: x\n", "perhaps lxc.cap.drop: x"},
		"behind a comment":                     {"# added\nlxc.cap.drop: x\n", "perhaps lxc.cap.drop: x"},
		"behind a line that says nothing":      {"???\nlxc.cap.drop: x\n", "perhaps lxc.cap.drop: x"},
		"behind another":                       {"mp1: /a,mp=/a\nlxc.cap.drop: x\n", "mp1: /a,mp=/a|perhaps lxc.cap.drop: x"},
		"before an option of Proxmox":          {"dev0: /dev/null\nlxc.cap.drop = x\nunprivileged: 1\n", ""},
		"an interface":                         {"net0: name=eth0\n", ""},
		"an entry behind raw options":          {"lxc.cap.drop: sys_time\ntimezone: UTC\nunused0: x:y\nmp3: /a,mp=/a\n", "mp3: /a,mp=/a"},
		"without the last line end":            {"\nlxc.cap.drop = a", "lxc.cap.drop: a"},
		"raw options as Proxmox writes them":   {"lxc.cap.drop: sys_time\nlxc.cap.drop: x\nlxc.cap.drop: \n", ""},
		"an option that is there only once":    {"hostname: x\n", ""},
		"empty lines at the end":               {"\n\n", ""},
		"a volume that nothing uses any more":  {"unused0: x:y\n", ""},
	} {
		file := head + snapshot + c.end
		conf := ParseConfig([]byte(file))
		var got []string
		for _, s := range conf.Strays() {
			text := s.String()
			if s.Doubt {
				text = "perhaps " + text
			}
			got = append(got, text)
			if s.Snapshot != "before" {
				t.Errorf("%s: in snapshot %q", name, s.Snapshot)
			}
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		conf.DropStrays(func(RawOption) bool { return false })
		if string(conf.Bytes()) != file {
			t.Errorf("%s: dropping none left\n%s", name, conf.Bytes())
		}
		conf.DropStrays(func(RawOption) bool { return true })
		if slices.ContainsFunc(conf.Strays(), func(s Stray) bool { return !s.Doubt }) || !strings.HasPrefix(string(conf.Bytes()), head+snapshot) {
			t.Errorf("%s: dropping all left\n%s", name, conf.Bytes())
		}
	}
}

func TestOnlyTheLastSnapshotHasStrays(t *testing.T) {
	for _, file := range []string{
		"arch: amd64\n\nlxc.a = b\nmp0: /a,mp=/a\nmp0: /b,mp=/b\n",
		"arch: amd64\n\n[pve:pending]\nmemory: 1\n\nlxc.a = b\nmp0: /a,mp=/a\n",
		"arch: amd64\n\n[aa]\narch: amd64\n\nlxc.a = b\n\n[bb]\narch: amd64\n",
	} {
		if got := ParseConfig([]byte(file)).Strays(); got != nil {
			t.Errorf("%q has %q", file, got)
		}
	}
}

func TestWhatProxmoxWroteHasNoStrays(t *testing.T) {
	for name, data := range recorded(t) {
		if got := ParseConfig(data).Strays(); got != nil && name != "byhand.conf" {
			t.Errorf("%s has %q", name, got)
		}
	}
}

// content is what a section says, apart from how it is written.
type content struct {
	name, description string
	options           map[string]string
	raw               []RawOption
}

// drawnContent draws what a section may say.
func drawnContent(r *rand.Rand, name string) content {
	oneOf := func(words ...string) string { return words[r.IntN(len(words))] }
	c := content{name: name, options: map[string]string{}}
	for range r.IntN(6) {
		key := oneOf("arch", "memory", "features", "mp0", "mp10", "net3", "dev1", "unused0", "tags", "snaptime", "nosuchkey")
		c.options[key] = oneOf("1", "a=b,c=d", "x:y,size=1G", "with blanks", "100%", "#no comment", "[brackets]", "über")
	}
	for range r.IntN(4) {
		key := oneOf("lxc.mount.entry", "lxc.cap.drop", "lxc.cgroup2.devices.allow", "lxc.idmap")
		c.raw = append(c.raw, RawOption{key, oneOf("", "a", "c 195:* rwm", "/dev/a dev/a none bind,create=file", "a = b: c")})
	}
	if name != "" && name != PendingName {
		c.options["rootfs"], c.options["snaptime"] = "x:y", "1"
	}
	if name != PendingName {
		c.description = strings.TrimRight(oneOf("", "one", "two: 50%\nüber", "\n\nlate", "# head", "[before]", "memory: 5"), "\n")
	}
	return c
}

// write writes the section as Proxmox does or, by hand, in forms that mean the same.
func (c content) write(r *rand.Rand, byHand bool) string {
	var b strings.Builder
	if c.name != "" {
		fmt.Fprintf(&b, "\n[%s]\n", c.name)
	}
	for line := range strings.SplitSeq(c.description, "\n") {
		if c.description != "" {
			b.WriteString("#" + strings.NewReplacer("%", "%25", ":", "%3A", "ü", "%C3%BC").Replace(line) + "\n")
		}
	}
	var keys []string
	for key := range c.options {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if byHand {
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	}
	for _, key := range keys {
		if byHand && r.IntN(3) == 0 {
			b.WriteString("\n" + key + ": overruled\n")
		}
		b.WriteString(key + ":" + strings.Repeat(" ", 1+r.IntN(2)*hand(byHand)) + c.options[key] + strings.Repeat("\t", r.IntN(2)*hand(byHand)) + "\n")
	}
	for _, o := range c.raw {
		between := []string{": ", " = ", "=", ":", "  :  "}[r.IntN(5)*hand(byHand)]
		b.WriteString(o.Key + between + o.Value + "\n")
	}
	return b.String()
}

func hand(byHand bool) int {
	if byHand {
		return 1
	}
	return 0
}

func (c content) equal(s *Section) bool {
	v := s.Values()
	if c.description != "" {
		c.options = mapWith(c.options, "description", c.description)
	}
	return reflect.DeepEqual(v, c.options) && slices.Equal(s.Raw(), c.raw)
}

func mapWith(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// checkRoundTrip writes drawn content and reads it back, before and after the edits that
// are made of files.
func checkRoundTrip(t *testing.T, seed uint64, byHand bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 3))
	sections := []content{drawnContent(r, "")}
	for _, name := range []string{PendingName, "before", "later-2"} {
		if r.IntN(3) > 0 {
			sections = append(sections, drawnContent(r, name))
		}
	}
	var text string
	for _, c := range sections {
		text += c.write(r, byHand)
	}
	conf := ParseConfig([]byte(text))
	same := func(when string, sections []content) {
		t.Helper()
		for _, c := range sections {
			s := conf.Head()
			if c.name != "" {
				s = conf.section(c.name)
			}
			if !c.equal(s) {
				t.Fatalf("%s, seed %d: [%s] is %q %q, want %+v\n%s", when, seed, c.name, s.Values(), s.Raw(), c, text)
			}
		}
	}
	same("parsed", sections)
	if !bytes.Equal(conf.Bytes(), []byte(text)) {
		t.Fatalf("seed %d: %q came back as %q", seed, text, conf.Bytes())
	}
	sections[0].raw = drawnContent(r, "").raw
	if err := conf.Head().SetRaw(sections[0].raw); err != nil {
		t.Fatal(err)
	}
	conf = ParseConfig(conf.Bytes())
	same("edited", sections)
	if byHand {
		return
	}
	if got := conf.Strays(); got != nil {
		t.Fatalf("seed %d: %q in\n%s", seed, got, text)
	}
	if last := sections[len(sections)-1]; last.options["rootfs"] != "" {
		written := string(conf.Bytes())
		conf = ParseConfig([]byte(written + "\nlxc.apparmor.profile = x\nmp7: /a,mp=/a\n"))
		conf.DropStrays(func(RawOption) bool { return true })
		if string(conf.Bytes()) != written+"\n" {
			t.Fatalf("seed %d: without what was appended it is %q, want %q", seed, conf.Bytes(), written)
		}
	}
}

// edited makes one change by hand in the last section, behind its header, that appends
// nothing.
func edited(r *rand.Rand, text string) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	first := 1 + slices.IndexFunc(lines, func(l string) bool { return l == "[before]\n" })
	last := first // behind the last option
	for i, l := range (&Section{lines: lines}).read() {
		if l.Key != "" && !l.raw {
			last = i + 1
		}
	}
	at, from := first+r.IntN(last-first), first+r.IntN(len(lines)-first)
	switch line := lines[from]; r.IntN(6) {
	case 0:
		at = first + r.IntN(len(lines)-first)
		lines = slices.Insert(lines, at, "# by hand\n")
	case 1:
		at = first + r.IntN(len(lines)-first)
		lines = slices.Insert(lines, at, "\n")
	case 2:
		if !strings.HasPrefix(line, "lxc.") {
			lines[from] = strings.Replace(line, ": ", " = ", 1)
		}
	case 3:
		lines = slices.Insert(slices.Delete(lines, from, from+1), max(first, min(at, last-2)), line)
	case 4:
		lines = slices.Insert(lines, at, line)
	case 5:
		key, _, _ := strings.Cut(line, ":")
		lines = slices.Insert(lines, at, key+": other\n")
	}
	return strings.Join(lines, "")
}

// keyed counts the lines of each key of the last section.
func keyed(c *Config) map[string]int {
	out := map[string]int{}
	for _, l := range c.last().read() {
		out[l.Key]++
	}
	return out
}

func TestAChangeByHandLosesNothingOfASnapshot(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 5))
		head, snapshot := drawnContent(r, ""), drawnContent(r, "before")
		for key, value := range map[string]string{"net0": "name=eth0", "swap": "512", "unprivileged": "1", "hostname": "x", "cores": "1"} {
			if r.IntN(2) == 0 {
				snapshot.options[key] = value
			}
		}
		conf := ParseConfig([]byte(edited(r, head.write(r, false)+snapshot.write(r, false))))
		text, before := string(conf.Bytes()), keyed(conf)
		conf.DropStrays(func(RawOption) bool { return true })
		for key, n := range keyed(conf) {
			before[key] -= n
			if n > 0 {
				delete(before, key)
			}
		}
		if len(before) > 0 {
			t.Fatalf("seed %d: %v have gone of\n%s", seed, before, text)
		}
	}
}

func TestWhatIsWrittenIsWhatIsRead(t *testing.T) {
	for seed := range uint64(500) {
		checkRoundTrip(t, seed, seed%2 == 0)
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), true)
	f.Add(uint64(2), false)
	f.Fuzz(checkRoundTrip)
}

func FuzzStrays(f *testing.F) {
	for _, data := range recorded(f) {
		f.Add(append(data, "\nlxc.a = b\nmp9: /a,mp=/a\nmemory: 1\n"...))
	}
	f.Add([]byte("[ab]\nmp0: a\nmp0: b\nlxc.c = d\r\n#\n\n[pve:pending]\nlxc.a=b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := ParseConfig(data)
		found := c.Strays()
		head, pending := c.Head().lines, c.Pending()
		c.DropStrays(func(o RawOption) bool { return o.Key != "mp0" })
		left := 0
		for _, s := range found {
			if s.Key == "mp0" {
				left++
			}
		}
		if got := bytes.Count(data, []byte("\n")) - bytes.Count(c.Bytes(), []byte("\n")); got > len(found) {
			t.Fatalf("%d lines have gone of %d strays: %q became %q", got, len(found), data, c.Bytes())
		}
		if !slices.Equal(c.Head().lines, head) || c.Pending() != pending {
			t.Fatalf("the rest of %q has changed: %q", data, c.Bytes())
		}
		c.DropStrays(func(RawOption) bool { return true })
		again := slices.DeleteFunc(ParseConfig(c.Bytes()).Strays(), func(s Stray) bool { return s.Doubt })
		if len(again) > 0 || left > len(found) {
			t.Fatalf("%q still has %q", c.Bytes(), again)
		}
	})
}
