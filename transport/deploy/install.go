package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"phoenix/transport"
)

// machine is what the probe found out.
type machine struct {
	arch   string // as Go names it
	folder string // where a helper can be written and executed
}

// program is one that is put on hosts.
type program struct {
	// called is what messages call it, prefix what its file's name begins with.
	called, prefix string
	// packed returns it for an architecture, as dist.Helper does.
	packed func(arch string) (gz []byte, sha256hex string, err error)
}

// install puts the program of the host's architecture on the host.
func (r *remote) install(ctx context.Context, p program) error {
	m, err := r.probe(ctx, p)
	if err != nil {
		return err
	}
	gz, hash, err := p.packed(m.arch)
	if err != nil {
		return r.fail("upload "+p.called, err.Error(), "", err)
	}
	packed := m.folder + "/.agentlet-" + r.nonce + ".gz"
	if err := r.upload(ctx, p, packed, gz); err != nil {
		return err
	}
	what := "install " + p.called
	out, err := r.run(ctx, what, Install, nil, packed, m.folder+"/"+p.prefix+hash, hash)
	if err != nil {
		return err
	}
	if _, ok := out.said.first("installed"); !ok || out.code != 0 {
		why := fmt.Sprintf("exit status %d", out.code)
		if out.stderr != "" {
			why += ": " + oneLine(out.stderr)
		}
		return r.fail(what, why, "look at the space and the mount options of "+m.folder+": df -h "+m.folder, nil)
	}
	return nil
}

// probe finds out what the machine is and where the program can lie.
func (r *remote) probe(ctx context.Context, p program) (machine, error) {
	what := "look for a place for " + p.called
	// Packed and unpacked lie there together for a moment, and a run wants some
	// space for its journal.
	const need = "20480"
	out, err := r.run(ctx, what, Probe, nil, need)
	if err != nil {
		return machine{}, err
	}
	about, ok := out.said.first("machine")
	uid, uname, two := strings.Cut(about, " ")
	if !ok || !two {
		return machine{}, r.fail(what, "its answer cannot be read"+quoted("", out.stderr), "", nil)
	}
	if uid != "0" {
		return machine{}, r.rootFault(what, uid)
	}
	m := machine{arch: goArch(uname)}
	if m.arch == "" {
		return machine{}, r.fail(what, fmt.Sprintf("its processor is %q; there are helpers for x86_64 and aarch64", strings.TrimSpace(uname)), "", nil)
	}
	if m.folder, ok = out.said.first("folder"); !ok || !strings.HasPrefix(m.folder, "/") {
		return machine{}, r.fail(what, "there is none: "+strings.Join(out.said.all("tried"), "; "),
			"make room in, or mount with exec, one of these folders", nil)
	}
	return m, nil
}

func (r *remote) rootFault(what, uid string) error {
	return r.fail(what, "the helper must run as root, and would run as user "+uid,
		"set `user: root`, or `become: sudo`, for "+r.target.Name+" in the inventory", nil)
}

// goArch is Go's name of what uname -m says, empty when there is no helper for it.
func goArch(uname string) string {
	switch strings.TrimSpace(uname) {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return ""
}

// upload writes the packed program to a new file. By SFTP as a rule; where there is
// none, or where root is had through sudo, which SFTP cannot be, through a script.
func (r *remote) upload(ctx context.Context, p program, path string, gz []byte) error {
	what := "upload " + p.called
	if r.target.Become == "" {
		err := r.conn.Upload(ctx, path, gz)
		if err == nil {
			return nil
		}
		if !errors.Is(err, transport.ErrNoSFTP) {
			return r.fail(what, err.Error(), "", err)
		}
	}
	out, err := r.run(ctx, what, Receive, gz, path)
	if err != nil {
		return err
	}
	if _, ok := out.said.first("received"); !ok || out.code != 0 {
		return r.fail(what, fmt.Sprintf("exit status %d", out.code)+quoted("", out.stderr), "", nil)
	}
	return nil
}
