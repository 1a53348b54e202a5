package reboot_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/reboot"
	"phoenix/tasks/taskstest"
)

const (
	old   = "6.8.12-4-pve"
	fresh = "6.8.12-9-pve"
)

// machine has a newer kernel than the one that runs, and comes up with it at once.
func machine(t *testing.T) *taskstest.Tree {
	m := taskstest.NewTree(t, map[string]string{
		"/proc/sys/kernel/osrelease": old + "\n", "/proc/sys/kernel/random/boot_id": "b1\n",
		"/boot/vmlinuz-" + old: "", "/boot/vmlinuz-" + fresh: "", "/lib/modules/" + old + "/": "", "/lib/modules/" + fresh + "/": "",
		"/run/": "", "/etc/kernel/": "",
	})
	m.Programs["systemd-run"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if !slices.Equal(c.Argv[len(c.Argv)-2:], []string{"systemctl", "reboot"}) {
			return tasks.Output{Code: 1, Stderr: []byte("what is this")}
		}
		taskstest.Put(t, h, "/proc/sys/kernel/osrelease", fresh+"\n")
		taskstest.Put(t, h, "/proc/sys/kernel/random/boot_id", strings.TrimSpace(taskstest.Get(t, h, "/proc/sys/kernel/random/boot_id"))+"x\n")
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: "/run/reboot-required"}); err != nil {
			t.Fatal(err)
		}
		return tasks.Output{}
	}
	return m
}

func TestReboot_conforms(t *testing.T) {
	taskstest.Suite{
		Kind: reboot.Kind(), Spec: `{}`, Consent: tasks.Consent{Reboot: true},
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		Drifts: []taskstest.Drift{
			{Name: "a package asks for a reboot", Paths: []string{"reboot"}, Make: func(t *testing.T, h tasks.Host) {
				taskstest.Put(t, h, "/run/reboot-required", "")
			}},
		},
		// Whether it goes down after that claim is seen within minutes; a test of its own.
		Tolerates: []string{"systemd-run"},
	}.Run(t)
}

func TestReboot_withoutConsentSaysWhyOneIsNeeded(t *testing.T) {
	m := machine(t)
	rec := taskstest.NewRecorder(m)
	res := taskstest.Run(t, reboot.Kind(), `{}`, rec)
	if res.Status != tasks.StatusSkipped || res.Cause != tasks.CausePending || !strings.Contains(res.Why, "waits for a reboot") || len(rec.Changes()) > 0 {
		t.Errorf("%+v, which did %v", res, rec.Changes())
	}
	if len(res.Remaining) != 1 || !res.Remaining[0].Held() || !strings.Contains(res.Remaining[0].Note, fresh) || !strings.Contains(res.Remaining[0].Note, "--allow-reboot") {
		t.Errorf("the reason is told as %+v", res.Remaining)
	}
	want := tasks.Allow{Flag: tasks.AllowReboot, Loss: "the host reboots, and its running guests stop with it\nkernel " + fresh + " is installed, " + old + " runs"}
	if !slices.Equal(res.Allow, []tasks.Allow{want}) {
		t.Errorf("it asks for %+v, want %+v", res.Allow, want)
	}
}

func TestReboot_notIntoAKernelWithoutTheDriver(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, "/run/reboot-required", "")
	if err := m.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/sys/module/nvidia"}); err != nil {
		t.Fatal(err)
	}
	taskstest.Put(t, m, "/sys/module/nvidia/version", "570.86.15\n")
	err := run(t, m, func(tasks.Reboot) { t.Error("rebooted") })
	var refused *tasks.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "dkms autoinstall -k "+fresh) {
		t.Errorf("error %v", err)
	}
	if res := taskstest.Run(t, reboot.Kind(), `{}`, m); res.Cause != tasks.CausePending || len(res.Allow) > 0 {
		t.Errorf("without consent it is %s and asks for %+v, which would not help", res.Cause, res.Allow)
	}
	if err := m.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/lib/modules/" + fresh + "/updates/dkms"}); err != nil {
		t.Fatal(err)
	}
	taskstest.Put(t, m, "/lib/modules/"+fresh+"/updates/dkms/nvidia.ko", "")
	if err := run(t, m, func(tasks.Reboot) {}); err != nil {
		t.Errorf("with the module built: %v", err)
	}
}

func TestReboot_comesWithWhatOtherStepsLeaveToIt(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, "/proc/sys/kernel/osrelease", fresh+"\n")
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Waiting: []string{"nvidia:driver loaded"}})
	d, err := new(reboot.Spec).Task().Check(ctx, tasks.ReadOnly(m))
	if err != nil || len(d) != 1 || !strings.HasPrefix(d[0].Note, "nvidia:driver loaded waits for it\n") {
		t.Errorf("%+v, %v", d, err)
	}
}

// run is Apply with an audience.
func run(t *testing.T, m *taskstest.Tree, said func(tasks.Reboot)) error {
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Consent: tasks.Consent{Reboot: true}, Reboot: said})
	task := new(reboot.Spec).Task()
	d, err := task.Check(ctx, tasks.ReadOnly(m))
	if err != nil || len(d) != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	return task.Apply(ctx, m, d)
}

func TestReboot_isAnnouncedWithTheBootThatEnds(t *testing.T) {
	var heard []tasks.Reboot
	if err := run(t, machine(t), func(r tasks.Reboot) { heard = append(heard, r) }); err != nil {
		t.Fatal(err)
	}
	if len(heard) != 1 || heard[0].BootID != "b1" || len(heard[0].Changes) != 1 {
		t.Errorf("announced %+v", heard)
	}
	if err := run(t, machine(t), nil); err == nil || !strings.Contains(err.Error(), "nobody follows the run") {
		t.Errorf("without anybody to wait: %v", err)
	}
}

func TestReboot_aMachineThatStaysUpIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine(t)
		m.Programs["systemd-run"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output { return tasks.Output{} }
		begin := time.Now()
		err := run(t, m, func(tasks.Reboot) {})
		if err == nil || !strings.Contains(err.Error(), "did not go down") || time.Since(begin) != 15*time.Minute {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}
