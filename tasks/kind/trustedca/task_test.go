package trustedca_test

import (
	_ "embed"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/trustedca"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// Both were made with openssl req -x509.
var (
	//go:embed testdata/home.pem
	home string
	//go:embed testdata/office.pem
	office string
)

const (
	bundle   = "/etc/ssl/certs/ca-certificates.crt"
	homeFile = "/usr/local/share/ca-certificates/phoenix-home.crt"
)

var templates = map[string]string{
	"debian": "debian-12-standard_12.7-1_amd64.tar.zst",
	"ubuntu": "ubuntu-24.04-standard_24.04-2_amd64.tar.zst",
	"alpine": "alpine-3.20-default_20240908_amd64.tar.xz",
}

func guest(t *testing.T, template string) taskstest.Machine {
	t.Helper()
	m, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return taskstest.Machine{Host: m.Host(), Digest: m.Digest}
}

func spec(t *testing.T, certificates map[string]any, exclusive bool) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"certificates": certificates, "exclusive": exclusive})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestConformance(t *testing.T) {
	mode := func(m fs.FileMode) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) {
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbAttr, Path: homeFile, Mode: &m}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, template := range templates {
		suite := taskstest.Suite{
			Kind: trustedca.Kind(), New: func(t *testing.T) taskstest.Machine { return guest(t, template) },
			Spec:    spec(t, map[string]any{"home": home, "office": map[string]string{"secret": "office_ca"}}, true),
			Secrets: map[string]string{"office_ca": office},
			Drifts: []taskstest.Drift{
				{Name: "a file was changed", Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, homeFile, office) }, Paths: []string{"certificates.home"}},
				{Name: "a file was removed", Make: func(t *testing.T, h tasks.Host) {
					if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: homeFile}); err != nil {
						t.Fatal(err)
					}
				}, Paths: []string{"certificates.home"}},
				{Name: "a file is root's alone", Make: mode(0o600), Paths: []string{"certificates.home.mode"}},
				{Name: "the bundle was replaced", Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, bundle, "-----BEGIN\n") }, Paths: []string{"trusted.home", "trusted.office"}},
				{Name: "a certificate of ours is no longer named", Make: func(t *testing.T, h tasks.Host) {
					taskstest.Put(t, h, "/usr/local/share/ca-certificates/phoenix-old.crt", office)
				}, Paths: []string{"certificates.old"}},
			},
			// Its lists may be fetched in vain where those that are there suffice.
			Tolerates: []string{"apt-get", "apk"},
		}
		t.Run(name, suite.Run)
	}
}

func TestApply_theBundleHasTheCertificateAndTheFileNothingElse(t *testing.T) {
	for name, template := range templates {
		t.Run(name, func(t *testing.T) {
			m := guest(t, template)
			wordy := "subject=CN = Home CA\r\n" + strings.ReplaceAll(home, "\n", "\r\n")
			if res := taskstest.Run(t, trustedca.Kind(), spec(t, map[string]any{"home": wordy}, false), m); res.Status != tasks.StatusChanged {
				t.Fatalf("%+v", res)
			}
			if got := taskstest.Get(t, m, homeFile); got != home {
				t.Errorf("the file is\n%s", got)
			}
			if !strings.Contains(taskstest.Get(t, m, bundle), home) {
				t.Error("the bundle lacks it")
			}
		})
	}
}

func TestApply_leavesWhatIsNotNamedUnlessItIsExclusive(t *testing.T) {
	const theirs = "/usr/local/share/ca-certificates/theirs.crt"
	for name, template := range templates {
		t.Run(name, func(t *testing.T) {
			m := guest(t, template)
			run := func(certificates map[string]any, exclusive bool) tasks.Result {
				return taskstest.Run(t, trustedca.Kind(), spec(t, certificates, exclusive), m)
			}
			run(map[string]any{"home": home}, false)
			taskstest.Put(t, m, theirs, "-----BEGIN CERTIFICATE-----\ntheirs\n-----END CERTIFICATE-----\n")
			if res := run(map[string]any{"office": office}, false); res.Status != tasks.StatusChanged || !strings.Contains(taskstest.Get(t, m, bundle), home) {
				t.Fatalf("home is gone though nothing said so: %+v", res)
			}
			if res := run(map[string]any{"office": office}, true); res.Status != tasks.StatusChanged || len(res.Changes) != 2 || res.Changes[0].Path != "certificates.home" || res.Changes[1].Path != "trusted.home" {
				t.Fatalf("%+v", res)
			}
			if text := taskstest.Get(t, m, bundle); strings.Contains(text, home) || !strings.Contains(text, office) || !strings.Contains(text, "theirs") {
				t.Errorf("the bundle is\n%s", text)
			}
			taskstest.Get(t, m, theirs)
		})
	}
}

func TestCheck_aSecretThatIsNoCertificateIsNamed(t *testing.T) {
	m := guest(t, templates["debian"])
	suite := taskstest.Suite{Kind: trustedca.Kind(), Spec: `{"certificates":{"office":{"secret":"office_ca"}}}`, Secrets: map[string]string{"office_ca": "hunter22"}}
	res := suite.Apply(t, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "certificates.office: is no certificate in PEM") || strings.Contains(res.Why, "hunter22") {
		t.Errorf("%+v", res)
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	key := "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA==\n-----END EC PRIVATE KEY-----\n"
	lines := strings.SplitAfter(home, "\n")
	for _, tc := range []struct {
		name string
		cert any
		path string
		says string
	}{
		{"a private key", key, "certificates.x", "private key"},
		{"a certificate with its key", home + key, "certificates.x", "private key"},
		{"a chain", home + office, "certificates.x", "more than one"},
		{"a request", strings.ReplaceAll(home, "CERTIFICATE", "CERTIFICATE REQUEST"), "certificates.x", "CERTIFICATE REQUEST"},
		{"no PEM", "MIIB", "certificates.x", "is no certificate in PEM"},
		{"nothing", "", "certificates.x", "is no certificate in PEM"},
		{"null", nil, "certificates.x", "has no certificate"},
		{"a secret without a name", map[string]string{"secret": ""}, "certificates.x.secret", "names no secret"},
		{"lost line breaks", strings.ReplaceAll(home, "\n", " "), "certificates.x", "damaged"},
		{"a lost line", lines[0] + lines[1] + strings.Join(lines[3:], ""), "certificates.x", "no X.509"},
		{"a lost end", strings.Join(lines[:4], ""), "certificates.x", "damaged"},
		{"other DER", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "certificates.x", "no X.509"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s trustedca.Spec
			if err := tasks.UnmarshalStrict([]byte(spec(t, map[string]any{"x": tc.cert}, false)), &s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path || !strings.Contains(p[0].Summary, tc.says) {
				t.Errorf("problems %v, want one at %s that says %q", p, tc.path, tc.says)
			}
		})
	}
	var s trustedca.Spec
	if err := tasks.UnmarshalStrict([]byte(spec(t, map[string]any{"../x": home, "-y": home, "a\nb": "x", "ok-1.2_3": home}, false)), &s); err != nil {
		t.Fatal(err)
	}
	if p := s.Validate(); len(p) != 4 {
		t.Errorf("not all faults at once: %v", p)
	}
	if p := new(trustedca.Spec).Validate(); len(p) > 0 {
		t.Errorf("the empty spec has faults: %v", p)
	}
}
