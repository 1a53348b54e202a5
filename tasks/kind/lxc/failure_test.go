package lxc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/taskstest"
)

// answer makes the nth call of "pct VERB" say something else; with do, after its work.
func (m *machine) answer(verb string, do bool, out tasks.Output) {
	m.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd == nil || !strings.HasPrefix(o.String(), "pct "+verb) {
			return nil
		}
		return &taskstest.Answer{Do: do, Output: out}
	}
}

func TestSuccessThatDidNothingIsAFailure(t *testing.T) {
	grow := strings.Replace(spec(""), `"storage_size_gb":4`, `"storage_size_gb":8`, 1)
	more := strings.Replace(spec(""), `"memory_mb":512`, `"memory_mb":1024`, 1)
	for verb, c := range map[string]struct{ spec, want string }{
		"set":      {more, "change container 900: memory_mb is still 512"},
		"resize":   {grow, "change container 900: storage_size_gb is still 4"},
		"shutdown": {spec(`"state":"stopped"`), "stop container 900: it still runs"},
		"destroy":  {spec(`"state":"absent"`), "destroy container 900: its configuration is still there"},
	} {
		t.Run(verb, func(t *testing.T) {
			m := newGuest(t, spec(""))
			m.answer(verb, false, tasks.Output{Stdout: []byte("all is well\n")})
			res := m.apply(t, c.spec, tasks.Consent{Destroy: []int{900}})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, c.want) || !strings.Contains(res.Why, "all is well") {
				t.Errorf("why %q, want %q and what pct said", res.Why, c.want)
			}
		})
	}
	for verb, want := range map[string]string{
		"create": "create container 900: there is none afterwards",
		"start":  "start container 900: it does not run afterwards",
	} {
		t.Run(verb, func(t *testing.T) {
			m := newMachine(t, "8.4")
			m.answer(verb, false, tasks.Output{})
			res := m.apply(t, spec(""), tasks.Consent{})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, want) {
				t.Errorf("why %q, want %q", res.Why, want)
			}
		})
	}
}

func TestFileSystemThatDidNotGrowIsTold(t *testing.T) {
	m := newGuest(t, spec(""))
	m.answer("resize", true, tasks.Output{Stdout: []byte("Image resized.\nFailed to update the container's filesystem: command 'unshare …' failed: exit code 1\n")})
	res := m.apply(t, strings.Replace(spec(""), `"storage_size_gb":4`, `"storage_size_gb":8`, 1), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "the volume has grown, its file system has not") {
		t.Errorf("why %q", res.Why)
	}
}

func TestReasonOfAFailureIsQuoted(t *testing.T) {
	m := newGuest(t, spec(`"state":"stopped"`))
	m.answer("start", false, tasks.Output{Code: 255,
		Stdout: []byte("mount_entry: 2213 No such file or directory - Failed to mount \"/nonexistent\"\n"), Stderr: []byte("startup for container '900' failed\n")})
	taskstest.Put(t, m.sim.Host(), "/run/pve/ct-900.stderr", "lxc_init: 845 Failed to run lxc.hook.pre-start\n")
	res := m.apply(t, spec(""), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	for _, want := range []string{"start container 900: run pct start 900: exit status 255", "Failed to mount", "startup for container '900' failed", "lxc.hook.pre-start"} {
		if !strings.Contains(res.Why, want) {
			t.Errorf("why %q, want %q in it", res.Why, want)
		}
	}
}

// TestFailedHotChangeLeavesNothingStaged has a bridge that is there when it is looked
// for and gone for Proxmox, which then leaves a value behind that poisons the next
// start.
func TestFailedHotChangeLeavesNothingStaged(t *testing.T) {
	two := spec("")
	two = strings.Replace(two, `"network_config":{"name":"eth0","bridge":"vmbr0","ip":"dhcp"}`,
		`"network_config":[{"name":"eth0","bridge":"vmbr0","ip":"dhcp"},{"name":"eth1","bridge":"vmbr1"}]`, 1)
	m := newGuest(t, two)
	before := m.conf(t)
	m.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd == nil || !strings.Contains(o.String(), "bridge=vmbr9") {
			return nil
		}
		m.hand(t, "unprivileged: 1\n", "unprivileged: 1\n\n[pve:pending]\nnet1: name=eth1,bridge=vmbr9\n")
		return &taskstest.Answer{Output: tasks.Output{Code: 2,
			Stderr: []byte("400 Parameter verification failed.\nnet1: unable to hotplug net1: bridge 'vmbr9' does not exist\n")}}
	}
	if err := m.sim.Host().Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/sys/class/net/vmbr9"}); err != nil {
		t.Fatal(err)
	}
	res := m.apply(t, strings.Replace(two, "vmbr1", "vmbr9", 1), tasks.Consent{Restart: true})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "unable to hotplug net1") {
		t.Errorf("why %q", res.Why)
	}
	calls := m.pct()
	if len(calls) != 2 || calls[1] != "set 900 --revert net1" || m.conf(t) != before {
		t.Errorf("calls %q, configuration\n%s", calls, m.conf(t))
	}
}

// stuck is a container whose lock somebody else holds for a number of calls.
type stuck struct {
	tasks.Host
	calls, free int
}

func (s *stuck) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	if s.calls++; s.calls <= s.free {
		text := "trying to acquire lock...\ncan't lock file '/run/lock/lxc/pve-config-900.lock' - got timeout\n"
		return tasks.Output{Code: 4, Stderr: []byte(text)}, nil
	}
	return s.Host.Run(ctx, c)
}

func TestHeldLockIsWaitedForAndItsHolderNamed(t *testing.T) {
	m := newGuest(t, spec(""))
	taskstest.Put(t, m.sim.Host(), "/var/log/pve/tasks/active",
		"UPID:pve:0000ABCD:00001234:65000000:vzdump:900:root@pam: 0\nUPID:pve:0000ABCE:00001234:65000000:vzstart:900:ann@pve: 1 65000009 OK\n")
	s := strings.Replace(spec(""), `"memory_mb":512`, `"memory_mb":1024`, 1)
	synctest.Test(t, func(t *testing.T) {
		var said []string
		ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) { said = append(said, l.Text) }})
		h := &stuck{Host: m.sim.Host(), free: 3}
		task := decode(t, s).Task()
		d, err := task.Check(ctx, tasks.ReadOnly(h))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := task.Apply(ctx, h, d); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited != 7*time.Second || h.calls != 4 {
			t.Errorf("%d calls in %s, want 4 with 1, 2 and 4 seconds between", h.calls, waited)
		}
		if !slices.ContainsFunc(said, func(l string) bool { return strings.Contains(l, "(vzdump, started by root@pam)") }) {
			t.Errorf("said %q, want the holder", said)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h := &stuck{Host: m.sim.Host(), free: 1000}
		task := decode(t, strings.Replace(spec(""), `"memory_mb":512`, `"memory_mb":2048`, 1)).Task()
		d, err := task.Check(ctx, tasks.ReadOnly(h))
		if err != nil {
			t.Fatal(err)
		}
		err = task.Apply(ctx, h, d)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), "Proxmox's lock of container 900 (vzdump, started by root@pam)") {
			t.Errorf("error %v", err)
		}
	})
}

func decode(t *testing.T, spec string) *lxc.Spec {
	t.Helper()
	s, err := tasks.NewRegistry(lxc.Kind()).Decode(tasks.Step{ID: lxc.StepID(900), Kind: lxc.Name, Spec: []byte(spec)})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*lxc.Spec)
}
