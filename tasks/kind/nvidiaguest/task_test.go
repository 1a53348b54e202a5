package nvidiaguest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/nvidiaguest"
	"phoenix/tasks/taskstest"
)

const configured = `{"install":"apt","archive":"configured"}`

func TestConformance(t *testing.T) {
	for name, tc := range map[string]struct {
		spec string
		make func(*testing.T) *rig
		more []taskstest.Drift
	}{
		"as on the host, by its installer": {`{}`, func(t *testing.T) *rig { return newRig(t, debian) }, nil},
		"packages for Debian": {configured, func(t *testing.T) *rig {
			r := newRig(t, debian).archives(t, "debian12")
			r.load(t, newer)
			return r
		}, []taskstest.Drift{{Name: "the pin is gone", Make: gone(nvidia.PinFile), Paths: []string{"pin"}}}},
		"packages for Ubuntu": {configured, func(t *testing.T) *rig { return newRig(t, ubuntu).archives(t, "ubuntu2404") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var now *rig
			taskstest.Suite{
				Kind: kind(func() *rig { return now }), Spec: tc.spec,
				New: func(t *testing.T) taskstest.Machine {
					now = tc.make(t)
					return now.Machine
				},
				Drifts: append([]taskstest.Drift{
					{Name: "the library of CUDA is gone", Make: func(t *testing.T, _ tasks.Host) {
						now.remove(t, lib+"libcuda.so.1", lib+"libcuda.so."+now.version(t))
					}, Paths: []string{"user_space"}},
					{Name: "nvidia-smi is gone", Make: gone("/usr/bin/nvidia-smi"), Paths: []string{"nvidia_smi"}},
					{Name: "a link goes to another version", Make: func(t *testing.T, h tasks.Host) {
						taskstest.Put(t, h, lib+"libcuda.so.1.2.3", "")
						link(t, filepath.Join(now.root, lib, "libcuda.so.1"), "libcuda.so.1.2.3")
					}, Paths: []string{"links.libcuda.so.1"}},
				}, tc.more...),
			}.Run(t)
		})
	}
}

func (r *rig) version(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(taskstest.Get(t, r.host, "/sys/module/nvidia/version"))
}

func gone(file string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: file}); err != nil {
			t.Fatal(err)
		}
	}
}

// only wants exactly one change, and returns it.
func only(t *testing.T, res tasks.Result) tasks.Change {
	t.Helper()
	all := slices.Concat(res.Changes, res.Remaining)
	if len(all) != 1 {
		t.Fatalf("changes %+v, why %s", all, res.Why)
	}
	return all[0]
}

func TestInstaller_leavesNothingAndNoModule(t *testing.T) {
	r := newRig(t, debian)
	rec := taskstest.NewRecorder(r)
	if res := taskstest.Run(t, r.kind(), `{}`, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	i := slices.IndexFunc(rec.Commands(), func(c string) bool { return strings.Contains(c, "--silent") })
	want := "sh /var/lib/phoenix/nvidia/installer.run --silent --no-questions --no-x-check --no-nouveau-check --no-kernel-modules --tmpdir=/var/lib/phoenix/nvidia" +
		" --no-kernel-module-source --no-nvidia-modprobe --no-systemd --skip-module-load --allow-installation-with-running-driver"
	if i < 0 || rec.Commands()[i] != want {
		t.Errorf("did %q, want %q", rec.Commands(), want)
	}
	if _, err := os.Stat(filepath.Join(r.root, "/var/lib/phoenix/nvidia")); !os.IsNotExist(err) {
		t.Errorf("the installer's folder: %v", err)
	}
	for _, p := range []string{"/var/lib/dkms", "/lib/modules"} {
		if _, err := os.Stat(filepath.Join(r.root, p)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestInstaller_isGoneWhereItFails(t *testing.T) {
	r := newRig(t, debian)
	rec := taskstest.NewRecorder(r)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.Contains(o.String(), "--silent") {
			return &taskstest.Answer{Output: tasks.Output{Code: 1, Stderr: []byte("ERROR: Installation has failed.")}}
		}
		return nil
	}
	res := taskstest.Run(t, r.kind(), `{}`, rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "Installation has failed") {
		t.Errorf("%+v", res)
	}
	if _, err := os.Stat(filepath.Join(r.root, "/var/lib/phoenix/nvidia")); !os.IsNotExist(err) {
		t.Errorf("the installer's folder: %v", err)
	}
}

// TestPour_givesTheContainerAPipe holds the one way over which a file of the host comes
// into a container.
func TestPour_givesTheContainerAPipe(t *testing.T) {
	r := newRig(t, debian)
	rec := taskstest.NewRecorder(r.host)
	r.host = rec
	if res := r.run(t, `{}`); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	want := `sh -c cat -- "$0" | "$@" /var/cache/phoenix/NVIDIA-Linux-x86_64-550.54.15.run lxc-attach -n 900 --clear-env --set-var PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- dd of=/var/lib/phoenix/nvidia/installer.run bs=1M status=none`
	if got := rec.Changes(); len(got) != 1 || got[0].String() != want {
		t.Errorf("did on the host %v, want %s", got, want)
	}
}

func TestPour_tellsWhatDidNotArrive(t *testing.T) {
	for name, tc := range map[string]struct {
		arrives string
		out     tasks.Output
		why     string
	}{
		"the container is full": {"", tasks.Output{Code: 1, Stderr: []byte("dd: error writing: No space left on device")}, "copy /var/cache/phoenix/NVIDIA-Linux-x86_64-550.54.15.run into the container: run sh"},
		"nothing arrives":       {"", tasks.Output{}, "installer.run"},
		"a part of it arrives":  {"#!/bin/sh\n", tasks.Output{}, "into the container: 10 of "},
	} {
		r := newRig(t, debian)
		rec := taskstest.NewRecorder(r.host)
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if !strings.Contains(o.String(), "dd of=") {
				return nil
			}
			if tc.arrives != "" {
				taskstest.Put(t, r, "/var/lib/phoenix/nvidia/installer.run", tc.arrives)
			}
			return &taskstest.Answer{Output: tc.out}
		}
		r.host = rec
		if res := r.run(t, `{}`); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

func TestCheck_namesBothVersions(t *testing.T) {
	r := newRig(t, debian)
	if res := r.run(t, `{}`); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	r.cache(t, newer)
	r.load(t, newer)
	r.hostLibrary(t, newer)
	if c := only(t, r.check(t, `{}`)); c.Path != "user_space" || c.From != loaded || c.To != newer || c.Note != "" {
		t.Errorf("after the host's reboot: %+v", c)
	}
	if res := r.run(t, `{}`); res.Status != tasks.StatusChanged || len(res.Remaining) > 0 {
		t.Errorf("%+v", res)
	}
}

func TestCheck_saysWhatTheHostsRebootBrings(t *testing.T) {
	r := newRig(t, debian)
	r.hostLibrary(t, newer)
	note := "the host has 550.54.15 loaded and 570.86.15 installed: after its reboot the container needs 570.86.15"
	found := false
	for _, c := range r.check(t, `{}`).Changes {
		found = found || c.Path == "user_space" && c.To == loaded && c.Note == note
	}
	if !found {
		t.Errorf("%+v", r.check(t, `{}`))
	}
	r.run(t, `{}`)
	var said []string
	ctx := tasks.WithScope(t.Context(), tasks.Scope{CTID: 900, Machine: r.host, Warn: func(text string) { said = append(said, text) }})
	d, err := new(nvidiaguest.Spec).Task().Check(ctx, r)
	if err != nil || len(d) > 0 || !slices.Contains(said, note) {
		t.Errorf("%v, %v, said %q", d, err, said)
	}
}

func TestProof_isWhatTheContainerLists(t *testing.T) {
	r := newRig(t, debian)
	r.run(t, `{}`)
	for name, tc := range map[string]struct {
		out  tasks.Output
		want string
	}{
		"other cards":    {tasks.Output{Stdout: []byte("00000000:02:00.0\n")}, "0000:01:00.0, and its nvidia-smi lists 0000:02:00.0"},
		"nothing":        {tasks.Output{}, "nvidia-smi lists no other"},
		"an error":       {tasks.Output{Code: 255, Stdout: []byte("Failed to initialize NVML: Unknown Error\n")}, "Failed to initialize NVML: Unknown Error"},
		"all of several": {tasks.Output{Stdout: []byte("00000000:01:00.0\n00000000:02:00.0\n")}, ""},
	} {
		rec := taskstest.NewRecorder(r)
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if strings.HasPrefix(o.String(), "nvidia-smi ") {
				return &taskstest.Answer{Output: tc.out}
			}
			return nil
		}
		res := taskstest.Check(t, r.kind(), `{}`, rec)
		if tc.want == "" && res.Status != tasks.StatusOK || tc.want != "" && (res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.want)) {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

var otherRunfile = fmt.Sprintf(`{"install":"runfile","runfile":{"url":%q,"sha256":%q}}`, address(newer), strings.Repeat("a", 64))

func TestApply_takesWhatTheHostHasFetchedForItself(t *testing.T) {
	if res := newRig(t, debian).run(t, otherRunfile); res.Status != tasks.StatusChanged || len(res.Remaining) > 0 {
		t.Errorf("%+v", res)
	}
}

const waits = "install NVIDIA's user space 550.54.15: the host waits for its reboot (`phoenix run --allow-reboot`), after which the container needs 570.86.15; the installer of 550.54.15, which is still loaded, is not in /var/cache/phoenix"

// waiting is a host that has installed its next driver, and not loaded it.
func waiting(t *testing.T, r *rig) {
	t.Helper()
	if err := os.Remove(filepath.Join(r.hostRoot, nvidia.CacheFile(loaded))); err != nil {
		t.Fatal(err)
	}
	r.hostLibrary(t, newer)
}

func TestCheck_failsWhereNothingCanBeMended(t *testing.T) {
	for name, tc := range map[string]struct {
		template, spec string
		make           func(*testing.T, *rig)
		why            string
	}{
		"Alpine": {alpine, `{}`, nil, "Alpine has musl"},
		"no card was given": {debian, `{}`, func(t *testing.T, r *rig) { r.remove(t, "/dev/nvidia0") },
			"container 900: it has no device node of any card of the host's (give it cards with gpu_assignment"},
		"no unified memory": {debian, `{}`, func(t *testing.T, r *rig) { r.remove(t, "/dev/nvidia-uvm") }, "/dev/nvidia-uvm is not in it (gpu_assignment"},
		"no driver on the host": {debian, `{}`, func(t *testing.T, r *rig) {
			if err := os.RemoveAll(filepath.Join(r.hostRoot, "/sys/module/nvidia")); err != nil {
				t.Fatal(err)
			}
		}, "none is loaded"},
		"no installer on the host": {debian, `{}`, func(t *testing.T, r *rig) { r.load(t, newer); r.hostLibrary(t, newer) },
			`/var/cache/phoenix/NVIDIA-Linux-x86_64-570.86.15.run is not on the host (its own section nvidia with install runfile fetches it; or give the container's: "nvidia": {"install": "runfile", "runfile": {"url": …, "sha256": …}})`},
		"the address of another version": {debian, otherRunfile, func(t *testing.T, r *rig) { r.load(t, "560.28.03"); r.hostLibrary(t, "560.28.03") },
			"runfile.url is that of another version, NVIDIA-Linux-x86_64-570.86.15.run (the host has 560.28.03 loaded)"},
		"no installer, and the host waits for its reboot": {debian, `{}`, waiting, waits},
		"the address is that of the next driver":          {debian, otherRunfile, waiting, waits},
		"no archive is known":                             {"debian-13-standard_13.1-1_amd64.tar.zst", `{"install":"apt"}`, nil, "nothing is known of one for Debian GNU/Linux 13 (trixie)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tc.template)
			if tc.make != nil {
				tc.make(t, r)
			}
			before, err := r.Digest()
			if err != nil {
				t.Fatal(err)
			}
			for mode, res := range map[string]tasks.Result{"check": r.check(t, tc.spec), "run": r.run(t, tc.spec)} {
				if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
					t.Errorf("%s: %s %q, want a failure with %q", mode, res.Status, res.Why, tc.why)
				}
				for _, c := range res.Remaining {
					if tc.why == waits && c.Note != tasks.NoteCannot+waits {
						t.Errorf("%s: %q says more than %q", mode, c.Note, waits)
					}
				}
			}
			if after, err := r.Digest(); err != nil || after != before {
				t.Errorf("something was changed, %v", err)
			}
		})
	}
}

func TestCheck_knowsWhatEarlierStepsMayBring(t *testing.T) {
	for _, id := range []string{"nvidia:driver", "reboot:host", "lxc:900"} {
		r := newRig(t, debian)
		r.remove(t, "/dev/nvidia0")
		r.earlier = []string{"lxc:901", id}
		if res := r.check(t, `{}`); res.Status != tasks.StatusUnknown || !strings.Contains(res.Why, id) {
			t.Errorf("%s: %+v", id, res)
		}
	}
}

func TestApply_fetchesTheInstallerForTheHost(t *testing.T) {
	r := newRig(t, debian)
	sum, err := tasks.Succeed(t.Context(), r.host, tasks.Cmd{Argv: []string{"sha256sum", nvidia.CacheFile(loaded)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.hostRoot, nvidia.CacheFile(loaded))); err != nil {
		t.Fatal(err)
	}
	spec := func(sum string) string {
		return fmt.Sprintf(`{"install":"runfile","runfile":{"url":%q,"sha256":%q}}`, address(loaded), sum)
	}
	if res := r.run(t, spec(strings.Repeat("a", 64))); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "its SHA-256 is") {
		t.Errorf("another checksum: %+v", res)
	}
	if res := r.run(t, spec(string(sum.Stdout[:64]))); res.Status != tasks.StatusChanged || len(res.Remaining) > 0 {
		t.Errorf("%+v", res)
	}
}

func TestApply_mixesNoTwoWays(t *testing.T) {
	r := newRig(t, debian).archives(t, "debian12")
	r.run(t, `{}`)
	if res := r.run(t, configured); res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "nvidia-uninstall --silent") {
		t.Errorf("packages over the installer: %+v", res)
	}
	r = newRig(t, debian).archives(t, "debian12")
	r.load(t, newer)
	r.cache(t, newer)
	r.run(t, configured)
	r.load(t, loaded)
	if res := r.run(t, `{"install":"runfile"}`); res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "apt-get purge libcuda1 libnvidia-ml1") {
		t.Errorf("the installer over packages: %+v", res)
	}
}

func TestApt_saysWhatTheArchivesHave(t *testing.T) {
	r := newRig(t, debian).archives(t, "debian12")
	res := r.run(t, configured)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "install NVIDIA's user space 550.54.15 by apt: the archives of the container have libcuda1 570.86.15-1") {
		t.Errorf("%+v", res)
	}
}

func TestApt_bringsNoModule(t *testing.T) {
	r := newRig(t, debian).archives(t, "debian12")
	r.load(t, newer)
	rec := taskstest.NewRecorder(r)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.HasPrefix(o.String(), "apt-get -s ") {
			return &taskstest.Answer{Output: tasks.Output{Stdout: []byte("Inst nvidia-kernel-dkms (570.86.15-1 NVIDIA:repo [amd64])\n")}}
		}
		return nil
	}
	if res := taskstest.Run(t, r.kind(), configured, rec); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "it would bring nvidia-kernel-dkms") {
		t.Errorf("%+v", res)
	}
}

func TestArchive_isAddedWithItsKey(t *testing.T) {
	r := newRig(t, ubuntu)
	res := r.check(t, `{"install":"apt"}`)
	var paths []string
	for _, c := range res.Changes {
		paths = append(paths, c.Path)
	}
	for _, want := range []string{"archive.key", "archive.extra_sources.nvidia-cuda", "pin", "user_space"} {
		if !slices.ContainsFunc(paths, func(p string) bool { return p == want || strings.HasPrefix(p, want+".") }) {
			t.Errorf("no change at %s: %v, %s", want, paths, res.Why)
		}
	}
}

func TestSimulatedSMI_findsAnotherVersion(t *testing.T) {
	r := newRig(t, debian)
	r.run(t, `{}`)
	r.load(t, newer)
	out, err := r.Run(t.Context(), tasks.Cmd{Argv: []string{"nvidia-smi", "-L"}, ReadOnly: true})
	if err != nil || out.Code != 18 || !strings.Contains(string(out.Stdout), "Driver/library version mismatch") {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestValidate_namesEveryFault(t *testing.T) {
	sum := strings.Repeat("a", 64)
	for _, tc := range []struct {
		name string
		spec nvidiaguest.Spec
		path string
	}{
		{"nothing", nvidiaguest.Spec{}, ""},
		{"a file of the host", nvidiaguest.Spec{Install: "runfile", Runfile: &nvidia.Runfile{Path: "/root/n.run", SHA256: sum}}, ""},
		{"an unknown way", nvidiaguest.Spec{Install: "snap"}, "install"},
		{"an unknown archive", nvidiaguest.Spec{Install: "apt", Archive: "debian"}, "archive"},
		{"an archive without apt", nvidiaguest.Spec{Archive: "nvidia"}, "archive"},
		{"an installer for apt", nvidiaguest.Spec{Install: "apt", Runfile: &nvidia.Runfile{Path: "/root/n.run", SHA256: sum}}, "runfile"},
		{"an installer without a checksum", nvidiaguest.Spec{Install: "runfile", Runfile: &nvidia.Runfile{Path: "/root/n.run"}}, "runfile.sha256"},
		{"an address with a blank", nvidiaguest.Spec{Install: "runfile", Runfile: &nvidia.Runfile{URL: "https://a b", SHA256: sum}}, "runfile.url"},
	} {
		p := tc.spec.Validate()
		if tc.path == "" && len(p) > 0 || tc.path != "" && (len(p) != 1 || p[0].Path != tc.path) {
			t.Errorf("%s: problems %v, want one at %q", tc.name, p, tc.path)
		}
	}
}
