package lxc_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/taskstest"
)

// absences are the ways in which a host cannot give cards 0 and 1, with why.
func absences() map[string]struct {
	assignment string
	make       func(t *testing.T, m *machine)
	why        string
} {
	lose := func(names ...string) func(t *testing.T, m *machine) {
		return func(t *testing.T, m *machine) {
			t.Helper()
			for _, n := range names {
				drop(t, m.sim, n)
			}
		}
	}
	const information = "/proc/driver/nvidia/gpus/0000:02:00.0/information"
	return map[string]struct {
		assignment string
		make       func(t *testing.T, m *machine)
		why        string
	}{
		"the driver is not loaded":           {`"0"`, lose("/proc/driver/nvidia"), "NVIDIA's driver is not loaded, or has no card"},
		"all of none":                        {`"all"`, lose("/proc/driver/nvidia/gpus"), "NVIDIA's driver is not loaded, or has no card"},
		"nodes were not made at boot":        {`"0,1"`, lose("/dev/nvidia1", "/dev/nvidia-uvm"), "the host has no /dev/nvidia1, /dev/nvidia-uvm; nvidia.device_nodes in the hypervisor's configuration has them made at boot"},
		"an index that is too high":          {`"2"`, lose(), "the driver of this host has no card 2; it has GPU 0, 0000:01:00.0, " + uuid1 + "; GPU 1, 0000:02:00.0, " + uuid2},
		"a card of another host":             {`"GPU-11111111` + uuid1[12:] + `"`, lose(), "the driver of this host has no card GPU-11111111" + uuid1[12:]},
		"an address where another card sits": {`"0000:03:00.0"`, lose(), "the driver of this host has no card 0000:03:00.0"},
		"a card that a virtual machine has":  {`"1"`, lose("/proc/driver/nvidia/gpus/0000:02:00.0"), "the driver of this host has no card 1; it has GPU 0"},
		"a UUID that the driver cannot tell": {`"` + uuid2 + `"`, func(t *testing.T, m *machine) {
			t.Helper()
			text := taskstest.Get(t, m.sim.Host(), information)
			taskstest.Put(t, m.sim.Host(), information, strings.Replace(text, uuid2, "GPU-????????-????-????-????-????????????", 1))
			drop(t, m.sim, "/dev/nvidiactl") // nvidia-smi cannot make it look
		}, "GPU 1, 0000:02:00.0, UUID not known before a program uses it"},
	}
}

func TestACardThatIsMissingStopsACreation(t *testing.T) {
	for name, c := range absences() {
		t.Run(name, func(t *testing.T) {
			m := gpuMachine(t, "8.4")
			c.make(t, m)
			s := spec(`"gpu_assignment":` + c.assignment)
			res := m.check(t, s)
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.HasPrefix(res.Why, "give container 900 GPU ") || !strings.Contains(res.Why, c.why) {
				t.Errorf("the check says %q, want %s", res.Why, c.why)
			}
			res = m.apply(t, s, tasks.Consent{})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, c.why) || len(m.pct()) > 0 {
				t.Errorf("why %q, calls %q", res.Why, m.pct())
			}
		})
	}
}

// TestADriverThatTheSameRunBringsIsNotMissed: whether the cards are there shows only
// then.
func TestADriverThatTheSameRunBringsIsNotMissed(t *testing.T) {
	for _, tc := range []struct {
		name, gone, ahead, gpu string
		unknown                bool
	}{
		{"the driver is installed", "/proc/driver/nvidia", "nvidia:driver", `"0"`, true},
		{"the host is rebooted", "/proc/driver/nvidia", "reboot:host", `"all"`, true},
		{"nodes are made", "/dev/nvidia0", "nvidia:driver", `"0"`, true},
		{"something else is made", "/proc/driver/nvidia", "storage:tank", `"0"`, false},
		{"the driver is there and the card is not", "/dev/nvidia1", "nvidia:driver", `"2"`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := gpuMachine(t, "8.4")
			drop(t, m.sim, tc.gone)
			s := new(lxc.Spec)
			if err := tasks.UnmarshalStrict([]byte(spec(`"gpu_assignment":`+tc.gpu)), s); err != nil {
				t.Fatal(err)
			}
			ctx := tasks.WithScope(t.Context(), tasks.Scope{Ahead: []string{tc.ahead}})
			_, err := s.Task().Check(ctx, m.sim.Host())
			if unknown := new(tasks.UnknownError); err == nil || errors.As(err, &unknown) != tc.unknown {
				t.Errorf("the check says %v", err)
			}
		})
	}
}

// TestACardThatIsMissingStopsNothingElse: all other properties are changed, and the
// container is not started without its cards.
func TestACardThatIsMissingStopsNothingElse(t *testing.T) {
	for name, c := range absences() {
		t.Run(name, func(t *testing.T) {
			m := gpuGuest(t, "8.4", `"state":"stopped","gpu_assignment":"none"`)
			m.hand(t, "swap: ", oldLines+"dev0: /dev/nvidia0\nswap: ")
			c.make(t, m)
			res := m.check(t, spec(`"memory_mb":1024,"gpu_assignment":`+c.assignment))
			wantStatus(t, res, tasks.StatusFailed)
			if got := paths(res.Remaining); !slices.Equal(got, []string{"memory_mb", "gpu_assignment", "state"}) || !strings.Contains(res.Why, c.why) {
				t.Errorf("the check says %q, and %q differs", res.Why, got)
			}
			res = m.apply(t, spec(`"memory_mb":1024,"gpu_assignment":`+c.assignment), tasks.Consent{Restart: true})
			wantStatus(t, res, tasks.StatusFailed)
			if got := paths(res.Changes); !slices.Equal(got, []string{"memory_mb"}) {
				t.Errorf("changed %q", got)
			}
			if got := paths(res.Remaining); !slices.Equal(got, []string{"gpu_assignment", "state"}) {
				t.Errorf("remaining %q", got)
			}
			if g := res.Remaining[0]; g.From != "/dev/nvidia0" || !strings.Contains(g.Note, c.why) || !strings.HasPrefix(res.Why, "give container 900 GPU ") || !strings.Contains(res.Why, c.why) {
				t.Errorf("remaining %+v, why %q", g, res.Why)
			}
			wantCalls(t, m, "set 900 --memory 1024")
			if !strings.Contains(m.conf(t), oldLines) {
				t.Errorf("the old lines have gone:\n%s", m.conf(t))
			}
		})
	}
}

// TestACardThatHasGoneShows: a container that has its entries runs on, and could not
// start again.
func TestACardThatHasGoneShows(t *testing.T) {
	for _, gone := range []string{"/dev/nvidia-uvm", "/dev/nvidia0", "/proc/driver/nvidia"} {
		m := gpuGuest(t, "8.4", `"gpu_assignment":"0","devices":[{"path":"/dev/zero"}]`)
		drop(t, m.sim, gone)
		d := m.check(t, spec(`"gpu_assignment":"0"`)).Remaining
		if len(d) != 1 || d[0].Path != "gpu_assignment" || d[0].From != "/dev/nvidia0 /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools" || d[0].To != "0" {
			t.Errorf("without %s: %+v", gone, d)
		}
	}
}

// TestAContainerIsNotStoppedIntoAMissingDevice: it could not start again.
func TestAContainerIsNotStoppedIntoAMissingDevice(t *testing.T) {
	for node, want := range map[string]string{
		"/dev/nvidia0": "the host has no /dev/nvidia0; nvidia.device_nodes in the hypervisor's configuration has them made at boot",
		"/dev/null":    "the host has no device /dev/null",
	} {
		t.Run(node, func(t *testing.T) {
			m := gpuGuest(t, "8.4", `"gpu_assignment":"0","devices":[{"path":"/dev/null"}]`)
			drop(t, m.sim, node)
			res := m.apply(t, spec(`"timezone":"UTC"`), tasks.Consent{Restart: true})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, "restart container 900: it would not start again: look at dev") || !strings.Contains(res.Why, want) {
				t.Errorf("why %q, want %s", res.Why, want)
			}
			wantCalls(t, m, "set 900 --timezone UTC")
		})
	}
}

func TestFilesOfTheDriverThatCannotBeReadAreAnError(t *testing.T) {
	for file, text := range map[string]string{"/proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: x\n", "/proc/driver/nvidia/gpus/0000:02:00.0": ""} {
		m := gpuGuest(t, "8.4", `"gpu_assignment":"0"`)
		drop(t, m.sim, file)
		if text != "" {
			taskstest.Put(t, m.sim.Host(), file, text)
		} else if err := os.Mkdir(filepath.Join(m.sim.Root, file), 0o755); err != nil {
			t.Fatal(err)
		}
		res := m.check(t, spec(`"gpu_assignment":"0"`))
		wantStatus(t, res, tasks.StatusFailed)
		if !strings.HasPrefix(res.Why, "find GPUs: read ") {
			t.Errorf("%s: why %q", file, res.Why)
		}
	}
}
