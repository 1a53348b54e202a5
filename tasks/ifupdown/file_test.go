package ifupdown_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/ifupdown"
	"phoenix/tasks/taskstest"
)

// byHand is a file as people write them: odd indentation, comments, underscores, a
// line that goes on, options that nobody knows, no line break at the end.
const byHand = "# mine\r\n\nauto lo vmbr0 eno1\niface lo inet loopback\n\n# the uplink\niface vmbr0 inet static\n    address  10.0.0.2\n    netmask 255.255.255.0\n" +
	"    bridge_ports eno1 \\\n        eno2\n  frobnicate yes\n    post-up echo one; \\\n      iface echo two\n# behind the options\n\n# of the next one\niface eno1 inet manual\n\nmapping foo\n\tscript x\ngarbage\nsource /etc/network/interfaces.d/*"

func stanza(t *testing.T, f *ifupdown.File, name string) *ifupdown.Stanza {
	t.Helper()
	for _, s := range f.Stanzas() {
		if s.Keyword() == "iface" && s.Name() == name {
			return s
		}
	}
	t.Fatalf("there is no iface %s in\n%s", name, f.Bytes())
	return nil
}

func proxmox(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/proxmox.interfaces")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFile_whatIsNotEditedStaysByteForByte(t *testing.T) {
	for _, text := range []string{"", "\n", "auto lo", byHand, proxmox(t), "a\\\n\\\n", "iface x\n\\\n", "\\"} {
		if got := string(ifupdown.Parse("x", []byte(text)).Bytes()); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
}

func TestStanza_readsAsIfupdown2Does(t *testing.T) {
	s := stanza(t, ifupdown.Parse("x", []byte(byHand)), "vmbr0")
	for key, want := range map[string][]string{
		"address": {"10.0.0.2"}, "netmask": {"255.255.255.0"}, "bridge-ports": {"eno1 eno2"}, "frobnicate": {"yes"},
		"post-up": {"echo one; iface echo two"}, "gateway": nil,
	} {
		if got := s.Values(key); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if s.Family() != "inet" || s.Method() != "static" || s.Comment() != "behind the options" {
		t.Errorf("family %q, method %q, comment %q", s.Family(), s.Method(), s.Comment())
	}
	if got := stanza(t, ifupdown.Parse("x", []byte("iface a inet manual\n  up ip link set $IFACE up\n")), "a").Values("up"); got[0] != "ip link set a up" {
		t.Errorf("up is %q", got)
	}
}

// TestStanza_edits changes one thing each in byHand; every other byte stays.
func TestStanza_edits(t *testing.T) {
	for _, tc := range []struct {
		name     string
		edit     func(s *ifupdown.Stanza) error
		old, new string
	}{
		{"an option keeps its place, its spelling and its indentation", func(s *ifupdown.Stanza) error { return s.Set("bridge-ports", "eno3") },
			"    bridge_ports eno1 \\\n        eno2\n", "    bridge_ports eno3\n"},
		{"a new option comes behind the last", func(s *ifupdown.Stanza) error { return s.Set("mtu", "9000") },
			"      iface echo two\n", "      iface echo two\n    mtu 9000\n"},
		{"an option is taken out", func(s *ifupdown.Stanza) error { return s.Set("netmask") }, "    netmask 255.255.255.0\n", ""},
		{"one option becomes several", func(s *ifupdown.Stanza) error { return s.Set("address", "10.0.0.3/24", "10.0.0.4/24") },
			"    address  10.0.0.2\n", "    address 10.0.0.3/24\n    address 10.0.0.4/24\n"},
		{"the comment behind the options is replaced", func(s *ifupdown.Stanza) error { return s.SetComment("new") }, "# behind the options\n", "#new\n"},
		{"the method changes", func(s *ifupdown.Stanza) error { return s.SetMethod("manual") }, "iface vmbr0 inet static\n", "iface vmbr0 inet manual\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := ifupdown.Parse("x", []byte(byHand))
			if err := tc.edit(stanza(t, f, "vmbr0")); err != nil {
				t.Fatal(err)
			}
			if want := strings.Replace(byHand, tc.old, tc.new, 1); string(f.Bytes()) != want {
				t.Errorf("got\n%s\nwant\n%s", f.Bytes(), want)
			}
		})
	}
}

func TestStanza_refusesWhatWouldNotComeBack(t *testing.T) {
	for _, v := range []string{"a\nauto b", "a\\", "", " a", "a\t", "a\x00b", "a ${b}", "<% x %>", "a\rb"} {
		f := ifupdown.Parse("x", []byte(byHand))
		if err := stanza(t, f, "vmbr0").Set("post-up", v); err == nil {
			t.Errorf("the value %q was written:\n%s", v, f.Bytes())
		}
		if string(f.Bytes()) != byHand {
			t.Errorf("after refusing %q the file is\n%s", v, f.Bytes())
		}
	}
	if err := stanza(t, ifupdown.Parse("x", []byte(byHand)), "vmbr0").SetComment("a\\"); err == nil {
		t.Error("a comment that eats the next line was written")
	}
}

func added(t *testing.T) []*ifupdown.Stanza {
	t.Helper()
	a, err := ifupdown.NewStanza("auto", "vmbr9")
	if err != nil {
		t.Fatal(err)
	}
	i, err := ifupdown.NewStanza("iface", "vmbr9", "inet", "manual")
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Set("bridge-ports", "none"); err != nil {
		t.Fatal(err)
	}
	return []*ifupdown.Stanza{a, i}
}

func TestFile_aNewStanzaStandsBeforeTheLastSourceLines(t *testing.T) {
	const text = "auto vmbr9\niface vmbr9 inet manual\n\tbridge-ports none\n"
	for _, tc := range []struct{ name, old, new string }{
		{"an empty file", "", text},
		{"only comments", "# mine", "# mine\n\n" + text},
		{"no line break at the end", "auto lo\niface lo inet loopback", "auto lo\niface lo inet loopback\n\n" + text},
		{"Proxmox's file", proxmox(t), strings.Replace(proxmox(t), "source /etc", text+"\nsource /etc", 1)},
		{"a source line alone", "source /etc/network/interfaces.d/*\n", text + "\nsource /etc/network/interfaces.d/*\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := ifupdown.Parse("x", []byte(tc.old))
			f.Append(added(t)...)
			if string(f.Bytes()) != tc.new {
				t.Errorf("got\n%s\nwant\n%s", f.Bytes(), tc.new)
			}
		})
	}
}

func TestRead_followsWhatIsSourced(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{
		ifupdown.Main:                        "auto lo\nsource /etc/network/interfaces.d/*\nsource interfaces.d/*\nauto late\n",
		"/etc/network/interfaces.d/b":        "iface late inet manual\n",
		"/etc/network/interfaces.d/a":        "auto vmbr0\niface vmbr0 inet static\n\taddress 10.0.0.2/24\n",
		"/etc/network/interfaces.d/.hidden":  "iface vmbr0 inet static\n\taddress 10.9.9.9/24\n",
		"/etc/network/interfaces.d/folder/x": "iface vmbr0 inet static\n\taddress 10.8.8.8/24\n",
	})
	c, err := ifupdown.Read(h)
	if err != nil {
		t.Fatal(err)
	}
	i, err := c.Interface("vmbr0")
	if err != nil || !i.Auto || len(i.Stanzas) != 1 || i.Files[0].Path != "/etc/network/interfaces.d/a" {
		t.Errorf("%+v, %v", i, err)
	}
	if late, err := c.Interface("late"); err != nil || late.Auto || len(late.Stanzas) != 1 {
		t.Errorf("an auto line behind the stanza counts: %+v, %v", late, err)
	}
}

func TestRead_saysWhatItCannotEdit(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{ifupdown.Main: "auto lo\n% for i in range(3):\niface eth${i} inet manual\n% endfor\n"})
	if _, err := ifupdown.Read(h); err == nil || !strings.Contains(err.Error(), "line 2 is a template") {
		t.Errorf("a template was read: %v", err)
	}
	h = taskstest.NewTree(t, map[string]string{ifupdown.Main: "auto lo\niface lo inet loopback \\\n"})
	if _, err := ifupdown.Read(h); err == nil || !strings.Contains(err.Error(), "backslash") {
		t.Errorf("a line that would join the next was read: %v", err)
	}
	h = taskstest.NewTree(t, map[string]string{ifupdown.Main: "iface vmbr[0-3] inet manual\n"})
	c, err := ifupdown.Read(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Interface("vmbr2"); err == nil {
		t.Error("a stanza for a range of names was taken for none")
	}
}

func TestConfig_auto(t *testing.T) {
	for _, tc := range []struct {
		name, old, new string
		auto           bool
	}{
		{"the name goes, the others stay", "auto lo vmbr0\niface vmbr0 inet manual\n", "auto lo\niface vmbr0 inet manual\n", false},
		{"a line of its own goes as a whole", "iface lo inet loopback\n\nauto vmbr0\n# why\niface vmbr0 inet manual\n", "iface lo inet loopback\n\n# why\niface vmbr0 inet manual\n", false},
		{"it comes right before the stanza", "# a\n\n# why\niface vmbr0 inet manual\n", "# a\n\n# why\nauto vmbr0\niface vmbr0 inet manual\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := ifupdown.Read(taskstest.NewTree(t, map[string]string{ifupdown.Main: tc.old}))
			if err != nil {
				t.Fatal(err)
			}
			i, err := c.Interface("vmbr0")
			if err == nil {
				err = c.SetAuto(i, tc.auto)
			}
			if got := string(c.Files[0].Bytes()); err != nil || got != tc.new {
				t.Errorf("%v\n%s\nwant\n%s", err, got, tc.new)
			}
		})
	}
}

// FuzzFile holds that a file comes back as it was, and that an edit changes what it
// says and no line beside it.
func FuzzFile(f *testing.F) {
	f.Add(byHand, "9000")
	f.Add(proxmox(f), "1 2")
	f.Add("iface vmbr0\nmtu 1\\\n\\\n 2\n# x \\\nmtu 3", "a#b")
	f.Fuzz(func(t *testing.T, text, value string) {
		file := ifupdown.Parse("x", []byte(text))
		if got := string(file.Bytes()); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
		if edge := strings.Trim(text, " \t\r\n"); strings.HasPrefix(edge, `\`) || strings.HasSuffix(edge, `\`) {
			return // which Read refuses
		}
		stanzas := file.Stanzas()
		for n, s := range stanzas {
			if s.Keyword() != "iface" || s.Set("mtu", value) != nil {
				continue
			}
			again := ifupdown.Parse("x", file.Bytes())
			if string(again.Bytes()) != string(file.Bytes()) || len(again.Stanzas()) != len(stanzas) {
				t.Fatalf("after the edit %q parses as another file", file.Bytes())
			}
			if got := again.Stanzas()[n].Values("mtu"); len(got) != 1 || got[0] != strings.ReplaceAll(value, "$IFACE", s.Name()) {
				t.Fatalf("%q was written and %q read from %q", value, got, file.Bytes())
			}
			for m, other := range ifupdown.Parse("x", []byte(text)).Stanzas() {
				if m > n && other.Text() != again.Stanzas()[m].Text() {
					t.Fatalf("stanza %d was %q and is %q", m, other.Text(), again.Stanzas()[m].Text())
				}
			}
			return
		}
	})
}
