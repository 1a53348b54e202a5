package gpus_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/findings"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/taskstest"
)

const inspected = `{"probe":"` + hash + `","inspect":true,"guests":[900,901,999]}`

func TestInspect_aHealthyHostHasNoFindings(t *testing.T) {
	m, h := lab(t)
	// What a person would have: a unit for the nodes, and the libraries in the container.
	unit := "[Service]\nExecStart=/usr/bin/nvidia-modprobe -c 0 -c 1 -c 255\nExecStart=/usr/bin/nvidia-modprobe -u -c 0\n[Unit]\nBefore=pve-guests.service\n"
	lay(t, m.Root, "/etc/systemd/system/nodes.service", unit)
	if err := os.Symlink("../nodes.service", filepath.Join(m.Root, "etc/systemd/system/multi-user.target.wants/nodes.service")); err != nil {
		t.Fatal(err)
	}
	guest := func(argv ...string) {
		t.Helper()
		argv = append([]string{"pct", "exec", "900", "--"}, argv...)
		if out, err := h.Run(t.Context(), tasks.Cmd{Argv: argv}); err != nil || out.Code != 0 {
			t.Fatalf("%q: %v, %s", argv, err, out.Stderr)
		}
	}
	library := func(version string) {
		for _, name := range []string{"libnvidia-ml", "libcuda"} {
			at := "/usr/lib/x86_64-linux-gnu/" + name + ".so."
			guest("mkdir", "-p", "/usr/lib/x86_64-linux-gnu")
			guest("touch", at+version)
			guest("ln", "-sf", name+".so."+version, at+"1")
		}
	}
	library("550.54.15")
	before, err := m.Digest()
	if err != nil {
		t.Fatal(err)
	}
	f := ask(t, inspected, h)
	if after, err := m.Digest(); err != nil || after != before {
		t.Errorf("a check changed the machine: %v", err)
	}
	if list := findings.Of(&f, findings.Rules{}); len(list) > 0 {
		t.Errorf("findings of a healthy host: %+v", list)
	}
	mach := f.Machine
	if mach == nil || mach.Loaded != "550.54.15" || mach.Library != "550.54.15" || len(mach.Nodes) != 5 || len(mach.Devices) < 2 || len(mach.NotAtBoot) > 0 {
		t.Fatalf("%+v", mach)
	}
	if len(mach.Kernels) != 1 || !mach.Kernels[0].Next || !mach.Kernels[0].Module {
		t.Errorf("kernels %+v", mach.Kernels)
	}
	// 901 is stopped, and there is no 999.
	if len(mach.Guests) != 1 || mach.Guests[0].CTID != 900 || len(mach.Guests[0].Libraries) != 2 || mach.Guests[0].Why != "" {
		t.Errorf("guests %+v", mach.Guests)
	}
	library("535.216.01")
	f = ask(t, inspected, h)
	if list := findings.Of(&f, findings.Rules{}); len(list) != 1 || list[0].Word != "other user space" {
		t.Errorf("another library in the container: %+v", list)
	}
	if f := ask(t, withProbe, h); f.Machine != nil {
		t.Error("who does not inspect is told more than of the cards")
	}
}

func lay(t *testing.T, root, at, text string) {
	t.Helper()
	at = filepath.Join(root, at)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestInspect_eachThingThatIsWrongIsFound(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(t *testing.T, root string)
	}{
		{"another driver is loaded", "version mismatch", func(t *testing.T, root string) { lay(t, root, "/sys/module/nvidia/version", "570.86.15\n") }},
		{"the driver is not loaded", "driver not loaded", func(t *testing.T, root string) { take(t, root, "/sys/module/nvidia/version") }},
		{"a newer kernel", "no module", func(t *testing.T, root string) {
			lay(t, root, "/boot/vmlinuz-6.8.12-99-pve", "")
			lay(t, root, "/lib/modules/6.8.12-99-pve/modules.dep", "")
		}},
		{"a node of another number", "bad device node", func(t *testing.T, root string) { lay(t, root, "/dev/nvidia1", "195 7") }},
		{"a node of another type", "bad device node", func(t *testing.T, root string) { lay(t, root, "/dev/nvidiactl", "fifo") }},
		{"a node that is gone", "no device node", func(t *testing.T, root string) { take(t, root, "/dev/nvidia-uvm") }},
		{"nothing makes the nodes", "not made at boot", func(*testing.T, string) {}},
		{"a card that left the bus", "lost", func(t *testing.T, root string) { take(t, root, "/sys/bus/pci/devices/0000:01:00.0") }},
		{"a card that the driver cannot start", "lost", func(t *testing.T, root string) { lay(t, root, "/.sim/gpus.json", `{"0":"lost"}`) }},
		{"a faulty card", "2 ECC errors", func(t *testing.T, root string) { lay(t, root, "/.sim/gpus.json", `{"1":"ecc"}`) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, h := lab(t)
			c.change(t, m.Root)
			f := ask(t, inspected, h)
			list := findings.Of(&f, findings.Rules{})
			if !slices.ContainsFunc(list, func(f gpufacts.Finding) bool { return f.Word == c.want }) {
				t.Errorf("no %q in %+v", c.want, list)
			}
			if !slices.ContainsFunc(f.GPUs, func(g gpufacts.GPU) bool { return g.PCIAddress == "0000:02:00.0" }) {
				t.Errorf("the facts of the other card are gone: %+v", f.GPUs)
			}
		})
	}
}

func take(t *testing.T, root, at string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, at)); err != nil {
		t.Fatal(err)
	}
}

func TestInspect_whatAContainerSaysIsBounded(t *testing.T) {
	_, h := lab(t)
	for name, said := range map[string]string{
		"a flood":            strings.Repeat("/usr/lib/libcuda.so.1.2.3\n", 40_000),
		"an endless line":    "/usr/lib/libcuda.so." + strings.Repeat("1.", 500_000),
		"control characters": "/usr/lib/\x1b[31mlibcuda.so.2.3\a\n",
	} {
		f := ask(t, inspected, answering{h, func(ctx context.Context) (tasks.Output, error) {
			if at, bound := ctx.Deadline(); !bound || time.Until(at) > 10*time.Second {
				t.Error("a container that hangs would hold the check up")
			}
			return says(said, 0), nil
		}})
		if f.Machine == nil || len(f.Machine.Guests) != 1 || len(f.Machine.Guests[0].Libraries) > 100 {
			t.Fatalf("%s: %+v", name, f.Machine)
		}
		for _, l := range f.Machine.Guests[0].Libraries {
			if len(l) > 256 || strings.ContainsAny(l, "\x1b\a") {
				t.Errorf("%s: it hands on %q", name, l)
			}
		}
	}
}

func TestInspect_cardsThatLeftTheBusAreNamed(t *testing.T) {
	m, h := lab(t)
	take(t, m.Root, "/sys/bus/pci/devices/0000:01:00.0")
	if f := ask(t, inspected, h); !slices.Equal(f.Machine.Gone, []string{"0000:01:00.0"}) {
		t.Errorf("one is gone: %+v", f.Machine)
	}
	take(t, m.Root, "/sys/bus/pci/devices/0000:02:00.0")
	f := ask(t, inspected, h)
	if f.Machine == nil || len(f.Machine.Gone) != 2 {
		t.Fatalf("all are gone: %+v", f)
	}
	if list := findings.Of(&f, findings.Rules{}); len(list) < 2 || list[0].Word != gpufacts.KindLost || list[1].Word != gpufacts.KindLost {
		t.Errorf("all are gone: %+v", list)
	}
}

func TestInspect_ofAHostWithoutACardStartsNothing(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, map[string]string{"/etc/hostname": "pve1\n"}, nil))
	if f := ask(t, inspected, rec); f.Machine != nil || len(rec.Commands()) > 0 {
		t.Errorf("%+v, started %q", f, rec.Commands())
	}
}

// answering is a host whose containers say something, whatever they are asked.
type answering struct {
	tasks.Host
	say func(context.Context) (tasks.Output, error)
}

func (a answering) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	if c.Argv[0] == "lxc-attach" {
		return a.say(ctx)
	}
	return a.Host.Run(ctx, c)
}

func TestInspect_aContainerThatDoesNotAnswerIsNoFailure(t *testing.T) {
	_, h := lab(t)
	for name, say := range map[string]func(context.Context) (tasks.Output, error){
		"it hangs": func(context.Context) (tasks.Output, error) { return tasks.Output{}, context.DeadlineExceeded },
		"it has no readlink": func(context.Context) (tasks.Output, error) {
			return tasks.Output{Stderr: []byte("Failed to exec\n"), Code: 127}, nil
		},
		"lxc-attach has died": func(context.Context) (tasks.Output, error) {
			return tasks.Output{Stderr: []byte("x\n"), Code: 137}, nil
		},
	} {
		f := ask(t, inspected, answering{h, say})
		list := findings.Of(&f, findings.Rules{Nodes: true})
		if len(list) != 1 || list[0].Word != "user space unknown" || list[0].Severity != gpufacts.SeverityNote {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

func TestSpec_asksContainersOnlyWhenItInspects(t *testing.T) {
	for _, c := range []struct {
		spec gpus.Spec
		want int
	}{
		{gpus.Spec{Inspect: true, Guests: []int{100}}, 0}, {gpus.Spec{Inspect: true, Guests: []int{99, -1}}, 2}, {gpus.Spec{Guests: []int{100}}, 1},
	} {
		if p := c.spec.Validate(); len(p) != c.want {
			t.Errorf("%s: %v", fmt.Sprint(c.spec), p)
		}
	}
}
