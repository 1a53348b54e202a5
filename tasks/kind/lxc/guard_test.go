package lxc_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/taskstest"
)

func TestNumberOfAnotherGuestIsAnError(t *testing.T) {
	for name, c := range map[string]struct{ guest, want string }{
		"a virtual machine here":        {`{"node":"pve","type":"qemu","version":1}`, "belongs to a virtual machine on node pve"},
		"a virtual machine elsewhere":   {`{"node":"pve2","type":"qemu","version":1}`, "belongs to a virtual machine on node pve2"},
		"a list that cannot be decoded": {`7`, "read /etc/pve/.vmlist"},
		"a guest of no type":            {`null`, `read /etc/pve/.vmlist: "900" is no guest`},
	} {
		for _, state := range []string{"running", "absent"} {
			t.Run(name+", wanted "+state, func(t *testing.T) {
				m := newMachine(t, "8.4")
				taskstest.Put(t, m.sim.Host(), "/etc/pve/.vmlist", `{"version":3,"ids":{"900":`+c.guest+`}}`)
				res := m.apply(t, spec(`"state":"`+state+`"`), tasks.Consent{Destroy: []int{900}})
				wantStatus(t, res, tasks.StatusFailed)
				if !strings.Contains(res.Why, c.want) {
					t.Errorf("why %q, want %q", res.Why, c.want)
				}
				wantCalls(t, m)
			})
		}
	}
}

func TestAConfigurationWithoutItsVolumeIsDamagedNotInSync(t *testing.T) {
	for line, want := range map[string]string{
		"": "/etc/pve/lxc/900.conf has no rootfs", "rootfs: local-lvm\n": "has rootfs: local-lvm,", "rootfs: ,,=,\n": "has rootfs: ,,=,",
		"rootfs: volume=\n": "has rootfs: volume=,", "rootfs: local-lvm:\n": "has rootfs: local-lvm:,",
		"rootfs: local-lvm:vm-900-disk-0,size=4G\nmp0: local-lvm,mp=/v\n": "has mp0: local-lvm,mp=/v,",
		"lock: destroyed\n": "it is being destroyed (lock: destroyed): wait until that is over; where it was cut off, pct destroy 900",
	} {
		m := newGuest(t, spec(""))
		taskstest.Put(t, m.sim.Host(), "/etc/pve/nodes/pve/lxc/900.conf", "hostname: web\nmemory: 512\n"+line)
		for _, mode := range []tasks.Mode{tasks.ModeCheck, tasks.ModeRun} {
			res := m.step(t, spec(`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/v"}]`), mode, tasks.Consent{Destroy: []int{900}})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, want) || !strings.Contains(res.Why, "damaged") && !strings.HasPrefix(line, "lock") {
				t.Errorf("%q: why %q", line, res.Why)
			}
		}
	}
}

func TestClusterFileSystemThatIsNotMountedIsAnError(t *testing.T) {
	m := newMachine(t, "8.4")
	if err := os.Remove(filepath.Join(m.sim.Root, "/etc/pve/local")); err != nil {
		t.Fatal(err)
	}
	res := m.check(t, spec(""))
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "/etc/pve/local is not a link: the cluster file system is not mounted") {
		t.Errorf("why %q", res.Why)
	}
}

func TestNothingIsWrittenWithoutQuorum(t *testing.T) {
	taskstest.Suite{Kind: lxc.Kind(), Spec: spec("")}.WithoutQuorum(t, newMachine(t, "8.4").sim.Host())
}

func TestLockedContainerIsNamedAndNeverUnlocked(t *testing.T) {
	for _, lock := range []string{"backup", "snapshot", "migrate", "fstrim"} {
		m := newGuest(t, spec(""))
		m.hand(t, "memory: 512\n", "lock: "+lock+"\nmemory: 512\n")
		wantStatus(t, m.check(t, spec("")), tasks.StatusOK)
		for _, s := range []string{strings.Replace(spec(""), `"memory_mb":512`, `"memory_mb":1024`, 1), spec(`"state":"absent"`)} {
			for _, mode := range []tasks.Mode{tasks.ModeCheck, tasks.ModeRun} {
				res := m.step(t, s, mode, tasks.Consent{Destroy: []int{900}, Restart: true})
				if mode == tasks.ModeCheck {
					wantStatus(t, res, tasks.StatusWouldChange)
					if c := res.Changes[0]; !c.Held() || !strings.HasPrefix(c.Note[strings.LastIndex(c.Note, "\n")+1:], "would be refused: container 900 is locked ("+lock+"): wait until that is over") {
						t.Errorf("change %+v", c)
					}
					continue
				}
				wantStatus(t, res, tasks.StatusSkipped)
				if res.Cause != tasks.CauseRefused || !strings.HasPrefix(res.Why, "changing container 900 is refused: container 900 is locked ("+lock+")") {
					t.Errorf("why %q", res.Why)
				}
			}
		}
		wantCalls(t, m)
		if m.line(t, "lock") != "lock: "+lock {
			t.Errorf("the lock has gone:\n%s", m.conf(t))
		}
	}
}

func TestLockThatAppearsWhileApplyingIsTold(t *testing.T) {
	m := newGuest(t, spec(""))
	m.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd == nil {
			return nil
		}
		return &taskstest.Answer{Output: tasks.Output{Code: 255, Stderr: []byte("CT is locked (backup)\n")}}
	}
	res := m.apply(t, strings.Replace(spec(""), `"memory_mb":512`, `"memory_mb":1024`, 1), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "CT is locked (backup)") || len(m.pct()) != 1 {
		t.Errorf("why %q, calls %q", res.Why, m.pct())
	}
}

func TestTemplateCannotRun(t *testing.T) {
	m := newGuest(t, spec(""))
	m.sh(t, "pct stop 900")
	m.hand(t, "swap: 512\n", "swap: 512\ntemplate: 1\n")
	res := m.check(t, spec(""))
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "it is a template, which cannot run") {
		t.Errorf("why %q", res.Why)
	}
	wantStatus(t, m.check(t, spec(`"state":"stopped"`)), tasks.StatusOK)
}

func TestCheckStartsNoProgram(t *testing.T) {
	m := newGuest(t, full)
	wantStatus(t, m.check(t, full), tasks.StatusOK)
	if c := m.Commands(); len(c) > 0 {
		t.Errorf("the check started %q", c)
	}
}

func TestMTULargerThanTheBridgesIsRefusedBeforehand(t *testing.T) {
	jumbo := strings.Replace(spec(""), `"bridge":"vmbr0"`, `"bridge":"vmbr0","mtu":9000`, 1)
	const want = "an MTU of 9000 is larger than that of bridge vmbr0, 1500"
	for name, m := range map[string]*machine{"a new container": newMachine(t, "8.4"), "one that runs": newGuest(t, spec(""))} {
		t.Run(name, func(t *testing.T) {
			taskstest.Put(t, m.sim.Host(), "/sys/class/net/vmbr0/mtu", "1500\n")
			res := m.apply(t, jumbo, tasks.Consent{})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, want) {
				t.Errorf("why %q, want %q", res.Why, want)
			}
			wantCalls(t, m)
		})
	}
}

// later is a cluster whose resource manager acts a while after pct has asked it.
type later struct {
	tasks.Host
	looks int
}

func (l *later) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	if strings.HasPrefix(strings.Join(c.Argv, " "), "pct s") {
		l.looks = 0
		return tasks.Output{Stdout: []byte("Requesting HA for CT 900\n")}, nil
	}
	return l.Host.Run(ctx, c)
}

func (l *later) ReadFile(path string) ([]byte, error) {
	if path == "/proc/net/unix" {
		if l.looks++; l.looks == 100 {
			if _, err := l.Host.Run(context.Background(), tasks.Cmd{Argv: []string{"pct", "stop", "900"}}); err != nil {
				return nil, err
			}
		}
	}
	return l.Host.ReadFile(path)
}

func TestHighAvailabilityIsWaitedFor(t *testing.T) {
	m := newGuest(t, spec(""))
	if err := m.sim.Host().Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/etc/pve/ha"}); err != nil {
		t.Fatal(err)
	}
	taskstest.Put(t, m.sim.Host(), "/etc/pve/ha/resources.cfg", "ct: 901\n\tstate ignored\n\nct: 900\n\tstate started\n")
	synctest.Test(t, func(t *testing.T) {
		h := &later{Host: m.sim.Host(), looks: 1000}
		begin := time.Now()
		res := taskstest.Run(t, lxc.Kind(), spec(`"state":"stopped"`), h)
		if waited := time.Since(begin); res.Status != tasks.StatusChanged || waited < 20*time.Second || waited > time.Minute {
			t.Errorf("%s %s after %s", res.Status, res.Why, waited)
		}
	})
}
