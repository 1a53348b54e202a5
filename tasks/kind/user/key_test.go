package user

import (
	"bytes"
	"strings"
	"testing"

	"phoenix/tasks"
)

const (
	plainKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4+1v2nulfEQ9eREAFYTzIwEBuB4LWAkR0flQCy835M ann@laptop"
	otherKey = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKrixKSyHPQEsOWOUB+z9vP0qgRH0B6MT66qIpKomo0+aAIVMX3ooaCk9SJxijgxMwGj6AnclWzTmU4nOPuQUzU="
)

func TestParseKey_takesALineApart(t *testing.T) {
	for _, tc := range []struct {
		name, line, options, comment string
	}{
		{"a plain key", plainKey, "", "ann@laptop"},
		{"no comment", otherKey, "", ""},
		{"options", `no-pty,command="echo \"a b\" c",from="10.*" ` + plainKey, `no-pty,command="echo \"a b\" c",from="10.*"`, "ann@laptop"},
		{"a comment of several words", plainKey + " of the year", "", "ann@laptop of the year"},
		{"tabs", "\trestrict\t" + strings.ReplaceAll(plainKey, " ", "\t"), "restrict", "ann@laptop"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := parseKey(tc.line)
			if err != nil || k.options != tc.options || k.comment != tc.comment {
				t.Errorf("%+v, %v", k, err)
			}
		})
	}
}

func TestParseKey_refusesWhatSshdPassesOver(t *testing.T) {
	for name, line := range map[string]string{
		"nothing":                  "",
		"one word":                 "ssh-ed25519",
		"DSA":                      "ssh-dss AAAAB3NzaC1kc3MAAACBAP",
		"a key that is cut off":    plainKey[:40],
		"no base64":                "ssh-ed25519 AAAA!",
		"another kind inside":      strings.Replace(plainKey, "ssh-ed25519", "ssh-rsa", 1),
		"a quote that stays open":  `command="x ` + plainKey,
		"only the kind in the key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
		"a private key":            "-----BEGIN OPENSSH PRIVATE KEY-----",
	} {
		if k, err := parseKey(line); err == nil {
			t.Errorf("%s: %+v", name, k)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(plainKey)
	f.Add(`from="a b",no-pty ` + otherKey + " x y")
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") {
			return
		}
		k, err := parseKey(line)
		if err != nil {
			return
		}
		again, err := parseKey(k.String())
		if err != nil || again.options != k.options || again.blob != k.blob || again.kind != k.kind {
			t.Errorf("%q reads as %+v, its own line %q as %+v, %v", line, k, k.String(), again, err)
		}
	})
}

// FuzzEditKeys holds that what was edited needs no edit, and that what is not ours
// stays byte for byte.
func FuzzEditKeys(f *testing.F) {
	f.Add([]byte("# x\n"+otherKey+"\n"), false)
	f.Add([]byte("restrict "+plainKey+"\r\n\n\x00"+otherKey+" b"), true)
	f.Add([]byte(plainKey+"\nno-pty "+plainKey+"\n"+plainKey), false)
	f.Fuzz(func(t *testing.T, old []byte, exclusive bool) {
		want, err := parseKey(`from="10.0.0.1" ` + plainKey)
		if err != nil {
			t.Fatal(err)
		}
		s := keySet{want: []key{want}, exclusive: exclusive}
		out := s.edit(old)
		var d tasks.Diff
		if s.diff(out, &d); len(d) > 0 {
			t.Fatalf("%q became %q, which differs in %+v", old, out, d)
		}
		if !bytes.Equal(s.edit(out), out) {
			t.Errorf("%q is edited again", out)
		}
		var kept, stays []string
		for _, l := range keyLines(old) {
			if _, ours := s.find(l.key.blob); !(l.is && ours) && !s.goes(l) {
				stays = append(stays, strings.TrimSuffix(l.text, "\n"))
			}
		}
		for _, l := range keyLines(out) {
			if _, ours := s.find(l.key.blob); !(l.is && ours) {
				kept = append(kept, strings.TrimSuffix(l.text, "\n"))
			}
		}
		if strings.Join(kept, "\n") != strings.Join(stays, "\n") {
			t.Errorf("of %q stayed %q, want %q", old, kept, stays)
		}
	})
}
