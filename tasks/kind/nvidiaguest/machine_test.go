package nvidiaguest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/nvidiaguest"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	loaded = "550.54.15" // by the host
	newer  = "570.86.15"
	rootfs = "/var/lib/lxc/900/rootfs"
	lib    = "/usr/lib/x86_64-linux-gnu/"

	debian = "debian-12-standard_12.7-1_amd64.tar.zst"
	ubuntu = "ubuntu-24.04-standard_24.04-2_amd64.tar.zst"
	alpine = "alpine-3.20-default_20240908_amd64.tar.xz"
)

func address(version string) string {
	return fmt.Sprintf("https://us.download.nvidia.com/XFree86/Linux-x86_64/%[1]s/NVIDIA-Linux-x86_64-%[1]s.run", version)
}

// rig is container 900, which has the first of two cards, and its host, which has loaded
// a driver of NVIDIA's installer and has that installer in its cache.
type rig struct {
	taskstest.Machine // the inside of the container
	host              tasks.Host
	hostRoot, root    string
	earlier           []string
}

func newRig(t *testing.T, template string) *rig {
	t.Helper()
	root := t.TempDir()
	m, err := sim.New(root, "pve1", sim.Options{Seed: 7, GPUs: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{host: m.Host(), hostRoot: root, root: filepath.Join(root, rootfs)}
	for _, argv := range [][]string{
		{"pct", "create", "900", "local:vztmpl/" + debian, "--rootfs", "local-lvm:1"}, {"pct", "start", "900"},
	} {
		do(t, r.host, argv...)
	}
	if err := os.RemoveAll(r.root); err != nil {
		t.Fatal(err)
	}
	g, err := sim.NewGuest(r.root, template, sim.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	r.Machine = taskstest.Machine{Host: g.Host(), Digest: g.Digest}
	for _, node := range []string{"/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"} {
		taskstest.Put(t, r, node, "")
	}
	r.cache(t, loaded)
	return r
}

// cache puts an installer into the host's cache.
func (r *rig) cache(t *testing.T, version string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(r.hostRoot, "/var/cache/phoenix"), 0o755); err != nil {
		t.Fatal(err)
	}
	do(t, r.host, "curl", "--output", nvidia.CacheFile(version), "--", address(version))
}

// archives adds NVIDIA's archive to those of the container.
func (r *rig) archives(t *testing.T, name string) *rig {
	t.Helper()
	taskstest.Put(t, r, "/etc/apt/sources.list.d/cuda.sources", "Types: deb\nURIs: https://developer.download.nvidia.com/compute/cuda/repos/"+name+"/x86_64\nSuites: /\n")
	return r
}

// load has the host load another driver.
func (r *rig) load(t *testing.T, version string) {
	t.Helper()
	taskstest.Put(t, r.host, "/sys/module/nvidia/version", version+"\n")
}

// hostLibrary has the host's own libraries be of a version.
func (r *rig) hostLibrary(t *testing.T, version string) {
	t.Helper()
	taskstest.Put(t, r.host, lib+"libnvidia-ml.so."+version, "")
	link(t, filepath.Join(r.hostRoot, lib, "libnvidia-ml.so.1"), "libnvidia-ml.so."+version)
}

func link(t *testing.T, at, target string) {
	t.Helper()
	_ = os.Remove(at) // it may not be there
	if err := os.Symlink(target, at); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) remove(t *testing.T, files ...string) {
	t.Helper()
	for _, f := range files {
		if err := os.Remove(filepath.Join(r.root, f)); err != nil {
			t.Fatal(err)
		}
	}
}

func do(t *testing.T, h tasks.Host, argv ...string) {
	t.Helper()
	if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
		t.Fatal(err)
	}
}

// kind is the family with the host that the runner gives to a step inside a container:
// one that a check cannot change.
func kind(of func() *rig) tasks.Kind {
	return tasks.Kind{Name: nvidiaguest.Name, New: func() tasks.Spec { return &attached{rig: of()} }}
}

type attached struct {
	nvidiaguest.Spec
	rig *rig
}

func (a *attached) Task() tasks.Task { return attachedTask{a.Spec.Task(), a.rig} }

type attachedTask struct {
	tasks.Task
	rig *rig
}

func (a attachedTask) scope(ctx context.Context, host tasks.Host) context.Context {
	s := tasks.ScopeOf(ctx)
	s.CTID, s.Machine, s.Earlier = 900, host, a.rig.earlier
	return tasks.WithScope(ctx, s)
}

func (a attachedTask) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	return a.Task.Check(a.scope(ctx, tasks.ReadOnly(a.rig.host)), h)
}

func (a attachedTask) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	return a.Task.Apply(a.scope(ctx, a.rig.host), h, d)
}

func (r *rig) kind() tasks.Kind { return kind(func() *rig { return r }) }

func (r *rig) check(t *testing.T, spec string) tasks.Result {
	t.Helper()
	return taskstest.Check(t, r.kind(), spec, r)
}

func (r *rig) run(t *testing.T, spec string) tasks.Result {
	t.Helper()
	return taskstest.Run(t, r.kind(), spec, r)
}
