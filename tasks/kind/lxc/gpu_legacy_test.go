package lxc_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

// oldLines are those by which the scripts before phoenix gave two cards; the number 243
// was that of unified memory at the time.
const oldLines = "lxc.cgroup2.devices.allow: c 195:* rwm\nlxc.cgroup2.devices.allow: c 243:* rwm\n" +
	"lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file\n" +
	"lxc.mount.entry: /dev/nvidiactl dev/nvidiactl none bind,optional,create=file\n" +
	"lxc.mount.entry: /dev/nvidia-uvm dev/nvidia-uvm none bind,optional,create=file\n" +
	"lxc.mount.entry: /dev/nvidia-uvm-tools /dev/nvidia-uvm-tools none bind,optional,create=file 0 0\n"

func TestOldLinesBecomeDeviceEntries(t *testing.T) {
	m := gpuGuest(t, "8.4", `"state":"stopped"`)
	const tun = "lxc.cgroup2.devices.allow: c 10:200 rwm\nlxc.mount.entry: /dev/net/tun dev/net/tun none bind,create=file\n"
	const head = "#a note%3A kept\narch: amd64\ncores: 1\nfeatures: nesting=1\nfuture: thing\nhostname: web1\nmemory: 512\nnet0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp,type=veth\n" +
		"ostype: debian\nrootfs: local-lvm:vm-900-disk-0,size=4G\nswap: 512\nunprivileged: 1\n"
	const tail = "\n[before]\n" + oldLines + "memory: 64\nrootfs: local-lvm:snap\nsnaptime: 1700000000\n"
	taskstest.Put(t, m.sim.Host(), "/etc/pve/lxc/900.conf", head+oldLines+tun+tail)
	s := spec(`"state":"stopped","gpu_assignment":"0"`)
	res := m.apply(t, s, tasks.Consent{})
	wantStatus(t, res, tasks.StatusChanged)
	if !slices.Contains(paths(res.Changes), "gpu_assignment.lxc_options") || len(res.Changes) != 5 {
		t.Errorf("changes %q", paths(res.Changes))
	}
	conf := m.conf(t)
	now, snapshot, _ := strings.Cut(conf, "\n[before]\n")
	if strings.Contains(now, "nvidia0 dev") || strings.Contains(now, "195:") || strings.Contains(now, "243:") || !strings.Contains(now+"\n", "\n"+tun) {
		t.Errorf("the current section is\n%s", now)
	}
	if !strings.Contains(snapshot, oldLines) {
		t.Errorf("the snapshot has changed:\n%s", snapshot)
	}
	if !strings.HasPrefix(now, "#a note%3A kept\n") || !strings.Contains(now, "\nfuture: thing\n") {
		t.Errorf("lines have gone:\n%s", now)
	}
	if got := strings.Join(m.devices(t), " "); got != controls+nvidia0+ctl {
		t.Errorf("devices %q", got)
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusOK)
}

func TestOldLinesAreKnownFromOthers(t *testing.T) {
	const memory = "lxc.mount.entry: /dev/nvidia-uvm dev/nvidia-uvm none bind\n"
	const none = ""
	for name, c := range map[string]struct{ lines, gone string }{
		"the present number of unified memory":       {"lxc.cgroup2.devices.allow: c 510:* rwm\n", "lxc.cgroup2.devices.allow: c 510:* rwm"},
		"a number that has another driver":           {"lxc.cgroup2.devices.allow: c 226:0 rwm\n", none},
		"a number that nobody has, and nothing more": {"lxc.cgroup2.devices.allow: c 243:* rwm\n", none},
		"a number that nobody has, beside the mount": {memory + "lxc.cgroup2.devices.allow: c 509:* rwm\n", strings.TrimSpace(memory) + "; lxc.cgroup2.devices.allow: c 509:* rwm"},
		"a number that parts of cards have":          {memory + "lxc.cgroup2.devices.allow: c 234:* rwm\n", strings.TrimSpace(memory)},
		"a number that Linux does not give out":      {memory + "lxc.cgroup2.devices.allow: c 188:* rwm\n", strings.TrimSpace(memory)},
		"a block device of the same number":          {memory + "lxc.cgroup2.devices.allow: b 195:* rwm\n", strings.TrimSpace(memory)},
		"the form with an equals sign":               {"lxc.cgroup2.devices.allow = c 195:255 rw\n", "lxc.cgroup2.devices.allow: c 195:255 rw"},
		"libraries of the driver":                    {"lxc.mount.entry: /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 usr/lib/libnvidia-ml.so.1 none bind\n", none},
		"a ban":                                      {"lxc.cgroup2.devices.deny: c 195:* rwm\n", none},
		"a line that is cut off":                     {"lxc.mount.entry: \nlxc.cgroup2.devices.allow: c 195\n", none},
	} {
		t.Run(name, func(t *testing.T) {
			m := gpuGuest(t, "8.4", `"state":"stopped"`)
			m.hand(t, "swap: ", c.lines+"swap: ")
			res := m.check(t, spec(`"state":"stopped","gpu_assignment":"none"`))
			if c.gone == none {
				wantStatus(t, res, tasks.StatusOK)
				return
			}
			if len(res.Changes) != 1 || res.Changes[0].From != c.gone || res.Changes[0].To != "" || strings.Contains(res.Changes[0].Note, "device entries") {
				t.Errorf("changes %+v, want %q gone", res.Changes, c.gone)
			}
		})
	}
}

func TestOldLinesStayWhereLXCOptionsOwnThem(t *testing.T) {
	m := gpuGuest(t, "8.4", `"state":"stopped"`)
	m.hand(t, "swap: ", oldLines+"swap: ")
	s := spec(`"state":"stopped","gpu_assignment":"none","lxc_options":["lxc.cap.drop: sys_time"]`)
	if got := paths(m.check(t, s).Changes); !slices.Equal(got, []string{"lxc_options"}) {
		t.Errorf("changes %q", got)
	}
}

func TestOldLinesOfARunningContainer(t *testing.T) {
	const stop = "shutdown 900 --timeout 60 --forceStop 1"
	for release, calls := range map[string][]string{
		"8.4": {"set", stop, "start 900"},
		"9.1": {stop, "set", "start 900"}, // where new devices would come at once, in the place of the mounts
	} {
		t.Run(release, func(t *testing.T) {
			m := gpuGuest(t, release, `"state":"stopped"`)
			m.hand(t, "swap: ", oldLines+"swap: ")
			m.sh(t, "pct start 900")
			s := spec(`"gpu_assignment":"0"`)
			wantStatus(t, m.apply(t, s, tasks.Consent{Restart: true}), tasks.StatusChanged)
			wantStatus(t, m.apply(t, s, tasks.Consent{Restart: true}), tasks.StatusOK)
			got := m.pct()
			for i := range got {
				if strings.HasPrefix(got[i], "set 900 --dev0 ") {
					got[i] = "set"
				}
			}
			if !slices.Equal(got, calls) {
				t.Errorf("calls %q, want %q", got, calls)
			}
		})
	}
}

func TestOldLinesWaitForARestartThatIsNotAllowed(t *testing.T) {
	m := gpuGuest(t, "8.4", `"state":"stopped"`)
	m.hand(t, "swap: ", oldLines+"swap: ")
	m.sh(t, "pct start 900")
	s := spec(`"gpu_assignment":"none"`)
	res := m.apply(t, s, tasks.Consent{})
	wantStatus(t, res, tasks.StatusChanged)
	if res.Cause != tasks.CausePending || !slices.Equal(paths(res.Remaining), []string{"gpu_assignment.lxc_options"}) {
		t.Errorf("cause %q, remaining %+v", res.Cause, res.Remaining)
	}
	m.sh(t, "pct set 900 --onboot 1") // makes LXC's own file anew
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusSkipped)
	if n := len(m.Changes()); n > 0 {
		t.Errorf("the second run did %v", m.Changes())
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{Restart: true}), tasks.StatusChanged)
	wantStatus(t, m.check(t, s), tasks.StatusOK)
}

func TestAContainerThatWasStoppedForOldLinesIsTold(t *testing.T) {
	m := gpuGuest(t, "9.1", `"state":"stopped"`)
	m.hand(t, "swap: ", oldLines+"swap: ")
	m.sh(t, "pct start 900")
	m.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.HasPrefix(o.String(), "pct set") {
			return &taskstest.Answer{Output: tasks.Output{Code: 255, Stderr: []byte("no\n")}}
		}
		return nil
	}
	res := m.apply(t, spec(`"gpu_assignment":"0"`), tasks.Consent{Restart: true})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "container 900 was stopped for a restart and is stopped now: change container 900: run pct set") {
		t.Errorf("why %q", res.Why)
	}
}
