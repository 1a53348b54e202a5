package ssh

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"phoenix/transport"
)

// reads is a configuration, and what it says about a host.
type reads struct {
	config string
	host   string
	want   settings
}

func readings() map[string]reads {
	return map[string]reads{
		"nothing": {"", "pve1", settings{}},
		"the first value counts": {
			"Host pve*\n  User first\nHost *\n  User second\n  Port 2222\n", "pve1", settings{user: "first", port: "2222"}},
		"a negated pattern": {
			"Host pve* !pve1\n User x\nHost pve?\n Port 7\n", "pve1", settings{port: "7"}},
		"Host heeds case, Match does not": {"Host PVE1\n User x\nMatch host PVE1\n Port 9\n", "pve1", settings{port: "9"}},
		"key files add up": {
			"IdentityFile ~/a\nHost pve1\n IdentityFile=\"/key files/b\"\n CertificateFile ~/c\n IdentitiesOnly yes\n", "pve1",
			settings{identityFiles: []string{"~/a", "/key files/b"}, certificateFiles: []string{"~/c"}, identitiesOnly: "yes"}},
		"comments, blanks and equal signs": {
			"# one\n\n   Host   pve1\n\tUser = x # two\n HostName=10.0.0.1\n", "pve1", settings{user: "x", hostName: "10.0.0.1"}},
		"a jump host": {"Host pve1\n ProxyJump a@b:22,c\nHost *\n ProxyJump none\n", "pve1", settings{proxyJump: "a@b:22,c"}},
		"host keys": {
			"StrictHostKeyChecking accept-new\nUserKnownHostsFile /a /b\nGlobalKnownHostsFile /c\nHostKeyAlias x\nHashKnownHosts yes\nConnectTimeout 7\n", "pve1",
			settings{strictHostKey: "accept-new", userKnownHosts: []string{"/a", "/b"}, globalKnownHosts: []string{"/c"}, hostKeyAlias: "x", hashKnownHosts: "yes", connectTimeout: "7"}},
		"Match all":         {"Match all\n User x\n", "pve1", settings{user: "x"}},
		"Match host":        {"Match host pve1,pve2\n User x\nMatch host pve3\n Port 9\n", "pve1", settings{user: "x"}},
		"Match negated":     {"Match !host pve1\n User x\nMatch !host pve2 originalhost pve*\n Port 9\n", "pve1", settings{port: "9"}},
		"Match on HostName": {"Host pve1\n HostName 10.0.0.1\nMatch host 10.0.0.*\n User x\n", "pve1", settings{hostName: "10.0.0.1", user: "x"}},
		"Match user":        {"Host pve1\n User x\nMatch user x\n Port 9\n", "pve1", settings{user: "x", port: "9"}},
		"what only terminals and forwarding need": {"SendEnv LANG\nForwardAgent yes\nControlMaster auto\nServerAliveInterval 5\nUser x\n", "pve1", settings{user: "x"}},
	}
}

func TestTheConfigurationIsRead(t *testing.T) {
	for title, c := range readings() {
		t.Run(title, func(t *testing.T) {
			d, warned := configured(t, c.config)
			got, err := d.lookup(t.Context(), c.host, "")
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("settings %+v, error %v; want %+v", got, err, c.want)
			}
			if warned.String() != "" {
				t.Errorf("warnings: %s", warned)
			}
		})
	}
}

// configured is a Dialer with a configuration, which asks no OpenSSH.
func configured(t *testing.T, config string) (*Dialer, *log) {
	t.Helper()
	home, warned := t.TempDir(), &log{}
	path := filepath.Join(home, ".ssh", "config")
	writeFile(t, path, config)
	return &Dialer{Home: home, ConfigFile: path, OpenSSH: Never, Log: warned.add, Env: func(string) string { return "" }}, warned
}

// TestOpenSSHReadsTheSame holds the own reader and ssh -G to one answer.
func TestOpenSSHReadsTheSame(t *testing.T) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatalf("this test needs the ssh program (Debian: openssh-client): %v", err)
	}
	base := defaultsOf(t, program)
	for title, c := range readings() {
		t.Run(title, func(t *testing.T) {
			d, _ := configured(t, c.config)
			d.prepare()
			if err := d.load(); err != nil {
				t.Fatalf("load: %v", err)
			}
			theirs, err := d.ask(t.Context(), program, c.host, "")
			if err != nil {
				t.Fatalf("ask OpenSSH: %v", err)
			}
			mine, err := d.lookup(t.Context(), c.host, "")
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			want := withDefaults(mine, base, c.host)
			if !reflect.DeepEqual(theirs, want) {
				t.Errorf("OpenSSH says %+v\nown reader   %+v", theirs, want)
			}
		})
	}
}

// defaultsOf is what ssh -G says about a host that no configuration knows.
func defaultsOf(t *testing.T, program string) settings {
	t.Helper()
	out, err := exec.Command(program, "-G", "-F", "none", "x").Output()
	if err != nil {
		t.Fatalf("run ssh -G: %v", err)
	}
	return parseOpenSSH(out)
}

// withDefaults fills what s leaves out the way ssh -G does.
func withDefaults(s, base settings, host string) settings {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&s.hostName, host)
	fill(&s.user, base.user)
	fill(&s.port, base.port)
	fill(&s.identitiesOnly, base.identitiesOnly)
	fill(&s.strictHostKey, base.strictHostKey)
	fill(&s.hashKnownHosts, base.hashKnownHosts)
	if s.userKnownHosts == nil {
		s.userKnownHosts = base.userKnownHosts
	}
	if s.globalKnownHosts == nil {
		s.globalKnownHosts = base.globalKnownHosts
	}
	return s
}

func TestIncludesAreRead(t *testing.T) {
	d, _ := configured(t, "Host pve1\n  Include parts/*.conf\nHost *\n  Port 9\n")
	writeFile(t, d.sshDir("parts/a.conf"), "User inside\nHost other\n  Port 1\n")
	writeFile(t, d.sshDir("parts/b.conf"), "Host pve1\n  IdentityFile ~/b\n")
	got, err := d.lookup(t.Context(), "pve1", "")
	if want := (settings{user: "inside", port: "9", identityFiles: []string{"~/b"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("pve1: %+v, error %v; want %+v", got, err, want)
	}
	got, err = d.lookup(t.Context(), "other", "")
	if want := (settings{port: "9"}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("other: %+v, error %v; want %+v: an Include in a block that does not match counts for nothing", got, err, want)
	}
	loop, _ := configured(t, "Include config\n")
	if _, err := loop.lookup(t.Context(), "x", ""); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("a file that includes itself: %v", err)
	}
}

func TestWhatCannotBeFollowedIsSaidOnce(t *testing.T) {
	for title, c := range map[string]struct{ config, says string }{
		"Match exec without OpenSSH": {"Match exec true\n User x\n", "config:1: Match exec cannot be evaluated without OpenSSH"},
		"a directive that matters":   {"RevokedHostKeys /x\n", "config:1: revokedhostkeys is not followed"},
		"no argument":                {"User\n", "config:1: User has no argument"},
		"an open quote":              {"User \"x\n", "config:1: User: a quote is not closed"},
		"no checking":                {"StrictHostKeyChecking no\n", "is not honoured: host keys are always checked"},
		"a time-out that is none":    {"ConnectTimeout soon\n", "ConnectTimeout soon"},
	} {
		t.Run(title, func(t *testing.T) {
			d, warned := configured(t, c.config)
			for range 2 {
				if _, err := d.route(t.Context(), transport.Target{Address: "pve1"}); err != nil {
					t.Fatalf("route: %v", err)
				}
			}
			if got := warned.String(); strings.Count(got, c.says) != 1 {
				t.Errorf("warnings %q; want once %q", got, c.says)
			}
		})
	}
}

func TestOpenSSHIsAskedForWhatOnlyItCanEvaluate(t *testing.T) {
	d, warned := configured(t, "")
	d.OpenSSH = ""
	writeFile(t, d.ConfigFile, fmt.Sprintf("Host pve*\n  User x\nMatch host pve1 exec \"echo run >> %s\"\n  Port 9\n", d.sshDir("runs")))
	for _, host := range []string{"pve1", "pve1", "pve2"} {
		s, err := d.lookup(t.Context(), host, "")
		want := map[string]string{"pve1": "9"}[host]
		if err != nil || s.user != "x" || s.port != want {
			t.Errorf("%s: %+v, error %v; want port %q", host, s, err, want)
		}
	}
	runs, err := os.ReadFile(d.sshDir("runs"))
	if err != nil || bytes.Count(runs, []byte("run")) != 1 {
		t.Errorf("the command ran as %q, error %v; want once, for pve1", runs, err)
	}
	if warned.String() != "" {
		t.Errorf("warnings: %s", warned)
	}
}

func TestTargetsOverrideTheConfiguration(t *testing.T) {
	d, _ := configured(t, "User config\nPort 9\nIdentityFile ~/%n-%r\nHostName %h.lan\nProxyJump config.lan\nConnectTimeout 5\nHostKeyAlias al-%n\n")
	hops, err := d.route(t.Context(), transport.Target{Name: "n", Address: "pve1"})
	if err != nil || len(hops) == 0 {
		t.Fatalf("route: %v", err)
	}
	if len(hops) != 2 || hops[0].host != "config.lan.lan" {
		t.Errorf("%d hops; want config.lan, which is not its own jump host, and pve1", len(hops))
	}
	h := hops[len(hops)-1]
	want := hop{name: "n", host: "pve1.lan", port: "9", user: "config", identities: []string{d.Home + "/pve1-config"}, limit: 5 * time.Second, alias: "al-pve1"}
	if h.name != want.name || h.host != want.host || h.port != want.port || h.user != want.user || !reflect.DeepEqual(h.identities, want.identities) || h.limit != want.limit || h.alias != want.alias {
		t.Errorf("by the configuration: %+v; want %+v", *h, want)
	}
	hops, err = d.route(t.Context(), transport.Target{Address: "pve1", User: "u", Port: 10, IdentityFiles: []string{"~/k"}, Jump: []string{"j@[fd00::1]:2200"}})
	if err != nil || len(hops) == 0 {
		t.Fatalf("route: %v", err)
	}
	h = hops[len(hops)-1]
	if h.name != "pve1" || h.port != "10" || h.user != "u" || !reflect.DeepEqual(h.identities, []string{d.Home + "/k"}) {
		t.Errorf("by the target: %+v", *h)
	}
}

func TestAProxyCommandIsAnErrorAndNotIgnored(t *testing.T) {
	d, _ := configured(t, "ProxyCommand nc %h %p\n")
	_, err := d.Dial(context.Background(), transport.Target{Address: "pve1"})
	if err == nil || !strings.Contains(err.Error(), "ProxyCommand is not supported") {
		t.Errorf("dial: %v", err)
	}
}

func FuzzConfigurationLines(f *testing.F) {
	f.Add("Host a\nMatch host b exec \"x\nUser=\"\nInclude \\\n%%%h")
	f.Fuzz(func(t *testing.T, line string) {
		d, err := parseDirective(line)
		if err == nil && d.key != "" && len(d.args) == 0 {
			t.Errorf("%q has a key and no argument", line)
		}
		e := evaluation{original: "pve1", localUser: "me", warn: func(string) {}}
		if err == nil && d.key != "" {
			e.run([]directive{d}, true)
		}
		expanded := tokens{'h': "x"}.expand(line)
		if !globMatch("*", expanded) || !globMatch(line+"*", line) {
			t.Errorf("%q does not match itself", line)
		}
	})
}
