package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const value = "hunter2-value"

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// seal encrypts text with age for a recipient.
func seal(t *testing.T, to age.Recipient, text string, armored bool) string {
	t.Helper()
	var b bytes.Buffer
	var out io.Writer = &b
	closeArmor := func() error { return nil }
	if armored {
		w := armor.NewWriter(&b)
		out, closeArmor = w, w.Close
	}
	w, err := age.Encrypt(out, to)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err := errors.Join(err, w.Close(), closeArmor()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func resolver(sources map[string]Source) *Resolver {
	return &Resolver{Sources: sources, UID: os.Getuid(), Env: func(string) (string, bool) { return "", false }}
}

func TestEachSourceGivesItsValue(t *testing.T) {
	id := identity(t)
	r := resolver(map[string]Source{
		"env":     {Env: "PW"},
		"file":    {File: write(t, "f", value+"\n", 0o600)},
		"crlf":    {File: write(t, "f", value+"\r\n", 0o400)},
		"command": {Command: []string{"printf", "%s\n\n", value}},
		"age":     {Age: write(t, "s.age", seal(t, id.Recipient(), "other: x\nage: "+value+"\n", false), 0o644)},
		"armored": {Age: write(t, "s.age", seal(t, id.Recipient(), `{"k": "`+value+`"}`, true), 0o644), Key: "k"},
	})
	key := write(t, "age.key", "# created today\n"+id.String()+"\n", 0o600)
	r.Env = func(name string) (string, bool) {
		v, ok := map[string]string{"PW": value, "PHOENIX_AGE_IDENTITY": key}[name]
		return v, ok
	}
	got, err := r.Resolve(t.Context(), []string{"env", "file", "crlf", "command", "age", "armored", "env"})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range got {
		want := value
		if name == "command" {
			want += "\n" // only one line end is taken off
		}
		if v != want {
			t.Errorf("%s is %q", name, v)
		}
	}
	if len(got) != 6 {
		t.Errorf("got %d values", len(got))
	}
}

func TestIdentitiesAreFoundInTheHomeDirectoryAndUnlocked(t *testing.T) {
	id := identity(t)
	scrypt, err := age.NewScryptRecipient("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	scrypt.SetWorkFactor(10)
	home := t.TempDir()
	dir := filepath.Join(home, ".config", "phoenix")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "age.key"), []byte(seal(t, scrypt, id.String(), true)), 0o600)); err != nil {
		t.Fatal(err)
	}
	r := resolver(map[string]Source{"s": {Age: write(t, "s.age", seal(t, id.Recipient(), "s: "+value, false), 0o600)}})
	r.Home = home
	if _, err := r.Resolve(t.Context(), []string{"s"}); err == nil || !strings.Contains(err.Error(), "no terminal to ask on") {
		t.Errorf("without a prompt: %v", err)
	}
	r.Prompt = func(string) (string, error) { return "open simsim", nil }
	if _, err := r.Resolve(t.Context(), []string{"s"}); err == nil || !strings.Contains(err.Error(), "wrong passphrase") {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	r.Prompt = func(string) (string, error) { return "open sesame", nil }
	if got, err := r.Resolve(t.Context(), []string{"s"}); err != nil || got["s"] != value {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestRefusalsSayWhyAndHoldNoValue(t *testing.T) {
	id, other := identity(t), identity(t)
	key := write(t, "age.key", id.String(), 0o600)
	sealed := func(text string) string { return write(t, "s.age", seal(t, id.Recipient(), text, false), 0o600) }
	cases := map[string]struct {
		source Source
		want   string
	}{
		"a variable that is not set":     {Source{Env: "NO"}, "read environment variable NO: it is not set"},
		"a file that others can read":    {Source{File: write(t, "f", value, 0o644)}, "others can read or write it (mode 0644; chmod 600 "},
		"a file that the group reads":    {Source{File: write(t, "f", value, 0o640)}, "mode 0640"},
		"a file that is not there":       {Source{File: "/no/such"}, "read /no/such: no such file or directory"},
		"a directory":                    {Source{File: t.TempDir()}, "not a regular file"},
		"an empty file":                  {Source{File: write(t, "f", "\n", 0o600)}, "the value is empty"},
		"a file that is too large":       {Source{File: write(t, "f", strings.Repeat(value, 100_000), 0o600)}, "more than 1048576 bytes"},
		"a command that fails":           {Source{Command: []string{"sh", "-c", "echo " + value + "; echo " + value + " >&2; exit 3"}}, "run sh: exit status 3"},
		"a command that is not there":    {Source{Command: []string{"no-such-program-here"}}, "executable file not found"},
		"an age file without the key":    {Source{Age: sealed("x: " + value)}, `it has no text under the key "s"`},
		"an age file that is a text":     {Source{Age: sealed(value)}, "it is not a YAML or JSON object"},
		"an age file that is broken":     {Source{Age: sealed("a: [" + value)}, "it is not a YAML or JSON object"},
		"an age file with a list":        {Source{Age: sealed("s: [" + value + "]")}, `it has no text under the key "s"`},
		"an age file for somebody else":  {Source{Age: write(t, "s.age", seal(t, other.Recipient(), "s: "+value, false), 0o600)}, "no identity in " + key + " fits"},
		"a file that is not age at all":  {Source{Age: write(t, "s.age", "s: "+value, 0o600)}, "not a file encrypted with age, or it is damaged"},
		"an age file that was cut short": {Source{Age: write(t, "s.age", seal(t, id.Recipient(), "s: "+value, false)[:200], 0o600)}, "decrypt "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := resolver(map[string]Source{"s": c.source})
			r.Env = func(name string) (string, bool) { return key, name == "PHOENIX_AGE_IDENTITY" }
			got, err := r.Resolve(t.Context(), []string{"s"})
			if err == nil || got != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "resolve secret s: ") {
				t.Fatalf("got %v, %v; want %q", got, err, c.want)
			}
			if strings.Contains(err.Error(), value) {
				t.Errorf("the error holds the value: %v", err)
			}
		})
	}
}

func TestAFileOfSomebodyElseIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("only root can make a file of somebody else; the check is that of the UID field")
		r := resolver(map[string]Source{"s": {File: write(t, "f", value, 0o600)}})
		r.UID++
		if _, err := r.Resolve(t.Context(), []string{"s"}); err == nil || !strings.Contains(err.Error(), "neither to you nor to root") {
			t.Error(err)
		}
		return
	}
	path := write(t, "f", value, 0o600)
	if err := os.Chown(path, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	_, err := resolver(map[string]Source{"s": {File: path}}).Resolve(t.Context(), []string{"s"})
	if err == nil || !strings.Contains(err.Error(), "it belongs to user 4711, neither to you nor to root") {
		t.Error(err)
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	r := resolver(map[string]Source{"a": {Env: "A"}, "b": {File: "/no/such"}})
	_, err := r.Resolve(t.Context(), []string{"b", "a", "c"})
	want := "resolve secret a: read environment variable A: it is not set\n" +
		"resolve secret b: read /no/such: no such file or directory\n" +
		"resolve secret c: find its source: the inventory knows only a, b"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestACommandThatHangsIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver(map[string]Source{"s": {Command: []string{"pass"}, TimeoutS: 5}})
		r.Run = func(ctx context.Context, _ []string) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		_, err := r.Resolve(t.Context(), []string{"s"})
		if err == nil || !strings.Contains(err.Error(), "run pass: no end after 5s (timeout_s)") {
			t.Error(err)
		}
	})
}

func TestASourceIsExactlyOneThing(t *testing.T) {
	for _, c := range []struct {
		source Source
		faults int
	}{
		{Source{Env: "A"}, 0}, {Source{Age: "f", Key: "k"}, 0}, {Source{Command: []string{"x"}, TimeoutS: 1}, 0},
		{Source{}, 1}, {Source{Env: "A", File: "b"}, 1}, {Source{Env: "A", Key: "k"}, 1}, {Source{Env: "A", TimeoutS: 3}, 1}, {Source{Command: []string{" "}}, 1},
	} {
		if got := c.source.Validate(); len(got) != c.faults {
			t.Errorf("%+v: %v", c.source, got)
		}
	}
}

func TestStringNamesThePlaceOnly(t *testing.T) {
	got := fmt.Sprint(Source{Env: "A"}, Source{File: "f"}, Source{Command: []string{"pass", "show", "x"}}, Source{Age: "g"}, Source{})
	if want := "environment variable A file f command pass age file g nowhere"; got != want {
		t.Errorf("got %q", got)
	}
}
