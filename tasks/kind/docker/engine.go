package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/proof"
)

// fuse is the name of the storage driver, and of the package with its program.
const fuse = "fuse-overlayfs"

// engine is what the daemon itself is asked for: the storage driver, the projects, and
// the proof.
type engine struct{ spec *Spec }

// answer is what `docker info` says, as far as it is of use.
type answer struct {
	ServerVersion, Driver, DockerRootDir, KernelVersion string
	ServerErrors                                        []string
}

// ask asks the daemon. There is false where it does not run, or is not installed.
func ask(ctx context.Context, h tasks.Host) (a answer, there bool, err error) {
	c := tasks.Cmd{ReadOnly: true, Argv: []string{"docker", "info", "--format", "{{json .}}"}}
	out, err := h.Run(ctx, c)
	if errors.Is(err, fs.ErrNotExist) {
		version, _, lookErr := installed(h, "docker-ce", "docker.io", "docker")
		if lookErr != nil || version == "" {
			return a, false, lookErr
		}
	}
	if err != nil {
		return a, false, err
	}
	// A client that does not reach the daemon prints what it knows all the same, and the
	// status is 0 with some versions.
	text := string(out.Stdout) + string(out.Stderr)
	if strings.Contains(text, "Cannot connect to the Docker daemon") || strings.Contains(text, "failed to connect to the docker API") {
		return a, false, nil
	}
	if err := tasks.Failed(c, out, nil); err != nil {
		return a, false, err
	}
	if err := json.Unmarshal(out.Stdout, &a); err != nil {
		return a, false, fmt.Errorf("read what docker info says: %w", err)
	}
	if len(a.ServerErrors) > 0 {
		return a, false, fmt.Errorf("ask the docker daemon: %s", strings.Join(a.ServerErrors, "; "))
	}
	if a.Driver == "" || a.ServerVersion == "" {
		return a, false, errors.New("read what docker info says: it names no version or no storage driver")
	}
	return a, true, nil
}

// answering asks a daemon that may just have been started: OpenRC does not wait for it.
func answering(ctx context.Context, h tasks.Host) (answer, error) {
	silent := errors.New("ask the docker daemon: it does not answer (see its log: journalctl -u docker, on Alpine /var/log/docker.log)")
	for range 40 {
		a, there, err := ask(ctx, h)
		if err != nil || there {
			return a, err
		}
		services, err := manager(h)
		if err != nil {
			return a, err
		}
		if now, err := services.State(ctx, h, Name); err != nil || !now.Active {
			return a, errors.Join(silent, err)
		}
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	return answer{}, silent
}

// facts are what the proof holds for.
func facts(ctx context.Context, h tasks.Host, a answer) (map[string]string, error) {
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{ReadOnly: true, Argv: []string{"docker", "version", "--format", "{{json .}}"}})
	if err != nil {
		return nil, err
	}
	var v struct {
		Server struct {
			Components []struct{ Name, Version string }
		}
	}
	if err := json.Unmarshal(out.Stdout, &v); err != nil {
		return nil, fmt.Errorf("read what docker version says: %w", err)
	}
	f := map[string]string{"docker": a.ServerVersion, "storage driver": a.Driver, "kernel": a.KernelVersion}
	for _, c := range v.Server.Components {
		if c.Name == "containerd" || c.Name == "runc" {
			f[c.Name] = c.Version
		}
	}
	if f["runc"] == "" || f["containerd"] == "" {
		return nil, errors.New("read what docker version says: it does not name containerd and runc")
	}
	return f, nil
}

// Check asks the daemon; where it does not run yet, everything is to be made.
func (e *engine) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	a, there, err := ask(ctx, h)
	if err != nil {
		return nil, err
	}
	if there {
		if err := e.settled(h, a); err != nil {
			return nil, err
		}
	}
	var d tasks.Diff
	running, err := e.containers(ctx, h, there)
	if err != nil {
		return nil, err
	}
	for _, name := range tasks.Keys(e.spec.Compose) {
		more, err := e.checkProject(ctx, h, name, running, there)
		if err != nil {
			return nil, err
		}
		d = append(d, more...)
	}
	recorded, err := proof.Read(ctx, h, Name)
	if err != nil {
		return nil, err
	}
	if !there {
		d.Add(proof.Path, "", "proven", tasks.EffectLive)
		return d, nil
	}
	now, err := e.facts(ctx, h, a)
	if err != nil {
		return nil, err
	}
	if err := findings(ctx, now["runc"]); err != nil {
		return nil, err
	}
	return append(d, proof.Diff(recorded, now)...), nil
}

// facts are those of Docker, and of the GPUs where containers get them.
func (e *engine) facts(ctx context.Context, h tasks.Host, a answer) (map[string]string, error) {
	f, err := facts(ctx, h, a)
	if err == nil && e.spec.NVIDIA != nil {
		err = e.spec.NVIDIA.facts(h, f)
	}
	return f, err
}

// Apply brings the projects up, and proves that containers run. The proof comes first:
// where it fails, no project would run either, and it says why.
func (e *engine) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	a, err := answering(ctx, h)
	if err != nil {
		return err
	}
	if err := e.readBack(h, a); err != nil {
		return err
	}
	if d.Has(proof.Path) {
		now, err := e.facts(ctx, h, a)
		if err != nil {
			return err
		}
		if err := prove(ctx, h); err != nil {
			return errors.Join(err, explained(ctx, err, now["runc"]))
		}
		if e.spec.NVIDIA != nil {
			if err := e.spec.NVIDIA.prove(ctx, h); err != nil {
				return errors.Join(err, explained(ctx, err, now["runc"]))
			}
		}
		if err := proof.Write(ctx, h, Name, now); err != nil {
			return err
		}
	}
	for _, name := range tasks.Keys(e.spec.Compose) {
		at := "compose." + name + "."
		if !slices.ContainsFunc(d, func(c tasks.Change) bool { return strings.HasPrefix(c.Path, at) }) {
			continue
		}
		if err := e.applyProject(ctx, h, name); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSuffix(at, "."), errors.Join(err, explained(ctx, err, "")))
		}
	}
	return nil
}

// settled reads the storage driver back, unless the daemon is still to be told of another.
func (e *engine) settled(h tasks.Host, a answer) error {
	v, err := e.spec.look(h)
	if err != nil || v.todo != "" || v.diff.Has("storage_driver") || v.diff.Has("data_root") {
		return err
	}
	return e.readBack(h, a)
}

// readBack refuses a daemon whose storage driver is one that it should not have.
func (e *engine) readBack(h tasks.Host, a answer) error {
	if a.Driver == "vfs" {
		on, err := backing(h, a.DockerRootDir)
		if err != nil {
			return err
		}
		return fmt.Errorf("check the storage driver: Docker has chosen vfs, which copies every layer whole, below %s on %s; "+
			"give the container /dev/fuse (pct_options fuse) and set storage_driver to %s, or put data_root on a volume with ext4", a.DockerRootDir, on, fuse)
	}
	if want := e.spec.StorageDriver; want != "" && a.Driver != want {
		return fmt.Errorf("check the storage driver: Docker uses %s and not %s, which %s names (see its log: journalctl -u docker)", a.Driver, want, daemonFile)
	}
	return nil
}

// backing is the type of the file system below a directory: that of the longest mount
// point above it, the last where several are on top of one another.
func backing(h tasks.Host, dir string) (string, error) {
	data, err := h.ReadFile("/proc/mounts")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the file system below %s: %w", dir, err)
	}
	best, kind := "", ""
	for _, line := range tasks.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		at := strings.TrimSuffix(strings.ReplaceAll(f[1], `\040`, " "), "/")
		if len(at) >= len(best) && strings.HasPrefix(dir+"/", at+"/") {
			best, kind = at, f[2]
		}
	}
	return kind, nil
}

// driver is the storage driver to be written: the one that is asked for, or one instead
// of the one that Docker would choose and should not. Docker prefers overlay2 (from 29
// on, overlayfs of containerd) wherever it can be mounted. On ZFS before 2.2 it can, and
// then renaming fails (moby issue 46337); over another overlay it cannot.
func (s *Spec) driver(h tasks.Host) (string, error) {
	if s.StorageDriver != "" {
		return s.StorageDriver, nil
	}
	root := s.DataRoot
	if root == "" {
		root = "/var/lib/docker"
	}
	kind, err := backing(h, root)
	if err != nil {
		return "", err
	}
	why := ""
	switch kind {
	case "zfs":
		version, there, err := tasks.ReadIfExists(h, "/sys/module/zfs/version")
		if err != nil {
			return "", err
		}
		if v := strings.TrimSpace(string(version)); there && dpkg.CompareVersions(v, "2.2.0") < 0 {
			why = "ZFS " + v + ", on which overlay2 fails (from 2.2 on it works)"
		}
	case "overlay", "fuse.fuse-overlayfs":
		why = "another overlay"
	}
	if why == "" {
		return "", nil
	}
	if _, err := h.Stat("/dev/fuse"); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("choose the storage driver: %s is on %s, and the container has no /dev/fuse for %s (set pct_options fuse, or data_root to a volume with ext4)", root, why, fuse)
	} else if err != nil {
		return "", err
	}
	return fuse, nil
}
