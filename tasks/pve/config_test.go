package pve

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// recorded returns the configurations in testdata, which were recorded on Proxmox VE 8.4.
func recorded(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 4 {
		t.Fatalf("recorded configurations: %v %v", files, err)
	}
	out := make(map[string][]byte)
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = data
	}
	return out
}

func TestConfigThatIsNotEditedKeepsEveryByte(t *testing.T) {
	for name, data := range recorded(t) {
		if got := ParseConfig(data).Bytes(); !bytes.Equal(got, data) {
			t.Errorf("%s came back as\n%s", name, got)
		}
	}
}

func TestConfigKnowsItsSections(t *testing.T) {
	c := ParseConfig(recorded(t)["pending.conf"])
	for _, q := range []struct {
		section   *Section
		key, want string
	}{
		{c.Head(), "features", "nesting=1"},
		{c.Head(), "memory", "1024"},
		{c.Pending(), "features", "nesting=1,keyctl=1"},
		{c.Pending(), "net1", "name=eth1,bridge=vmbr77"},
		{c.Snapshot("before"), "memory", "64"},
	} {
		if got, ok := q.section.Get(q.key); !ok || got != q.want {
			t.Errorf("%s of [%s] is %q, want %q", q.key, q.section.Name, got, q.want)
		}
	}
	if _, ok := c.Snapshot("nosuch").Get("memory"); ok {
		t.Error("a snapshot that is not there has a value")
	}
	next := c.Head().With(c.Pending()).Values()
	for key, want := range map[string]string{"features": "nesting=1,keyctl=1", "timezone": "UTC", "memory": "1024", "onboot": ""} {
		if next[key] != want {
			t.Errorf("after the next start %s is %q, want %q", key, next[key], want)
		}
	}
	if _, ok := next["delete"]; ok {
		t.Error("delete is taken for an option")
	}
}

func TestConfigReadsWhatPeopleWriteByHand(t *testing.T) {
	c := ParseConfig(recorded(t)["byhand.conf"])
	h := c.Head()
	if got, _ := h.Get("memory"); got != "512" {
		t.Errorf("memory %q: want the last of two lines", got)
	}
	if got := h.Description(); got != "über: 100%\nsecond" {
		t.Errorf("description %q", got)
	}
	want := []RawOption{{"lxc.cgroup2.devices.allow", "c 10:200 rwm"}, {"lxc.mount.entry", "/dev/net/tun dev/net/tun none bind,create=file"}}
	if got := h.Raw(); !slices.Equal(got, want) {
		t.Errorf("raw options %q, want %q", got, want)
	}
	if got := h.Indexed("mp"); !reflect.DeepEqual(got, map[int]string{0: "/srv,mp=/host", 10: "local:900/vm-900-disk-3.raw,mp=/data,size=1G"}) {
		t.Errorf("mounts %v", got)
	}
	if v := h.Values(); v["nosuchkey"] != "1" || v["bogus line"] != "" {
		t.Errorf("values %q", v)
	}
}

func TestDescriptionLineOfTheOldForm(t *testing.T) {
	c := ParseConfig([]byte("description: hello%20world\nmemory: 5\n"))
	if got := c.Head().Values()["description"]; got != "hello world" {
		t.Errorf("description %q", got)
	}
}

func TestSetRawChangesTheHeadAlone(t *testing.T) {
	for name, data := range recorded(t) {
		c := ParseConfig(data)
		before := strings.Split(string(data), "\n")
		if err := c.Head().SetRaw([]RawOption{{"lxc.mount.auto", "sys:rw"}}); err != nil {
			t.Fatal(err)
		}
		again := ParseConfig(c.Bytes())
		if got := again.Head().Raw(); !slices.Equal(got, []RawOption{{"lxc.mount.auto", "sys:rw"}}) {
			t.Errorf("%s: raw options %q", name, got)
		}
		kept := func(lines []string, raw []RawOption) []string {
			return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
				return slices.ContainsFunc(raw, func(o RawOption) bool {
					m := rawLine.FindStringSubmatch(l)
					return m != nil && m[1] == o.Key && m[2] == o.Value
				})
			})
		}
		a := kept(before, ParseConfig(data).Head().Raw())
		b := kept(strings.Split(string(c.Bytes()), "\n"), again.Head().Raw())
		if !slices.Equal(a, b) {
			t.Errorf("%s: other lines changed:\n%q\n%q", name, a, b)
		}
	}
}

func TestSetRawRefusesWhatIsNotOneLine(t *testing.T) {
	for _, o := range []RawOption{{"lxc.x", "a\nmemory: 1"}, {"lxc.x", "a\rb"}, {"memory", "1"}, {"lxc.x", " padded"}, {"lxc.x y", "1"}, {"lxc.x", "\u2028"}} {
		c := ParseConfig([]byte("arch: amd64\n"))
		if err := c.Head().SetRaw([]RawOption{o}); err == nil {
			t.Errorf("%q is written: %s", o, c.Bytes())
		}
		if string(c.Bytes()) != "arch: amd64\n" {
			t.Errorf("%q: a refused write changed the section", o)
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, data := range recorded(f) {
		f.Add(data)
	}
	f.Add([]byte("[pve:pending]"))
	f.Add([]byte("lxc.a: b\r\n\r\n[ab]\nlxc.c = d"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := ParseConfig(data)
		if !bytes.Equal(c.Bytes(), data) {
			t.Fatalf("%q came back as %q", data, c.Bytes())
		}
		raw := []RawOption{{"lxc.mount.auto", "sys:rw"}, {"lxc.idmap", "u 0 100000 65536"}}
		head, pending := len(c.Head().options()), c.Pending().options()
		if err := c.Head().SetRaw(raw); err != nil {
			t.Fatal(err)
		}
		again := ParseConfig(c.Bytes())
		if !slices.Equal(again.Head().Raw(), raw) || len(again.Head().options()) != head || !slices.Equal(again.Pending().options(), pending) {
			t.Fatalf("%q became %q", data, c.Bytes())
		}
		c.Head().With(c.Pending()).Values()
	})
}

func TestDescriptionIsDecodedAsFarAsItIsEncoded(t *testing.T) {
	for line, want := range map[string]string{
		"#50% load%3A see %zz": "50% load: see %zz", "#%C3%BC%25": "ü%", "#%": "%", "#%4": "%4", "#%+1": "%+1", "#a%3": "a%3", "#%41": "A",
	} {
		if got := ParseConfig([]byte(line + "\n")).Head().Description(); got != want {
			t.Errorf("%s is %q, want %q", line, got, want)
		}
	}
}

func TestReplaceChangesOneOptionOfTheHead(t *testing.T) {
	const text = "#a note\nmp0: a:1,size=1G\r\nrootfs: a:0,size=4G\nlxc.cap.drop: rootfs\n\n[old]\nrootfs: a:0,size=2G\n"
	c := ParseConfig([]byte(text))
	if err := c.Head().Replace("rootfs", "a:0,size=8G"); err != nil {
		t.Fatal(err)
	}
	if got, want := string(c.Bytes()), strings.Replace(text, "size=4G", "size=8G", 1); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for key, value := range map[string]string{"mp1": "a:1", "rootfs": "a:0\nlxc.cap.drop:", "mp0": "", "ROOT": "x"} {
		if c.Head().Replace(key, value) == nil {
			t.Errorf("%s: %q was written", key, value)
		}
	}
}
