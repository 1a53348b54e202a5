package arc_test

import (
	"context"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/arc"
	"phoenix/tasks/taskstest"
)

const (
	spec      = `{"arc_max_gb":8}`
	parameter = "/sys/module/zfs/parameters/zfs_arc_max"
	own       = "/etc/modprobe.d/zz-phoenix.conf"
	installer = "/etc/modprobe.d/zfs.conf"
)

// machine has 32 GiB of memory and what Proxmox's installer wrote.
func machine(t *testing.T) *taskstest.Tree {
	tr := taskstest.NewTree(t, map[string]string{
		parameter:                       "3435973836\n",
		"/proc/spl/kstat/zfs/arcstats":  "9 1 0x01 147 39984 2941417893 86388093851221\nname                            type data\nc                               4    3435973836\nc_min                           4    1047969792\nc_max                           4    3435973836\n",
		"/proc/meminfo":                 "MemTotal:       32749056 kB\nMemFree:        12034200 kB\n",
		installer:                       "options zfs zfs_arc_max=3435973836\n",
		"/var/lib/":                     "",
		"/boot/initrd.img-6.8.12-9-pve": "",
	})
	tr.Programs["tee"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: c.Argv[1], Data: c.Stdin}); err != nil {
			return tasks.Output{Code: 1, Stderr: []byte(err.Error())}
		}
		return tasks.Output{Stdout: c.Stdin}
	}
	tr.Programs["update-initramfs"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte("update-initramfs: Generating /boot/initrd.img-6.8.12-9-pve\n")}
	}
	return tr
}

func TestArc_conforms(t *testing.T) {
	put := func(path, content string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, path, content) }
	}
	taskstest.Suite{
		Kind: arc.Kind(), Spec: spec,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		Drifts: []taskstest.Drift{
			{Name: "the running size was changed", Make: put(parameter, "4294967296\n"), Paths: []string{"now"}},
			{Name: "the option was removed", Make: put(own, ""), Paths: []string{"boot"}},
		},
	}.Run(t)
}

func TestArc_otherOptionsStay(t *testing.T) {
	m := machine(t)
	const mine = "options zfs zfs_arc_min=1 \\\n  zfs_arc_max=5\n"
	taskstest.Put(t, m, installer, mine)
	taskstest.Put(t, m, own, "blacklist nouveau\noptions zfs zfs_txg_timeout=10\n")
	if res := taskstest.Run(t, arc.Kind(), spec, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := taskstest.Get(t, m, installer); got != mine {
		t.Errorf("%s is now %q", installer, got)
	}
	if got, want := taskstest.Get(t, m, own), "blacklist nouveau\noptions zfs zfs_txg_timeout=10 zfs_arc_max=8589934592\n"; got != want {
		t.Errorf("%s is now %q, want %q", own, got, want)
	}
	if got := taskstest.Get(t, m, parameter); got != "8589934592\n" {
		t.Errorf("the parameter is %q", got)
	}
}

func TestArc_whatZFSWouldIgnoreFails(t *testing.T) {
	for _, tc := range []struct{ name, spec, why string }{
		{"not above the least size", `{"arc_max_gb":0.5}`, "zfs_arc_min"},
		{"all of the memory", `{"arc_max_gb":32}`, "not below the machine's memory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Check(t, arc.Kind(), tc.spec, machine(t))
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestArc_withoutZFSThereIsAdvice(t *testing.T) {
	tr := taskstest.NewTree(t, map[string]string{"/sys/module/": ""})
	res := taskstest.Check(t, arc.Kind(), spec, tr)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "modprobe zfs") {
		t.Errorf("%+v", res)
	}
}

func TestValidate_namesASizeThatIsNone(t *testing.T) {
	for _, gb := range []float64{0, -1, 0.01, 1e9} {
		if p := (&arc.Spec{MaxGB: gb}).Validate(); len(p) != 1 || p[0].Path != "arc_max_gb" {
			t.Errorf("%g: problems %v, want one at arc_max_gb", gb, p)
		}
	}
	if p := (&arc.Spec{MaxGB: 0.0625}).Validate(); len(p) > 0 {
		t.Errorf("problems %v", p)
	}
}
