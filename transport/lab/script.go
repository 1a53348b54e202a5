package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"phoenix/agentlet"
	"phoenix/tasks"
	"phoenix/tasks/kind"
	"phoenix/tasks/sim"
	"phoenix/transport/deploy"
)

// proc is one of deploy's scripts at work on a machine's tree.
type proc struct {
	host     *Host
	root     string
	machine  *sim.Machine
	args     []string
	in       io.Reader
	out, err io.Writer
}

// folders are where a helper may lie, as in deploy's scripts.
func folders() []string {
	return []string{"/var/lib/phoenix", "/run/phoenix", "/root/.cache/phoenix"}
}

func (p *proc) path(name string) string { return filepath.Join(p.root, filepath.Clean("/"+name)) }

func (p *proc) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// run does what the script does and returns its exit status.
func (p *proc) run(ctx context.Context, s deploy.Script) int {
	scripts := map[deploy.Script]struct {
		args int
		do   func(context.Context) int
	}{
		deploy.Launch:  {2, p.launch},
		deploy.Probe:   {2, p.probe},
		deploy.Receive: {2, p.receive},
		deploy.Install: {4, p.install},
		deploy.CleanUp: {1, p.clean},
	}
	script := scripts[s]
	if len(p.args) < script.args {
		fmt.Fprintf(p.err, "phoenix: %d arguments, want %d\n", len(p.args), script.args)
		return 2
	}
	return script.do(ctx)
}

// launch looks for the helper, checks that it is what its name says, and serves the
// session as it would.
func (p *proc) launch(ctx context.Context) int {
	nonce := p.args[0]
	if p.host.hostile.Garbage {
		return p.garbage(ctx, nonce, p.args[1])
	}
	for _, dir := range folders() {
		for _, hash := range p.args[1:] {
			file := p.path(dir + "/agentlet-" + hash)
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm()&0o100 == 0 || p.noexec(dir) {
				continue
			}
			if got, err := p.host.lab.hashes.of(file); err != nil || got != hash {
				fmt.Fprintf(p.err, "/bin/sh: 1: exec: %s/agentlet-%s: Exec format error\n", dir, hash)
				return 126
			}
			return p.serve(ctx, dir, hash, nonce)
		}
	}
	return 127
}

// serve is the helper at work.
func (p *proc) serve(ctx context.Context, dir, hash, nonce string) int {
	s := agentlet.Server{
		Host:     func(string) tasks.Host { return p.machine.Host() },
		Registry: kind.All(),
		Dirs: agentlet.Dirs{
			State: p.path(agentlet.StateDir), Lock: p.path(agentlet.LockFile), Helpers: []string{p.path(dir)},
		},
		Program: dir + "/agentlet-" + hash,
		SHA256:  hash, Hostname: p.host.Name, Arch: "amd64", PID: int(p.host.lab.pids.Add(1)),
	}
	if err := s.Serve(ctx, p.in, p.out, nonce); err != nil {
		fmt.Fprintln(p.err, "agentlet:", err)
		return 1
	}
	return 0
}

func (p *proc) noexec(dir string) bool { return p.host.hostile.NoExec && dir == folders()[0] }
func (p *proc) full(dir string) bool   { return p.host.hostile.Full && dir == folders()[0] }

func (p *proc) probe(context.Context) int {
	nonce, need := p.args[0], p.args[1]
	p.say("phoenix-machine %s 0 x86_64", nonce)
	for _, dir := range folders() {
		why := ""
		switch {
		case os.MkdirAll(p.path(dir), 0o700) != nil:
			why = "cannot be made"
		case p.full(dir):
			why = "has only 0 KiB free, " + need + " are needed"
		case p.noexec(dir):
			why = "is mounted noexec"
		}
		if why == "" {
			p.say("phoenix-folder %s %s", nonce, dir)
			return 0
		}
		p.say("phoenix-tried %s %s %s", nonce, dir, why)
	}
	return 0
}

func (p *proc) receive(context.Context) int {
	f, err := os.OpenFile(p.path(p.args[1]), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return p.failed(err)
	}
	p.say("phoenix-ready %s", p.args[0])
	_, err = io.Copy(f, p.in)
	if err = errors.Join(err, f.Close()); err != nil {
		return p.failed(err)
	}
	p.say("phoenix-received %s", p.args[0])
	return 0
}

func (p *proc) failed(err error) int {
	fmt.Fprintln(p.err, "phoenix:", err)
	return 74
}

// install unpacks the upload and checks its hash. Helpers that are equal share one
// file on the disk of the lab.
func (p *proc) install(context.Context) int {
	packed, file, want := p.path(p.args[1]), p.path(p.args[2]), p.args[3]
	defer os.Remove(packed)
	gz, err := os.ReadFile(packed)
	if err != nil {
		return p.failed(err)
	}
	got, err := p.host.lab.loads.unpack(gz)
	if err != nil {
		return p.failed(err)
	}
	if got.hash != want {
		fmt.Fprintf(p.err, "the upload has SHA-256 %s, not %s\n", got.hash, want)
		return 65
	}
	if err := p.host.lab.store(got.data, want, file); err != nil {
		return p.failed(err)
	}
	p.say("phoenix-installed %s %s", p.args[0], p.args[2])
	return 0
}
