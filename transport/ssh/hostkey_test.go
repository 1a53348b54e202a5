package ssh

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"phoenix/transport"
)

func TestAHostIsAcceptedByWhatKnownHostsSays(t *testing.T) {
	r := newRig(t)
	s := serve(t, &server{}, r.key.PublicKey())
	_, port := s.host()
	key := authorizedKey(s.hostKey.PublicKey())
	other := authorizedKey(newKey(t).PublicKey())
	name := fmt.Sprintf("[127.0.0.1]:%d", port)
	for title, lines := range map[string]string{
		"a plain entry with the port":              name + " " + key,
		"a comment follows the key":                name + " " + key + " root@pve1",
		"a hashed entry":                           xknownhosts.HashHostname(name) + " " + key,
		"a wildcard that covers the port":          "[127.0.0.*]:* " + key,
		"a star for all":                           "* " + key,
		"a list of names":                          "pve1,10.0.0.13," + name + " " + key,
		"an entry without the port, as in OpenSSH": "127.0.0.1 " + key,
		"one of two keys":                          name + " " + other + "\n" + name + " " + key,
		"lines that cannot be read are skipped":    "garbage\n" + name + " ssh-ed25519 !!!\n@foo x y z\n" + name + " " + key,
		"comments and empty lines":                 "# a comment\n\n\t\n" + name + " " + key,
		"another key of the host without the port": "127.0.0.1 " + other + "\n" + name + " " + key,
	} {
		t.Run(title, func(t *testing.T) {
			r := &rig{home: r.home, dialer: &Dialer{Home: r.home, ConfigFile: Never, KnownHosts: []string{filepath.Join(t.TempDir(), "kh")}}}
			writeFile(t, r.dialer.KnownHosts[0], lines+"\n")
			r.dial(t, s.target("pve1"))
		})
	}
}

func TestAHostIsRefusedByWhatKnownHostsSays(t *testing.T) {
	base := newRig(t)
	s := serve(t, &server{}, base.key.PublicKey())
	_, port := s.host()
	key := authorizedKey(s.hostKey.PublicKey())
	wrong := newKey(t).PublicKey()
	other := authorizedKey(wrong)
	presented := xssh.FingerprintSHA256(s.hostKey.PublicKey())
	name := fmt.Sprintf("[127.0.0.1]:%d", port)
	for title, c := range map[string]struct {
		lines string
		texts []string
	}{
		"no entry at all": {"", []string{
			"not known", presented, "--accept-new-host-keys", fmt.Sprintf("ssh-keyscan -t ed25519 -p %d 127.0.0.1 >> ", port)}},
		"another key": {"# first line\n" + name + " " + other, []string{
			"CHANGED", presented, xssh.FingerprintSHA256(wrong), "known_hosts:2 has", "ssh-keygen -R '" + name + "' -f "}},
		"another key under a pattern":                 {"* " + other, []string{"CHANGED", "line 1: it covers more than this host"}},
		"another key with the port, this one without": {name + " " + other + "\n127.0.0.1 " + key, []string{"CHANGED"}},
		"the key is for another port":                 {"[127.0.0.1]:1 " + key, []string{"not known"}},
		"a negated pattern":                           {"*,!" + name + ",!127.0.0.1 " + key, []string{"not known"}},
		"the key is revoked":                          {name + " " + key + "\n@revoked * " + key, []string{"revoked by", "known_hosts:2"}},
		"an authority is not a host key":              {"@cert-authority * " + key, []string{"CHANGED", "authority"}},
		"another key without the port, none of it":    {"127.0.0.1 " + other, []string{"not known"}},
		"a hashed entry of another host":              {xknownhosts.HashHostname("10.9.9.9") + " " + key, []string{"not known"}},
	} {
		t.Run(title, func(t *testing.T) {
			r := newRig(t)
			writeFile(t, r.knownHosts(), c.lines+"\n")
			before := s.connections.Load()
			fault := r.refused(t, s.target("pve1"), transport.StageHostKey, c.texts...)
			if fault.Temporary() || s.connections.Load() != before+1 {
				t.Errorf("a refused host key was tried %d times; want once", s.connections.Load()-before)
			}
		})
	}
}

func TestAPinnedKeyWinsOverKnownHosts(t *testing.T) {
	r := newRig(t)
	s := serve(t, &server{}, r.key.PublicKey())
	other := newKey(t).PublicKey()
	host, port := s.host()
	writeFile(t, r.knownHosts(), hostName(host, fmt.Sprint(port))+" "+authorizedKey(other)+"\n")
	target := s.target("pve1")
	target.HostKey = authorizedKey(s.hostKey.PublicKey()) + " a comment"
	r.dial(t, target)

	r.know(t, s)
	target.HostKey = authorizedKey(other)
	r.refused(t, target, transport.StageHostKey, "the inventory pins ssh-ed25519 "+xssh.FingerprintSHA256(other), "host_key: "+authorizedKey(s.hostKey.PublicKey()))
	target.HostKey = "ssh-ed25519 nonsense"
	r.refused(t, target, transport.StageHostKey, "read pinned host key")
}

func TestNewKeysAreRecordedOnlyWhenAskedTo(t *testing.T) {
	r := newRig(t)
	r.dialer.AcceptNew = true
	s := serve(t, &server{}, r.key.PublicKey())
	writeFile(t, r.knownHosts(), "# no line break at the end")
	r.dial(t, s.target("pve1"))
	data, err := os.ReadFile(r.knownHosts())
	if err != nil {
		t.Fatalf("read known_hosts: %v", err)
	}
	if want := "# no line break at the end\n" + s.knownLine(); string(data) != want {
		t.Errorf("known_hosts is %q; want %q", data, want)
	}
	if !strings.Contains(r.warned.String(), "recorded the host key of pve1") {
		t.Errorf("nothing was said about the new key: %q", r.warned)
	}

	strict := newRig(t)
	strict.dialer.KnownHosts = []string{r.knownHosts()}
	strict.dialer.Home = r.home
	strict.dial(t, s.target("pve1"))

	changed := newRig(t)
	changed.know(t, &server{hostKey: newKey(t), address: s.address})
	changed.dialer.AcceptNew = true
	changed.refused(t, s.target("pve1"), transport.StageHostKey, "CHANGED")
}

func TestNewKeysOfManyHostsAreRecordedAtOnce(t *testing.T) {
	first, second := newRig(t), newRig(t)
	path := filepath.Join(t.TempDir(), "new", ".ssh", "known_hosts")
	for _, r := range []*rig{first, second} {
		r.dialer.AcceptNew, r.dialer.Home, r.dialer.KnownHosts = true, first.home, []string{path}
	}
	var servers []*server
	for range 8 {
		servers = append(servers, serve(t, &server{}, first.key.PublicKey()))
	}
	var wg sync.WaitGroup
	for _, s := range servers {
		for _, r := range []*rig{first, second} {
			wg.Go(func() {
				conn, err := r.dialer.Dial(t.Context(), s.target("x"))
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				conn.Close()
			})
		}
	}
	wg.Wait()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read known_hosts: %v", err)
	}
	got := strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(got) != len(servers) {
		t.Errorf("%d lines for %d hosts:\n%s", len(got), len(servers), data)
	}
	for _, s := range servers {
		if !strings.Contains(string(data), s.knownLine()) {
			t.Errorf("the line of %s is missing", s.address)
		}
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, error %v; want %v", p, info.Mode(), err, want)
		}
	}
}

// certified makes a host certificate.
func certified(t *testing.T, key, authority xssh.Signer, principal string, until time.Time) xssh.Signer {
	t.Helper()
	cert := &xssh.Certificate{
		Key: key.PublicKey(), CertType: xssh.HostCert, KeyId: "pve1", ValidPrincipals: []string{principal},
		ValidBefore: uint64(until.Unix()),
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatalf("sign certificate: %v", err)
	}
	signer, err := xssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatalf("make certificate signer: %v", err)
	}
	return signer
}

func TestAnAuthorityVouchesForHosts(t *testing.T) {
	authority, plain := newKey(t), newKey(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	line := "@cert-authority 127.0.0.*,[127.0.0.*]:* " + authorizedKey(authority.PublicKey())
	for title, c := range map[string]struct {
		principal string
		until     time.Time
		lines     string
		says      string
	}{
		"a certificate that fits":              {"127.0.0.1", now.Add(time.Hour), line, ""},
		"a certificate for another host":       {"10.0.0.1", now.Add(time.Hour), line, "principal"},
		"a certificate that has expired":       {"127.0.0.1", now.Add(-time.Hour), line, "expired"},
		"an authority for other hosts":         {"127.0.0.1", now.Add(time.Hour), "@cert-authority *.lan " + authorizedKey(authority.PublicKey()), "not known"},
		"an authority that is revoked":         {"127.0.0.1", now.Add(time.Hour), line + "\n@revoked * " + authorizedKey(authority.PublicKey()), "revoked"},
		"another authority":                    {"127.0.0.1", now.Add(time.Hour), "@cert-authority * " + authorizedKey(newKey(t).PublicKey()), "authority"},
		"no authority, but the key is known":   {"127.0.0.1", now.Add(time.Hour), "* " + authorizedKey(plain.PublicKey()), ""},
		"another authority, but a known key":   {"127.0.0.1", now.Add(time.Hour), "@cert-authority * " + authorizedKey(newKey(t).PublicKey()) + "\n* " + authorizedKey(plain.PublicKey()), ""},
		"the certified key itself is revoked":  {"127.0.0.1", now.Add(time.Hour), line + "\n@revoked * " + authorizedKey(plain.PublicKey()), "revoked"},
		"an authority written as a plain host": {"127.0.0.1", now.Add(time.Hour), "* " + authorizedKey(authority.PublicKey()), "CHANGED"},
	} {
		t.Run(title, func(t *testing.T) {
			r := newRig(t)
			r.dialer.Now = func() time.Time { return now }
			s := &server{hostKey: certified(t, plain, authority, c.principal, c.until), config: &xssh.ServerConfig{}}
			s.config.AddHostKey(plain)
			serve(t, s, r.key.PublicKey())
			writeFile(t, r.knownHosts(), c.lines+"\n")
			if c.says == "" {
				r.dial(t, s.target("pve1"))
				return
			}
			r.refused(t, s.target("pve1"), transport.StageHostKey, c.says)
		})
	}
}

func TestKnownAlgorithmsComeFirst(t *testing.T) {
	r := newRig(t)
	h := &hop{name: "pve1", host: "pve1", port: "22", knownHosts: []string{r.knownHosts()}}
	rsa := "pve1 ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCuwsuGpnFQwmTJ0Nu6bgFg9qcEUe8C1bAtKEeXYq2hFZ4OcpLf7Bc/ZFwdr1XpC+RTG9Gf+R1VDmN3jvqPOoQXCW2I2cUO7SpLC9c2DeEcNBnUVSRW3oZ0GVLs9PqBTEB3PPHBQFTmFEVYfGb7Bnl5QX2RC1hs1xiWrMmcCwMYKw==\n"
	writeFile(t, r.knownHosts(), rsa)
	trust, err := r.dialer.trust(h)
	if err != nil {
		t.Fatalf("look up: %v", err)
	}
	got := trust.algorithms()
	if len(trust.known) != 1 {
		t.Fatalf("the test's RSA line was not read: %q", r.warned)
	}
	if want := []string{xssh.KeyAlgoRSASHA256, xssh.KeyAlgoRSASHA512}; !slices.Equal(slices.Sorted(slices.Values(got[:2])), want) {
		t.Errorf("first algorithms are %v; want %v in some order", got[:2], want)
	}
	if slices.Contains(got, xssh.CertAlgoED25519v01) || slices.Contains(got, xssh.KeyAlgoRSA) || !slices.Contains(got, xssh.KeyAlgoED25519) {
		t.Errorf("algorithms %v: certificates without an authority or SHA-1 are asked for, or ed25519 is not", got)
	}
}
