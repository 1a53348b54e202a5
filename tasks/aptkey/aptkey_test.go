package aptkey_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/aptkey"
	"phoenix/tasks/taskstest"
)

func key(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".asc")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The keys were made with gpg 2.2.40, which gave the fingerprints.
func TestAFingerprintIsTheOneThatGnuPGGives(t *testing.T) {
	for name, want := range map[string]string{"rsa": "B77833FDF2EB8FEFCEDD7F69199304B34DDCE6DB", "ed25519": "347BFB535356EC3B3440E07BCF830942F2ECB7FD"} {
		for form, text := range map[string]string{
			"as it is": string(key(t, name)), "with other line ends": strings.ReplaceAll(string(key(t, name)), "\n", "\r\n"),
			"with a header": strings.Replace(string(key(t, name)), "BLOCK-----\n", "BLOCK-----\nVersion: GnuPG v2\n", 1),
		} {
			if got, err := aptkey.Fingerprint([]byte(text)); got != want || err != nil {
				t.Errorf("%s %s: %s, %v; want %s", name, form, got, err, want)
			}
		}
	}
}

func TestWhatIsNotOneKeyIsRefused(t *testing.T) {
	whole := string(key(t, "rsa"))
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", "not one armoured key"},
		"a page":              {"<html>", "not one armoured key"},
		"two blocks":          {whole + whole, "not one armoured key"},
		"two keys in a block": {string(key(t, "two")), "more than one key"},
		"a key cut off":       {strings.Replace(whole, whole[400:900], "", 1), ""},
		"a private key":       {strings.ReplaceAll(whole, "PUBLIC", "PRIVATE"), "not one armoured key"},
		"no packets":          {"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----", "no sequence of OpenPGP packets"},
		"empty armour":        {"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----", ""},
	} {
		got, err := aptkey.Fingerprint([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func FuzzFingerprint(f *testing.F) {
	for _, name := range []string{"rsa", "ed25519", "two"} {
		f.Add(key(f, name))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := aptkey.Fingerprint(text); err == nil && len(got) != 40 {
			t.Fatalf("%q", got)
		}
	})
}

func TestOnlyTheKnownKeyIsInstalled(t *testing.T) {
	ours := aptkey.Key{Path: "/etc/apt/keyrings/x.asc", URL: "https://example.org/key", Fingerprint: "B77833FDF2EB8FEFCEDD7F69199304B34DDCE6DB"}
	for name, c := range map[string]struct {
		served []byte
		code   int
		want   string
	}{
		"the known one":       {key(t, "rsa"), 0, ""},
		"another one":         {key(t, "ed25519"), 0, "trust the key that https://example.org/key gives: it is 347BFB535356EC3B3440E07BCF830942F2ECB7FD and not B77833FDF2EB8FEFCEDD7F69199304B34DDCE6DB"},
		"a page":              {[]byte("<html>"), 0, "read the key that"},
		"an error of the web": {nil, 22, "fetch the key of the archive"},
	} {
		h := taskstest.NewTree(t, map[string]string{"etc/apt/keyrings/": ""})
		h.Programs["curl"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
			return tasks.Output{Stdout: c.served, Code: c.code}
		}
		d, err := ours.Check(t.Context(), h)
		if err != nil || len(d) != 1 || d[0].Path != "key" || d[0].From != "" || d[0].To != ours.Fingerprint {
			t.Fatalf("%s: check: %+v, %v", name, d, err)
		}
		err = ours.Apply(t.Context(), h, d)
		if c.want != "" {
			if _, there := h.Stat(ours.Path); err == nil || !strings.Contains(err.Error(), c.want) || there == nil {
				t.Errorf("%s: %v; the file is there: %v", name, err, there == nil)
			}
			continue
		}
		if again, checkErr := ours.Check(t.Context(), h); err != nil || checkErr != nil || len(again) > 0 {
			t.Errorf("%s: %v, then %+v, %v", name, err, again, checkErr)
		}
	}
}
