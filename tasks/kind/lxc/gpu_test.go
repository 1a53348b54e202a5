package lxc_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// gpuMachine is a simulated host with two cards.
func gpuMachine(t testing.TB, release string) *machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Release: release, GPUs: 2, LockTimeout: 50 * time.Millisecond, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &machine{taskstest.NewRecorder(m.Host()), m}
}

// gpuGuest is a host with two cards on which the container of the spec runs already.
func gpuGuest(t *testing.T, release, more string) *machine {
	t.Helper()
	m := gpuMachine(t, release)
	wantStatus(t, m.apply(t, spec(more), tasks.Consent{}), tasks.StatusChanged)
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	return m
}

// devices are the container's lines devN, without their numbers.
func (m *machine) devices(t *testing.T) []string {
	t.Helper()
	var out []string
	for l := range strings.Lines(m.conf(t)) {
		if strings.HasPrefix(l, "[") {
			break
		}
		if key, value, _ := strings.Cut(strings.TrimSpace(l), ": "); strings.HasPrefix(key, "dev") {
			out = append(out, value)
		}
	}
	slices.Sort(out)
	return out
}

// drop takes a file of the host away.
func drop(t *testing.T, m *sim.Machine, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(m.Root, name)); err != nil {
		t.Fatal(err)
	}
}

const (
	nvidia0  = "/dev/nvidia0,mode=0666"
	nvidia1  = "/dev/nvidia1,mode=0666"
	controls = "/dev/nvidia-uvm,mode=0666 /dev/nvidia-uvm-tools,mode=0666 "
	ctl      = " /dev/nvidiactl,mode=0666"
)

// edited is a drift in the configuration file.
func edited(name, old, fresh string, paths ...string) taskstest.Drift {
	return taskstest.Drift{Name: name, Paths: paths, Make: func(t *testing.T, h tasks.Host) {
		t.Helper()
		before := taskstest.Get(t, h, "/etc/pve/lxc/900.conf")
		after := strings.Replace(before, old, fresh, 1)
		if after == before {
			t.Fatalf("%q is not in:\n%s", old, before)
		}
		taskstest.Put(t, h, "/etc/pve/lxc/900.conf", after)
	}}
}

func TestConformanceWithGPUs(t *testing.T) {
	const s = `"state":"stopped","devices":[{"path":"/dev/null"}],"gpu_assignment":"0"`
	const path = "gpu_assignment./dev/nvidia0"
	var at *sim.Machine
	host := func(name string, do func(t *testing.T), paths ...string) taskstest.Drift {
		return taskstest.Drift{Name: name, Paths: paths, Make: func(t *testing.T, _ tasks.Host) { t.Helper(); do(t) }}
	}
	taskstest.Suite{
		Kind: lxc.Kind(), Spec: spec(s), Consent: tasks.Consent{Restart: true},
		New: func(t *testing.T) taskstest.Machine {
			at = gpuMachine(t, "8.4").sim
			return taskstest.Machine{Host: at.Host(), Digest: at.Digest}
		},
		Drifts: []taskstest.Drift{
			edited("a card was taken away", "dev1: "+nvidia0+"\n", "", path),
			edited("the mode was changed", nvidia0, "/dev/nvidia0,mode=0660", path+".mode"),
			edited("the mode was left to Proxmox", nvidia0, "/dev/nvidia0", path+".mode"),
			edited("the owner was changed", nvidia0, nvidia0+",uid=7", path+".uid"),
			edited("the group was changed", nvidia0, nvidia0+",gid=44", path+".gid"),
			edited("writing was denied", nvidia0, "/dev/nvidia0,deny-write=1,mode=0666", path+".deny_write"),
			edited("a control node was taken away", "dev3: /dev/nvidia-uvm,mode=0666\n", "", "gpu_assignment./dev/nvidia-uvm"),
			edited("another card was added", "dev1: ", "dev9: path=/dev/nvidia1\ndev1: ", "gpu_assignment./dev/nvidia1"),
			edited("a card was added twice", "dev1: ", "dev9: /dev/nvidia0\ndev1: ", path+" (dev9)"),
			edited("a line of an older tool was added", "swap: ", "lxc.cgroup2.devices.allow: c 195:* rwm\nswap: ", "gpu_assignment.lxc_options"),
			host("the host got a node for displays", func(t *testing.T) { t.Helper(); taskstest.Put(t, at.Host(), "/dev/nvidia-modeset", "") }, "gpu_assignment./dev/nvidia-modeset"),
		},
	}.Run(t)
}

func TestCardsAreFoundByEachOfTheirNames(t *testing.T) {
	for assignment, want := range map[string]string{
		`"0"`:                             controls + nvidia0 + ctl,
		`1`:                               controls + nvidia1 + ctl,
		`"0, 1"`:                          controls + nvidia0 + " " + nvidia1 + ctl,
		`"all"`:                           controls + nvidia0 + " " + nvidia1 + ctl,
		`"` + uuid2 + `"`:                 controls + nvidia1 + ctl,
		`["GPU-` + uuid1[4:] + `"]`:       controls + nvidia0 + ctl,
		`"0000:02:00.0"`:                  controls + nvidia1 + ctl,
		`"00000000:01:00.0"`:              controls + nvidia0 + ctl,
		`["0","` + uuid1 + `"]`:           controls + nvidia0 + ctl,
		`["1","01:00.0","` + uuid1 + `"]`: controls + nvidia0 + " " + nvidia1 + ctl,
		`"none"`:                          "",
	} {
		t.Run(assignment, func(t *testing.T) {
			m := gpuGuest(t, "8.4", `"gpu_assignment":`+assignment)
			if got := strings.Join(m.devices(t), " "); got != want {
				t.Errorf("devices %q, want %q", got, want)
			}
			wantStatus(t, m.apply(t, spec(`"gpu_assignment":`+assignment), tasks.Consent{}), tasks.StatusOK)
		})
	}
}

// TestTheIndexIsThatOfTheAddress: the driver may have found the second card first.
func TestTheIndexIsThatOfTheAddress(t *testing.T) {
	m := gpuMachine(t, "8.4")
	const first, second = "/proc/driver/nvidia/gpus/0000:01:00.0/information", "/proc/driver/nvidia/gpus/0000:02:00.0/information"
	for file, minors := range map[string][2]string{first: {"Minor: \t 0", "Minor: \t 1"}, second: {"Minor: \t 1", "Minor: \t 0"}} {
		taskstest.Put(t, m.sim.Host(), file, strings.Replace(taskstest.Get(t, m.sim.Host(), file), minors[0], minors[1], 1))
	}
	res := m.apply(t, spec(`"state":"stopped"`), tasks.Consent{})
	wantStatus(t, res, tasks.StatusChanged)
	res = m.apply(t, spec(`"state":"stopped","gpu_assignment":"0"`), tasks.Consent{})
	wantStatus(t, res, tasks.StatusChanged)
	if c := res.Changes[0]; c.Path != "gpu_assignment./dev/nvidia1" || c.To != nvidia1 || c.Note != "GPU 0, 0000:01:00.0, "+uuid1 {
		t.Errorf("change %+v", c)
	}
}

func TestACardComesAndGoesAsProxmoxCan(t *testing.T) {
	const restart = "shutdown 900 --timeout 60 --forceStop 1"
	nodes := []string{"/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"}
	var set, deletes []string
	for i, n := range nodes {
		set = append(set, "--dev"+string(rune('0'+i)), n+",mode=0666")
		deletes = append(deletes, "dev"+string(rune('0'+i)))
	}
	add, remove := "set 900 "+strings.Join(set, " "), "set 900 --delete "+strings.Join(deletes, ",")
	for release, effect := range map[string]tasks.Effect{"8.4": tasks.EffectRestart, "9.1": tasks.EffectLive} {
		t.Run(release, func(t *testing.T) {
			m := gpuGuest(t, release, "")
			with, without := spec(`"gpu_assignment":"0"`), spec(`"gpu_assignment":"none"`)
			if d := m.check(t, with).Changes; len(d) != len(nodes) || !d.Only(effect) {
				t.Errorf("changes %+v, want %d that are %s", d, len(nodes), effect)
			}
			wantStatus(t, m.apply(t, with, tasks.Consent{Restart: true}), tasks.StatusChanged)
			wantStatus(t, m.apply(t, with, tasks.Consent{Restart: true}), tasks.StatusOK)
			calls := []string{add, restart, "start 900"}
			if effect == tasks.EffectLive {
				calls = []string{add}
			}
			wantCalls(t, m, calls...)
			if d := m.check(t, without).Changes; len(d) != len(nodes) || !d.Only(tasks.EffectRestart) {
				t.Errorf("changes %+v, want %d that need a restart", d, len(nodes))
			}
			wantStatus(t, m.apply(t, without, tasks.Consent{Restart: true}), tasks.StatusChanged)
			wantStatus(t, m.apply(t, without, tasks.Consent{Restart: true}), tasks.StatusOK)
			wantCalls(t, m, append(calls, remove, restart, "start 900")...)
			if got := m.devices(t); len(got) > 0 {
				t.Errorf("devices %q are left", got)
			}
		})
	}
}

func TestAnotherCardTakesThePlaceOfOne(t *testing.T) {
	m := gpuGuest(t, "8.4", `"gpu_assignment":"0"`)
	s := spec(`"gpu_assignment":"1"`)
	if got := paths(m.check(t, s).Changes); !slices.Equal(got, []string{"gpu_assignment./dev/nvidia1", "gpu_assignment./dev/nvidia0"}) {
		t.Errorf("changes %q", got)
	}
	res := m.apply(t, s, tasks.Consent{})
	if res.Cause != tasks.CausePending || len(res.Remaining) != 2 {
		t.Errorf("%s, cause %q, remaining %+v", res.Why, res.Cause, res.Remaining)
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{Restart: true}), tasks.StatusChanged)
	wantCalls(t, m, "set 900 --dev4 "+nvidia1+" --delete dev0", "shutdown 900 --timeout 60 --forceStop 1", "start 900")
	if got := strings.Join(m.devices(t), " "); got != controls+nvidia1+ctl {
		t.Errorf("devices %q", got)
	}
}

func TestNoneTakesNothingElse(t *testing.T) {
	m := gpuGuest(t, "8.4", `"state":"stopped","gpu_assignment":"all"`)
	const others = "dev20: /dev/null,gid=44\ndev21: /dev/nvidia-caps/nvidia-cap1\nlxc.cgroup2.devices.allow: a\nlxc.cgroup2.devices.allow: c 226:* rwm\n" +
		"lxc.mount.entry: /dev/dri dev/dri none bind,optional,create=dir\nlxc.mount.entry: /dev/nvidia-caps dev/nvidia-caps none bind,optional,create=dir\n"
	m.hand(t, "swap: ", others+"swap: ")
	wantStatus(t, m.apply(t, spec(`"state":"stopped","gpu_assignment":"none"`), tasks.Consent{}), tasks.StatusChanged)
	for l := range strings.Lines(others) {
		if !strings.Contains(m.conf(t), "\n"+l) {
			t.Errorf("%q has gone:\n%s", l, m.conf(t))
		}
	}
	if got := m.devices(t); !slices.Equal(got, []string{"/dev/null,gid=44", "/dev/nvidia-caps/nvidia-cap1"}) {
		t.Errorf("devices %q", got)
	}
}

func TestWithoutTheKeyCardsAreNotManaged(t *testing.T) {
	m := gpuGuest(t, "8.4", `"gpu_assignment":"0"`)
	drop(t, m.sim, "/proc/driver/nvidia")
	m.hand(t, "swap: ", "lxc.cgroup2.devices.allow: c 195:* rwm\nswap: ")
	wantStatus(t, m.check(t, spec("")), tasks.StatusOK)
}

func TestAStagedCardNeedsOnlyTheRestart(t *testing.T) {
	m := gpuGuest(t, "8.4", `"gpu_assignment":"0"`)
	m.sh(t, "pct set 900 --dev9 "+nvidia1)
	res := m.check(t, spec(`"gpu_assignment":"all"`))
	if got := paths(res.Changes); !slices.Equal(got, []string{"gpu_assignment./dev/nvidia1"}) || !res.Changes.Only(tasks.EffectPending) {
		t.Errorf("changes %+v", res.Changes)
	}
	wantStatus(t, m.apply(t, spec(`"gpu_assignment":"0"`), tasks.Consent{}), tasks.StatusChanged)
	wantCalls(t, m, "set 900 --revert dev9")
}

func TestACloneHasCardsOfItsOwn(t *testing.T) {
	m := gpuGuest(t, "8.4", `"state":"stopped","gpu_assignment":"all"`)
	m.sh(t, "pct clone 900 901 --full 1")
	conf := taskstest.Get(t, m.sim.Host(), "/etc/pve/lxc/901.conf")
	if !strings.Contains(conf, nvidia1) {
		t.Fatalf("the clone has no cards of its parent:\n%s", conf)
	}
	res := taskstest.Run(t, lxc.Kind(), `{"ctid":902,"clone_from_ctid":900,"clone_mode":"full","state":"stopped","gpu_assignment":["1"]}`, m)
	wantStatus(t, res, tasks.StatusChanged)
	conf = taskstest.Get(t, m.sim.Host(), "/etc/pve/lxc/902.conf")
	if !strings.Contains(conf, nvidia1) || strings.Contains(conf, nvidia0) || strings.Count(conf, "\ndev") != 4 {
		t.Errorf("the clone has\n%s", conf)
	}
}
