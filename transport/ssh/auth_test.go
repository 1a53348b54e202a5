package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"phoenix/transport"
)

// serveAgent serves an agent with keys and returns its socket.
func serveAgent(t *testing.T, keyring agent.Agent) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, c)
		}
	}()
	return socket
}

func envOf(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestKeysAreRefusedWithAListOfWhatWasTried(t *testing.T) {
	r := newRig(t)
	s := serve(t, &server{config: &xssh.ServerConfig{
		BannerCallback: func(xssh.ConnMetadata) string { return "Authorised \x1b]0;users\x07 only\r\n" },
	}}, newKey(t).PublicKey())
	r.know(t, s)
	locked := filepath.Join(r.home, "locked")
	writeKey(t, locked, "secret")
	keyring := agent.NewKeyring()
	agentKey, err := agentOf(keyring)
	if err != nil {
		t.Fatalf("fill agent: %v", err)
	}
	r.dialer.Env = envOf(map[string]string{"SSH_AUTH_SOCK": serveAgent(t, keyring)})
	target := s.target("pve1")
	target.IdentityFiles = []string{"~/.ssh/id_ed25519", locked, "/nowhere/key"}
	before := s.connections.Load()
	fault := r.refused(t, target, transport.StageAuth,
		"log in as root",
		filepath.Join(r.home, ".ssh/id_ed25519")+" ssh-ed25519 "+xssh.FingerprintSHA256(r.key.PublicKey()),
		"agent ssh-ed25519 "+xssh.FingerprintSHA256(agentKey)+" operator's key",
		locked+": it has a passphrase", "open /nowhere/key", "the host takes publickey",
		`it says "Authorised`, "ssh-add "+locked)
	if strings.Contains(fault.Error(), "handshake") || strings.Contains(fault.Error(), "unable to") {
		t.Errorf("the library's words are told, too: %v", fault)
	}
	if fault.Temporary() || s.connections.Load() != before+1 {
		t.Errorf("a refused log-in was tried %d times; want once", s.connections.Load()-before)
	}
}

func TestWithoutAKeyNoKeyIsToBeCopied(t *testing.T) {
	r := newRig(t)
	s := serve(t, &server{}, newKey(t).PublicKey())
	r.know(t, s)
	hint := func(files ...string) string {
		target := s.target("pve1")
		target.IdentityFiles = files
		return r.refused(t, target, transport.StageAuth, "log in as root: ").Hint
	}
	if got := hint("/nowhere/key"); strings.Contains(got, "ssh-copy-id") || !strings.Contains(got, "--identity") {
		t.Errorf("with nothing to offer, the hint is %q", got)
	}
	if got := hint("~/.ssh/id_ed25519"); !strings.HasPrefix(got, "ssh-copy-id -p ") {
		t.Errorf("with a key that was refused, the hint is %q", got)
	}
}

// agentOf puts one key into an agent.
func agentOf(a agent.Agent) (xssh.PublicKey, error) {
	private, signer, err := rawKey()
	if err != nil {
		return nil, err
	}
	return signer.PublicKey(), a.Add(agent.AddedKey{PrivateKey: private, Comment: "operator's\x1b key"})
}

func TestTheAgentLogsIn(t *testing.T) {
	keyring := agent.NewKeyring()
	public, err := agentOf(keyring)
	if err != nil {
		t.Fatalf("fill agent: %v", err)
	}
	r := newRig(t)
	s := serve(t, &server{}, public)
	r.know(t, s)
	r.dialer.Env = envOf(map[string]string{"SSH_AUTH_SOCK": serveAgent(t, keyring)})
	r.dial(t, s.target("pve1"))

	t.Run("and signs for a key whose file is locked, or only public", func(t *testing.T) {
		writeFile(t, filepath.Join(r.home, "id.pub"), authorizedKey(public)+"\n")
		r.dialer.ConfigFile = filepath.Join(r.home, "config")
		writeFile(t, r.dialer.ConfigFile, "IdentitiesOnly yes\nIdentityFile ~/id\n")
		r2 := *r
		r2.dialer = &Dialer{Home: r.home, ConfigFile: r.dialer.ConfigFile, KnownHosts: r.dialer.KnownHosts, Env: r.dialer.Env}
		r2.dial(t, s.target("pve1"))
	})
	t.Run("but an agent that is not there is named", func(t *testing.T) {
		r := newRig(t)
		r.know(t, s)
		r.dialer.Env = envOf(map[string]string{"SSH_AUTH_SOCK": "/nowhere/agent"})
		r.refused(t, s.target("pve1"), transport.StageAuth, "connect to the ssh agent")
	})
	t.Run("and IdentitiesOnly keeps its other keys back", func(t *testing.T) {
		r := newRig(t)
		r.know(t, s)
		r.dialer.Env = envOf(map[string]string{"SSH_AUTH_SOCK": serveAgent(t, keyring)})
		r.dialer.ConfigFile = filepath.Join(r.home, "config")
		writeFile(t, r.dialer.ConfigFile, "Host *\n  IdentitiesOnly=yes\n")
		fault := r.refused(t, s.target("pve1"), transport.StageAuth, "id_ed25519")
		if strings.Contains(fault.Error(), "agent") {
			t.Errorf("the agent's key was offered: %v", fault)
		}
	})
}

func TestAPassphraseIsAskedForOnceForAllHosts(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(r.home, ".ssh", "id_ed25519")
	key := writeKey(t, path, "secret")
	var asked atomic.Int64
	r.dialer.Prompt = func(_ context.Context, question string) (string, error) {
		if n := asked.Add(1); n > 1 {
			return "secret", nil
		}
		if question != "Passphrase for "+path+": " {
			t.Errorf("question %q", question)
		}
		return "wrong", nil
	}
	a, b := serve(t, &server{}, key.PublicKey()), serve(t, &server{}, key.PublicKey())
	stranger := serve(t, &server{}, newKey(t).PublicKey())
	r.know(t, a, b, stranger)
	r.refused(t, stranger.target("stranger"), transport.StageAuth, "id_ed25519")
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times for a key that the host does not take", n)
	}
	var wg sync.WaitGroup
	for _, s := range []*server{a, b, a, b} {
		wg.Go(func() {
			conn, err := r.dialer.Dial(t.Context(), s.target("x"))
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			conn.Close()
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times; want twice: a wrong answer and the right one", n)
	}
}

func TestTheClockStandsStillWhileTheOperatorTypes(t *testing.T) {
	slowly := func(ctx context.Context, _ string) (string, error) {
		select {
		case <-time.After(3 * DefaultDialTimeout):
			return "secret", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	asIs := func(c net.Conn) net.Conn { return c }
	t.Run("a passphrase", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			key := writeKey(t, filepath.Join(r.home, ".ssh", "id_ed25519"), "secret")
			r.dialer.Prompt = slowly
			r.dial(t, r.piped(t, prepare(t, &server{}, key.PublicKey()), asIs))
		})
	})
	t.Run("a password", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			s := prepare(t, &server{config: &xssh.ServerConfig{PasswordCallback: func(_ xssh.ConnMetadata, p []byte) (*xssh.Permissions, error) {
				if string(p) != "secret" {
					return nil, errors.New("wrong")
				}
				return nil, nil
			}}})
			r.dialer.Prompt = slowly
			r.dial(t, r.piped(t, s, asIs))
		})
	})
}

func TestThreeWrongPassphrasesAreEnough(t *testing.T) {
	r := newRig(t)
	key := writeKey(t, filepath.Join(r.home, ".ssh", "id_ed25519"), "secret")
	s := serve(t, &server{}, key.PublicKey())
	r.know(t, s)
	asked := 0
	r.dialer.Prompt = func(_ context.Context, question string) (string, error) {
		if strings.HasPrefix(question, "Passphrase") {
			asked++
		}
		return "wrong", nil
	}
	r.refused(t, s.target("pve1"), transport.StageAuth, "wrong passphrases")
	r.refused(t, s.target("pve1"), transport.StageAuth, "wrong passphrases")
	if asked != 3 {
		t.Errorf("asked %d times; want 3 over both dials", asked)
	}
}

func TestCertificatesAreOffered(t *testing.T) {
	r := newRig(t)
	authority := newKey(t)
	cert := &xssh.Certificate{Key: r.key.PublicKey(), CertType: xssh.UserCert, KeyId: "op", ValidPrincipals: []string{"root"}, ValidBefore: xssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatalf("sign certificate: %v", err)
	}
	checker := &xssh.CertChecker{IsUserAuthority: func(k xssh.PublicKey) bool { return sameKey(k, authority.PublicKey()) }}
	s := serve(t, &server{config: &xssh.ServerConfig{PublicKeyCallback: checker.Authenticate}})
	r.know(t, s)
	r.refused(t, s.target("pve1"), transport.StageAuth, "id_ed25519")
	for title, where := range map[string]string{"beside the key": ".ssh/id_ed25519-cert.pub", "named by CertificateFile": "op-cert.pub"} {
		t.Run(title, func(t *testing.T) {
			home := t.TempDir()
			copyKey(t, r.home, home)
			writeFile(t, filepath.Join(home, where), authorizedKey(cert)+"\n")
			config := filepath.Join(home, "config")
			writeFile(t, config, "CertificateFile ~/op-cert.pub\n")
			r := &rig{home: home, dialer: &Dialer{Home: home, ConfigFile: config, KnownHosts: r.dialer.KnownHosts, Env: r.dialer.Env}}
			r.dial(t, s.target("pve1"))
		})
	}
}

func TestAPasswordIsAskedForOncePerHost(t *testing.T) {
	for _, method := range []string{"password", "keyboard-interactive"} {
		t.Run("by "+method, func(t *testing.T) {
			right := "right"
			config := &xssh.ServerConfig{}
			check := func(password string) (*xssh.Permissions, error) {
				if password != right {
					return nil, errors.New("wrong")
				}
				return nil, nil
			}
			if method == "password" {
				config.PasswordCallback = func(_ xssh.ConnMetadata, p []byte) (*xssh.Permissions, error) { return check(string(p)) }
			} else {
				config.KeyboardInteractiveCallback = func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
					answers, err := ask("", "", []string{"\x1b[2JPassword: "}, []bool{false})
					if err != nil || len(answers) != 1 {
						return nil, fs.ErrInvalid
					}
					return check(answers[0])
				}
			}
			r := newRig(t)
			s := serve(t, &server{config: config})
			r.know(t, s)
			r.refused(t, s.target("pve1"), transport.StageAuth, "the host takes "+method)

			asking := newRig(t)
			asking.know(t, s)
			answers, asked := []string{"wrong", "right"}, 0
			asking.dialer.Prompt = func(_ context.Context, question string) (string, error) {
				if question != "Password for root@pve1: " {
					t.Errorf("question %q", question)
				}
				asked++
				return answers[asked-1], nil
			}
			asking.refused(t, s.target("pve1"), transport.StageAuth, "password")
			asking.dial(t, s.target("pve1"))
			asking.dial(t, s.target("pve1"))
			if asked != 2 {
				t.Errorf("asked %d times; want once for each wrong and right answer", asked)
			}
		})
	}
}
