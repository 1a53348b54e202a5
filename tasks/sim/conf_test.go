package sim

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestAHandEditedConfigurationIsNormalisedWhenWritten(t *testing.T) {
	const edited = "swap: 0\n\n#first line\nmemory: 64\nlxc.cap.drop = sys_admin\narch: amd64\n#umlaut %C3%BC\nmemory: 128\n" +
		"lxc.mount.entry: /a b none bind\n[s1]\nmemory: 32\n[pve:pending]\ntty: 3\n"
	const want = "#first line\n#umlaut %C3%BC\narch: amd64\nmemory: 128\nswap: 0\nlxc.cap.drop: sys_admin\nlxc.mount.entry: /a b none bind\n" +
		"\n[pve:pending]\ntty: 3\n\n[s1]\nmemory: 32\n"
	cfg, warnings := parseConfig(900, []byte(edited))
	if len(warnings) != 0 {
		t.Errorf("warnings: %q", warnings)
	}
	if got := string(cfg.bytes()); got != want {
		t.Errorf("written as\n%s\nwant\n%s", got, want)
	}
	if got := cfg.keys["description"]; got != "first line\numlaut ü\n" {
		t.Errorf("description %q", got)
	}
}

func TestGarbageInAConfigurationIsWarnedOfInProxmoxsWords(t *testing.T) {
	cfg, warnings := parseConfig(900, []byte("bogus line\nnosuchkey: 1\nmemory: abc\nlxc.foo.bar: 1\ncores: 2\n"))
	want := []string{
		"vm 900 - unable to parse config: bogus line",
		"vm 900 - unable to parse value of 'nosuchkey' - unknown setting 'nosuchkey'",
		"vm 900 - unable to parse value of 'memory' - type check ('integer') failed - got 'abc'",
		"vm 900 - unable to parse config: lxc.foo.bar: 1",
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("warnings\n%s", strings.Join(warnings, "\n"))
	}
	// Bad lines go at the next write; bad values and unknown keys stay.
	if got := string(cfg.bytes()); got != "cores: 2\nmemory: abc\nnosuchkey: 1\n" {
		t.Errorf("written as\n%s", got)
	}
}

func TestPendingDeletesAreNamedWithoutTheirMark(t *testing.T) {
	cfg, _ := parseConfig(900, []byte("tty: 1\n[pve:pending]\ndelete: !tty,cmode\n"))
	if got := cfg.deletes(); !slices.Equal(got, []string{"tty", "cmode"}) {
		t.Errorf("deletes %q", got)
	}
	if s := cfg.withPending(); s.keys["tty"] != "" || cfg.keys["tty"] != "1" {
		t.Errorf("with pending: %q, live: %q", s.keys["tty"], cfg.keys["tty"])
	}
	cfg.dropDelete("tty")
	cfg.dropDelete("cmode")
	if strings.Contains(string(cfg.bytes()), "pending") {
		t.Errorf("an empty pending section is written:\n%s", cfg.bytes())
	}
}

func FuzzWritingAConfigurationTwiceChangesNothing(f *testing.F) {
	f.Add([]byte("#a\narch: amd64\nlxc.cap.drop: x\n[pve:pending]\ndelete: tty\n[s1]\nmemory: 1\n"))
	f.Add([]byte("description: a%0Ab\nfeatures: \nmp0: /a,mp=/b\n[x]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, _ := parseConfig(900, data)
		once := first.bytes()
		second, _ := parseConfig(900, once)
		if twice := second.bytes(); !bytes.Equal(once, twice) {
			t.Errorf("written\n%q\nthen\n%q", once, twice)
		}
	})
}

func TestTextIsEncodedAsProxmoxDoes(t *testing.T) {
	for text, want := range map[string]string{
		"plain # text":  "plain # text",
		"two: ü%\ttab":  "two%3A %C3%BC%25%09tab",
		"line\nbreak\r": "line%0Abreak%0D",
	} {
		if got := encodeText(text); got != want {
			t.Errorf("encode %q: %q, want %q", text, got, want)
		}
		if got := decodeText(want); got != text {
			t.Errorf("decode %q: %q, want %q", want, got, text)
		}
	}
	if got := decodeText("100% %zz %4"); got != "100% %zz %4" {
		t.Errorf("what is no code changed: %q", got)
	}
}

func TestTheListOfGuestsKeepsTheVersionsOfWhatDidNotChange(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	first := b.m.guestVersion(t, "900")
	b.must("pct", "create", "901", debian, "--rootfs", "local:1")
	if got := b.m.guestVersion(t, "900"); got != first {
		t.Errorf("version %d became %d", first, got)
	}
	b.must("pct", "set", "900", "--memory", "64")
	if got := b.m.guestVersion(t, "900"); got <= first {
		t.Errorf("version %d stayed %d after a change", first, got)
	}
}
