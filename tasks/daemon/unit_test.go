package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUnit_quotesAsSystemdReads(t *testing.T) {
	s := &Service{
		Name: "web", Description: "50% web", User: "app", WorkingDirectory: "/srv/a b%",
		Command:     []string{"/opt/web/venv/bin/x", "plain", "two words", `a "b" \c`, "100%", "$HOME", "", ";", "'"},
		Environment: map[string]string{"B": `x "y" $z %h \n`, "A": "1"},
	}
	lines := strings.Split(s.unit(), "\n")
	for _, want := range []string{
		"Description=50%% web", "User=app", "WorkingDirectory=/srv/a b%%", "StateDirectory=phoenix-web",
		"Environment=HOME=/var/lib/phoenix-web", "Environment=A=1", `Environment="B=x \"y\" $z %%h \\n"`,
		`ExecStart=/opt/web/venv/bin/x plain "two words" "a \"b\" \\c" "100%%" $$HOME "" ";" "'"`,
		"Restart=on-failure", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "WantedBy=multi-user.target",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the unit lacks %s:\n%s", want, s.unit())
		}
	}
}

func TestUnit_ofRootKeepsItsCapabilities(t *testing.T) {
	text := (&Service{Name: "a", User: "root", Command: []string{"/bin/a"}}).unit()
	if strings.Contains(text, "CapabilityBoundingSet") || strings.Contains(text, "User=") || strings.Contains(text, "EnvironmentFile") {
		t.Errorf("the unit is\n%s", text)
	}
}

func TestEnvLine_quotesAsSystemdReads(t *testing.T) {
	if got, want := envLine("A", "b\"c\\d$e`f g#h"), "A=\"b\\\"c\\\\d\\$e\\`f g#h\"\n"; got != want {
		t.Errorf("wrote %s, want %s", got, want)
	}
}

// FuzzUnit: whatever Validate accepts adds no line to the unit, and no word to its command.
func FuzzUnit(f *testing.F) {
	f.Add("a b", "c", `d"e\`)
	f.Add("%n", "$X", "x\nUser=root")
	f.Fuzz(func(t *testing.T, word, value, directory string) {
		s := &Service{Name: "a", Command: []string{"/bin/a", word}, Environment: map[string]string{"A": value}, WorkingDirectory: "/" + directory}
		if !utf8.ValidString(word+value+directory) || len(s.Validate()) > 0 {
			return
		}
		plain := &Service{Name: "a", Command: []string{"/bin/a", "b"}, Environment: map[string]string{"A": "c"}}
		if got, want := strings.Count(s.unit(), "\n"), strings.Count(plain.unit(), "\n"); got != want {
			t.Errorf("%d lines, want %d:\n%s", got, want, s.unit())
		}
		if got := unquoted(t, quote(word)); got != word {
			t.Errorf("%q is read as %q", word, got)
		}
	})
}

// unquoted reads one word as systemd.syntax(7) says.
func unquoted(t *testing.T, text string) string {
	if !strings.HasPrefix(text, `"`) {
		if strings.ContainsAny(text, " \t'\"\\%;") || text == "" {
			t.Fatalf("%q is written without quotes", text)
		}
		return text
	}
	var out strings.Builder
	body := strings.TrimSuffix(text[1:], `"`)
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			t.Fatalf("a quote ends early in %s", text)
		case '\\', '%':
			i++
		}
		out.WriteByte(body[i])
	}
	return out.String()
}

func TestInside_isWhereAServerIsAskedFromItsOwnMachine(t *testing.T) {
	for host, want := range map[string]string{"": "127.0.0.1:80", "0.0.0.0": "127.0.0.1:80", "::": "[::1]:80", "10.0.0.5": "10.0.0.5:80", "fd00::5": "[fd00::5]:80"} {
		if got := Inside(host, 80); got != want {
			t.Errorf("%q: got %s, want %s", host, got, want)
		}
	}
}

// TestSystemdReadsTheUnit hands a unit to the program that owns the format.
func TestSystemdReadsTheUnit(t *testing.T) {
	verify := func(text string) (string, error) {
		at := filepath.Join(t.TempDir(), "phoenix-verify.service")
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", at).CombinedOutput()
		return string(out), err
	}
	for _, user := range []string{"", "root", "daemon"} {
		s := &Service{
			Name: "web", Description: "50% web", User: user, WorkingDirectory: "/srv/a b%", Groups: []string{"video"}, StateDirectory: "web",
			Command:     []string{"/bin/sh", "two words", `a "b" \c`, "100%", "$HOME", "", ";"},
			Environment: map[string]string{"B": `x "y" $z %h \n`},
		}
		if out, err := verify(s.unit()); err != nil || strings.Contains(out, "phoenix-verify") {
			t.Errorf("systemd-analyze verify (apt-get install systemd): %v\n%s\n%s", err, out, s.unit())
		}
		if out, err := verify(strings.Replace(s.unit(), "Restart=on-failure", "Restart=sometimes", 1)); err == nil && !strings.Contains(out, "phoenix-verify") {
			t.Errorf("a fault is not told: %s", out)
		}
	}
}
