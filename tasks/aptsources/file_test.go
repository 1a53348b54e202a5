package aptsources_test

import (
	"bytes"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/aptsources"
	"phoenix/tasks/taskstest"
)

const (
	lines = `# See sources.list(5).
#deb cdrom:[Debian GNU/Linux 12 _Bookworm_ - amd64]/ bookworm main

deb http://deb.debian.org/debian bookworm main contrib # the base
deb-src [ arch=amd64,arm64 signed-by=/usr/share/keyrings/d.gpg ] http://deb.debian.org/debian/ bookworm main
# deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise
deb http://example.org/flat ./
rubbish
`
	stanzas = `# Proxmox's own.
Types: deb
URIs: http://download.proxmox.com/debian/pve
Suites: trixie
# two of them
Components: pve-no-subscription pve-test
Signed-By: /usr/share/keyrings/proxmox-archive-keyring.gpg

Types: deb deb-src
URIs:
 http://a.example/debian
 http://b.example/debian
suites: trixie trixie-updates
Components: main
Enabled: No
X-Note: kept
`
)

func parse(name, text string) *aptsources.File {
	return aptsources.Parse(aptsources.Dir+"/"+name, []byte(text))
}

func TestParse_readsBothFormats(t *testing.T) {
	f := parse("x.list", lines)
	if len(f.Entries) != 5 {
		t.Fatalf("%d entries: %+v", len(f.Entries), f.Entries)
	}
	cdrom, src, enterprise, flat := f.Entries[0], f.Entries[2], f.Entries[3], f.Entries[4]
	g := parse("x.sources", stanzas)
	if len(g.Entries) != 2 {
		t.Fatalf("%d stanzas: %+v", len(g.Entries), g.Entries)
	}
	pve, mirrors := g.Entries[0], g.Entries[1]
	for name, ok := range map[string]bool{
		"a blank inside brackets splits nothing":      !cdrom.Enabled && cdrom.URIs[0] == "cdrom:[Debian GNU/Linux 12 _Bookworm_ - amd64]/",
		"options are read":                            src.SignedBy == "/usr/share/keyrings/d.gpg" && slices.Equal(src.Architectures, []string{"amd64", "arm64"}),
		"the last slash of an address means nothing":  src.Has("deb-src", "http://deb.debian.org/debian", "bookworm", "main"),
		"a type is its own":                           !src.Has("deb", "http://deb.debian.org/debian", "bookworm", "main"),
		"what is behind # is switched off":            !enterprise.Enabled && enterprise.Has("deb", "https://enterprise.proxmox.com/debian/pve", "bookworm", "pve-enterprise"),
		"a path instead of a suite has no components": flat.Enabled && flat.Has("deb", "http://example.org/flat", "./", ""),
		"an entry has its line":                       f.At(2) == "/etc/apt/sources.list.d/x.list:5" && g.At(1) == "/etc/apt/sources.list.d/x.sources:9",
		"a comment in a stanza is none of its fields": pve.Enabled && slices.Equal(pve.Components, []string{"pve-no-subscription", "pve-test"}),
		"names of fields have no case":                slices.Equal(mirrors.Suites, []string{"trixie", "trixie-updates"}),
		"a value can go on below":                     len(mirrors.URIs) == 2,
		"a stanza can be switched off":                !mirrors.Enabled,
	} {
		if !ok {
			t.Errorf("not so: %s", name)
		}
	}
}

func TestEdits_keepAllElseByteForByte(t *testing.T) {
	enterprise := func(c string) bool { return strings.HasSuffix(c, "enterprise") || c == "pve-test" }
	for _, tc := range []struct {
		name, file, text string
		edit             func(f *aptsources.File)
		old, new         string
	}{
		{"a line is switched off", "x.list", lines, func(f *aptsources.File) { f.Enable(1, false) }, "deb http://deb.debian.org/debian bookworm main", "# deb http://deb.debian.org/debian bookworm main"},
		{"a line is switched on", "x.list", lines, func(f *aptsources.File) { f.Enable(3, true) }, "# deb https", "deb https"},
		{"a component goes from a line", "x.list", lines, func(f *aptsources.File) { f.Drop(1, func(c string) bool { return c == "main" }) }, "bookworm main contrib #", "bookworm contrib #"},
		{"a suite that is called like a component stays", "x.list", "deb http://x main main other\n", func(f *aptsources.File) { f.Drop(0, func(c string) bool { return c == "main" }) }, "main main", "main"},
		{"also behind options", "x.list", "deb [ arch=amd64 ] http://x main main other\n", func(f *aptsources.File) { f.Drop(0, func(c string) bool { return c == "main" }) }, "main main", "main"},
		{"the last component is not dropped", "x.list", lines, func(f *aptsources.File) { f.Drop(2, func(string) bool { return true }) }, "deb-src [", "# deb-src ["},
		{"what is off stays as it is", "x.list", lines, func(f *aptsources.File) { f.Drop(3, enterprise) }, "", ""},
		{"a component goes from a stanza", "x.sources", stanzas, func(f *aptsources.File) { f.Drop(0, enterprise) }, "Components: pve-no-subscription pve-test", "Components: pve-no-subscription"},
		{"a stanza is switched on", "x.sources", stanzas, func(f *aptsources.File) { f.Enable(1, true) }, "Enabled: No", "Enabled: yes"},
		{"a stanza is switched off", "x.sources", stanzas, func(f *aptsources.File) { f.Enable(0, false) }, "keyring.gpg\n", "keyring.gpg\nEnabled: no\n"},
		{"a value of several lines is replaced", "x.sources", stanzas, func(f *aptsources.File) { f.Set(1, "URIs", "http://c.example") }, "URIs:\n http://a.example/debian\n http://b.example/debian\n", "URIs: http://c.example\n"},
		{"a field that is there twice is there once", "x.sources", "Types: deb\nURIs: http://a\nSuites: s\nComponents: a\nX: y\nComponents: b\n", func(f *aptsources.File) { f.Set(0, "Components", "c") }, "Components: a\nX: y\nComponents: b\n", "Components: c\nX: y\n"},
		{"a file without a last line break", "x.sources", "Types: deb\nURIs: http://a\nSuites: ./", func(f *aptsources.File) { f.Enable(0, false) }, "./", "./\nEnabled: no\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := parse(tc.file, tc.text)
			tc.edit(f)
			if want := strings.Replace(tc.text, tc.old, tc.new, 1); string(f.Bytes()) != want {
				t.Errorf("got\n%s\nwant\n%s", f.Bytes(), want)
			}
		})
	}
}

// key has the form of a key and is none.
const key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: made up\n\nmQINBFit2ioBEADhWpZ8/wvZ6hUTiXOwQHXMAlaFHcPH9hAtr4F1y2+OYdbtMuth\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----"

func stanza() aptsources.Stanza {
	return aptsources.Stanza{
		Types: []string{"deb", "deb-src"}, URIs: []string{"https://download.docker.com/linux/debian"}, Suites: []string{"bookworm"},
		Components: []string{"stable", "test"}, Architectures: []string{"amd64"}, SignedBy: key, Disabled: true,
	}
}

// The golden file was read by apt 2.6.1: apt-get indextargets.
func TestStanza_isWrittenAsAptReadsIt(t *testing.T) {
	want, err := os.ReadFile("testdata/docker.sources")
	if err != nil {
		t.Fatal(err)
	}
	if got := stanza().String(); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestStanza_comesBackAsItWas(t *testing.T) {
	f := parse("x.sources", "# first\n\n"+stanzas)
	f.Append(stanza())
	if !bytes.HasPrefix(f.Bytes(), []byte("# first\n\n"+stanzas+"\nTypes: deb deb-src\n")) {
		t.Errorf("appended\n%s", f.Bytes())
	}
	e, want := f.Entries[2], stanza()
	got := aptsources.Stanza{Types: e.Types, URIs: e.URIs, Suites: e.Suites, Components: e.Components, Architectures: e.Architectures, SignedBy: e.SignedBy, Disabled: !e.Enabled}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRead_takesTheFilesThatAptTakes(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{
		aptsources.MainFile: lines, aptsources.Dir + "/a.list": "", aptsources.Dir + "/b.sources": stanzas,
		aptsources.Dir + "/c.list.bak": lines, aptsources.Dir + "/.d.list": lines, aptsources.Dir + "/e~.list": lines,
	})
	files, err := aptsources.Read(h)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Path)
	}
	if want := []string{aptsources.MainFile, aptsources.Dir + "/a.list", aptsources.Dir + "/b.sources"}; !slices.Equal(got, want) {
		t.Errorf("read %q", got)
	}
	if files, err := aptsources.Read(taskstest.NewTree(t, nil)); len(files) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", files, err)
	}
}

// The names are those of apt 2.6.1: apt-get update --print-uris.
func TestListName_isAptsOwn(t *testing.T) {
	for _, tc := range []struct{ uri, suite, want string }{
		{"http://deb.debian.org/debian/", "bookworm", "deb.debian.org_debian_dists_bookworm_"},
		{"http://h.example/q+r/s t", "foo/updates", "h.example_q+r_s%20t_dists_foo_updates_"},
		{"http://x.example/a@b/c,d;e=f", "foo", "x.example_a%40b_c,d;e%3df_dists_foo_"},
		{"file:/srv/repo", "./", "_srv_repo_._"},
		{"https://h.example/debian/", "/", "h.example_debian_"},
	} {
		if got := aptsources.ListName(tc.uri, tc.suite); got != tc.want {
			t.Errorf("%s %s: %s, want %s", tc.uri, tc.suite, got, tc.want)
		}
	}
}

func FuzzEdits_changeOneEntryOnly(f *testing.F) {
	f.Add(lines, false)
	f.Add(stanzas, true)
	f.Add("Types: deb\nURIs: x:\nSuites: ./\nEnabled: no\n Enabled\n", true)
	f.Fuzz(func(t *testing.T, text string, deb822 bool) {
		name := map[bool]string{true: "x.sources", false: "x.list"}[deb822]
		if got := parse(name, text).Bytes(); string(got) != text {
			t.Fatalf("%q is written as %q", text, got)
		}
		for i := range parse(name, text).Entries {
			file := parse(name, text)
			before := slices.Clone(file.Entries)
			file.Enable(i, !before[i].Enabled)
			if len(file.Entries) != len(before) {
				t.Fatalf("%q: %d entries became %d in %q", text, len(before), len(file.Entries), file.Bytes())
			}
			for n, e := range file.Entries {
				if e.Enabled != (before[n].Enabled != (n == i)) {
					t.Errorf("%q: entry %d is wrong after switching %d: %q", text, n, i, file.Bytes())
				}
				if !slices.Equal(e.URIs, before[n].URIs) || !slices.Equal(e.Suites, before[n].Suites) || !slices.Equal(e.Components, before[n].Components) {
					t.Errorf("%q: entry %d became another: %q", text, n, file.Bytes())
				}
			}
		}
	})
}
