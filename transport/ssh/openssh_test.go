package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// sshd is a real OpenSSH server: one sshd -i for each connection to a listener of
// ours, so no port is guessed.
type sshd struct {
	folder  string
	hostKey xssh.Signer
	server
}

// program finds a program of OpenSSH's, which these tests cannot do without.
func program(t testing.TB, name, debianPackage string) string {
	t.Helper()
	for _, folder := range []string{"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
		if path := filepath.Join(folder, name); fileExists(path) {
			return path
		}
	}
	t.Fatalf("this test needs %s; install it with: apt-get install %s", name, debianPackage)
	return ""
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// configure writes a server's configuration and keys, and returns its path.
func (s *sshd) configure(t testing.TB, user xssh.PublicKey, extra string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test needs to run as root: sshd separates its privileges")
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatalf("make sshd's folder: %v", err)
	}
	s.folder = t.TempDir()
	s.hostKey = writeKey(t, filepath.Join(s.folder, "host"), "")
	writeFile(t, filepath.Join(s.folder, "keys"), authorizedKey(user)+"\n")
	config := filepath.Join(s.folder, "sshd_config")
	writeFile(t, config, fmt.Sprintf(`HostKey %s/host
AuthorizedKeysFile %s/keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
%s
`, s.folder, s.folder, extra))
	return config
}

func startSSHD(t testing.TB, user xssh.PublicKey, extra string) *sshd {
	t.Helper()
	s := &sshd{}
	binary := program(t, "sshd", "openssh-server")
	config := s.configure(t, user, extra)
	s.server.hostKey = s.hostKey
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s.address = listener.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serveInetd(binary, config, c) })
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return s
}

// serveInetd runs sshd -i on a connection, as inetd would.
func serveInetd(binary, config string, c net.Conn) {
	defer c.Close()
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		return
	}
	defer file.Close()
	cmd := exec.Command(binary, "-i", "-e", "-f", config)
	cmd.Stdin, cmd.Stdout = file, file
	if cmd.Start() != nil {
		return
	}
	file.Close()
	c.Close()
	cmd.Wait()
}

func TestOpenSSHRunsCommandsAndTakesUploads(t *testing.T) {
	for title, subsystem := range map[string]string{"with sftp-server": "/usr/lib/openssh/sftp-server", "with internal-sftp": "internal-sftp"} {
		t.Run(title, func(t *testing.T) {
			r := newRig(t)
			s := startSSHD(t, r.key.PublicKey(), "Subsystem sftp "+subsystem)
			r.know(t, &s.server)
			c := r.dial(t, s.target("pve1"))
			session := start(t, c, "cat; echo oops >&2; exit 7")
			if _, err := io.WriteString(session.Stdin(), "through and back"); err != nil {
				t.Fatalf("write: %v", err)
			}
			session.Stdin().Close()
			out, err := io.ReadAll(session.Stdout())
			if err != nil || string(out) != "through and back" {
				t.Errorf("output %q, error %v", out, err)
			}
			exit, ok := errors.AsType[*transport.ExitError](session.Wait())
			if !ok || exit.Code != 7 || session.Stderr() != "oops\n" {
				t.Errorf("exit %v, stderr %q; want 7 and oops", exit, session.Stderr())
			}
			exit, ok = errors.AsType[*transport.ExitError](start(t, c, "kill -KILL $$").Wait())
			if !ok || exit.Signal != "KILL" {
				t.Errorf("exit %v; want signal KILL", exit)
			}
			path := filepath.Join(t.TempDir(), "agentlet")
			data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
			if err := c.Upload(t.Context(), path, data); err != nil {
				t.Fatalf("upload: %v", err)
			}
			got, err := os.ReadFile(path)
			info, statErr := os.Stat(path)
			if err != nil || statErr != nil || !bytes.Equal(got, data) || info.Mode() != 0o600 {
				t.Errorf("%d bytes of %d arrived, mode %v", len(got), len(data), info.Mode())
			}
			if err := c.Upload(t.Context(), path, nil); !errors.Is(err, os.ErrExist) {
				t.Errorf("a second upload: %v; want fs.ErrExist", err)
			}
		})
	}
}

func TestOpenSSHWithoutSFTP(t *testing.T) {
	for title, extra := range map[string]string{"that is not configured": "", "whose program is missing": "Subsystem sftp /nowhere/sftp-server"} {
		t.Run(title, func(t *testing.T) {
			r := newRig(t)
			s := startSSHD(t, r.key.PublicKey(), extra)
			r.know(t, &s.server)
			c := r.dial(t, s.target("pve1"))
			if err := c.Upload(t.Context(), "/tmp/never", nil); !errors.Is(err, transport.ErrNoSFTP) {
				t.Errorf("upload: %v; want ErrNoSFTP", err)
			}
			if err := start(t, c, "true").Wait(); err != nil {
				t.Errorf("the connection does not work any more: %v", err)
			}
		})
	}
}

// keygen runs ssh-keygen.
func keygen(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command(program(t, "ssh-keygen", "openssh-client"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen %v: %v: %s", args, err, out)
	}
}

func TestOpenSSHsOwnFilesAreUnderstood(t *testing.T) {
	r := newRig(t)
	s := startSSHD(t, r.key.PublicKey(), "")
	t.Run("a known_hosts that ssh-keygen hashed", func(t *testing.T) {
		r := &rig{home: r.home, dialer: &Dialer{Home: r.home, ConfigFile: Never, KnownHosts: []string{filepath.Join(t.TempDir(), "kh")}}}
		writeFile(t, r.dialer.KnownHosts[0], s.knownLine())
		keygen(t, "-H", "-f", r.dialer.KnownHosts[0])
		if data, _ := os.ReadFile(r.dialer.KnownHosts[0]); !bytes.HasPrefix(data, []byte("|1|")) {
			t.Fatalf("ssh-keygen did not hash: %s", data)
		}
		r.dial(t, s.target("pve1"))
	})
	t.Run("a line that phoenix wrote is found by ssh-keygen", func(t *testing.T) {
		r := &rig{home: r.home, dialer: &Dialer{Home: r.home, ConfigFile: filepath.Join(t.TempDir(), "config"), AcceptNew: true, KnownHosts: []string{filepath.Join(t.TempDir(), "kh")}}}
		writeFile(t, r.dialer.ConfigFile, "HashKnownHosts yes\n")
		r.dial(t, s.target("pve1"))
		_, port := s.host()
		keygen(t, "-F", fmt.Sprintf("[127.0.0.1]:%d", port), "-f", r.dialer.KnownHosts[0])
		if data, _ := os.ReadFile(r.dialer.KnownHosts[0]); !bytes.HasPrefix(data, []byte("|1|")) {
			t.Errorf("HashKnownHosts is not followed: %s", data)
		}
	})
	t.Run("a host certificate that ssh-keygen signed", func(t *testing.T) {
		folder := t.TempDir()
		authority := writeKey(t, filepath.Join(folder, "ca"), "")
		home := newRig(t)
		s := startSSHD(t, home.key.PublicKey(), "HostCertificate "+filepath.Join(folder, "host-cert.pub"))
		writeFile(t, filepath.Join(folder, "host.pub"), authorizedKey(s.hostKey.PublicKey())+"\n")
		keygen(t, "-s", filepath.Join(folder, "ca"), "-I", "pve1", "-h", "-n", "127.0.0.1", "-V", "-1d:+1d", filepath.Join(folder, "host.pub"))
		writeFile(t, home.knownHosts(), "@cert-authority * "+authorizedKey(authority.PublicKey())+"\n")
		home.dial(t, s.target("pve1"))
	})
	t.Run("a key that ssh-keygen encrypted", func(t *testing.T) {
		home := newRig(t)
		path := filepath.Join(home.home, ".ssh", "id_ed25519")
		for _, f := range []string{path, path + ".pub"} {
			if err := os.RemoveAll(f); err != nil {
				t.Fatalf("remove: %v", err)
			}
		}
		keygen(t, "-q", "-t", "ed25519", "-N", "a secret", "-f", path)
		s := startSSHD(t, readPublicKey(path+".pub"), "")
		home.know(t, &s.server)
		home.refused(t, s.target("pve1"), transport.StageAuth, "ssh-add "+path)
		asking := &rig{home: home.home, dialer: &Dialer{Home: home.home, ConfigFile: Never, KnownHosts: home.dialer.KnownHosts, Env: home.dialer.Env,
			Prompt: func(context.Context, string) (string, error) { return "a secret", nil }}}
		asking.dial(t, s.target("pve1"))
	})
}

func TestOpenSSHRefusesAfterTooManyKeys(t *testing.T) {
	r := newRig(t)
	s := startSSHD(t, newKey(t).PublicKey(), "MaxAuthTries 2")
	r.know(t, &s.server)
	target := s.target("pve1")
	for i := range 6 {
		path := filepath.Join(r.home, fmt.Sprint("key", i))
		writeKey(t, path, "")
		target.IdentityFiles = append(target.IdentityFiles, path)
	}
	r.refused(t, target, transport.StageAuth, "Too many authentication failures", "MaxAuthTries", "key5")
}

func TestOpenSSHAsAJumpHost(t *testing.T) {
	r := newRig(t)
	jump := startSSHD(t, r.key.PublicKey(), "")
	closed := startSSHD(t, r.key.PublicKey(), "AllowTcpForwarding no")
	s := startSSHD(t, r.key.PublicKey(), "")
	r.know(t, &jump.server, &closed.server, &s.server)
	target := s.target("pve1")
	target.Jump = jumps(&jump.server)
	if err := start(t, r.dial(t, target), "true").Wait(); err != nil {
		t.Errorf("run: %v", err)
	}
	target.Jump = jumps(&closed.server)
	r.refused(t, target, transport.StageJump, "AllowTcpForwarding yes")
	r.dialer.Close()
}

// TestOpenSSHThatIsFullIsTriedAgain fills a daemon's MaxStartups with a connection
// that never logs in.
func TestOpenSSHThatIsFullIsTriedAgain(t *testing.T) {
	r := newRig(t)
	s := startDaemon(t, r.key.PublicKey(), "MaxStartups 1:100:1")
	r.know(t, &s.server)
	idle, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer idle.Close()
	if _, err := idle.Read(make([]byte, 1)); err != nil {
		t.Fatalf("read version: %v", err)
	}
	pauses := 0
	r.dialer.Attempts = 100
	r.dialer.Sleep = func(ctx context.Context, _ time.Duration) error {
		if pauses++; pauses == 1 {
			return idle.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.dial(t, s.target("pve1"))
	if pauses == 0 {
		t.Error("the daemon took a second connection; MaxStartups was not reached")
	}
}

// startDaemon starts sshd -D on a port that was free a moment ago.
func startDaemon(t *testing.T, user xssh.PublicKey, extra string) *sshd {
	t.Helper()
	binary := program(t, "sshd", "openssh-server")
	for range 5 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("listen: %v", err)
		}
		s := &sshd{}
		s.address = free.Addr().String()
		free.Close()
		_, port := s.host()
		config := s.configure(t, user, fmt.Sprintf("ListenAddress 127.0.0.1\nPort %d\n%s", port, extra))
		s.server.hostKey = s.hostKey
		cmd := exec.Command(binary, "-D", "-e", "-f", config)
		stderr, err := cmd.StderrPipe()
		if err != nil || cmd.Start() != nil {
			t.Fatalf("start sshd: %v", err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		said := make([]byte, 4096)
		n, _ := stderr.Read(said)
		if strings.Contains(string(said[:n]), "Server listening") {
			go io.Copy(io.Discard, stderr)
			return s
		}
		t.Logf("sshd did not start: %s", said[:n])
	}
	t.Fatal("sshd found no free port five times")
	return nil
}
