package gpus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/taskstest"
)

const (
	// hash is that of elf, the content of the probe's file.
	elf   = "\x7fELF"
	hash  = "3bdbb4fe8397cd2b842430b39ccff01a8663c751945ef5e9a09e267fb8b1d359"
	probe = "/var/lib/phoenix/agentlet-nvml-" + hash
	inner = "4c01db0b339c2e1b8e4a0b1f6c1c1b8f8a64d7a0f2ce3f2b7e3b1f0e9d8c7b6a"
)

// host has two cards, of which container 900 has both and 901 the second, by raw lines,
// and three processes: Docker's in 900, one of the host, and one that has just ended.
func host() map[string]string {
	files := map[string]string{
		"/sys/module/nvidia/version":  "550.54.15\n",
		"/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n",
		"/etc/pve/lxc/900.conf":       "dev0: /dev/nvidia0,gid=44,mode=0666\ndev1: path=/dev/nvidia1\ndev2: /dev/nvidiactl\nhostname: llm\n\n[before]\ndev0: /dev/nvidia1\n",
		"/etc/pve/lxc/901.conf":       "hostname: old\nlxc.mount.entry: /dev/nvidia1 dev/nvidia1 none bind,optional,create=file\n",
		"/etc/pve/lxc/902.conf":       "hostname: web\nnet0: name=eth0,bridge=vmbr0\n",
		"/etc/pve/lxc/900.conf.tmp":   "dev0: /dev/nvidia0\n",
		"/proc/4001/cgroup":           "0::/lxc/900/ns/system.slice/docker-" + inner + ".scope\n", "/proc/4001/comm": "python3\n",
		"/proc/4002/cgroup": "0::/user.slice/user-0.slice/session-3.scope\n", "/proc/4002/comm": "nvtop\n",
	}
	for i, at := range []string{"0000:01:00.0", "0000:41:00.0"} {
		dir := "/sys/bus/pci/devices/" + at + "/"
		maps.Copy(files, map[string]string{dir + "vendor": "0x10de\n", dir + "device": "0x2684\n", dir + "class": "0x030000\n", dir + "driver": "-> ../../../bus/pci/drivers/nvidia"})
		files["/proc/driver/nvidia/gpus/"+at+"/information"] = fmt.Sprintf("Model: \t\t NVIDIA GeForce RTX 4090\nGPU UUID: \t GPU-00000000-0000-0000-0000-%012d\nVideo BIOS: \t 95.02.3c.00.8f\nDevice Minor: \t %d\n", i+1, i)
	}
	return files
}

const document = `{"source":"nvml","driver_version":"550.54.15","gpus":[` +
	`{"index":0,"minor":0,"uuid":"GPU-1","pci_address":"0000:01:00.0","name":"NVIDIA GeForce RTX 4090","processes":[{"pid":4001,"type":"compute","memory_bytes":4194304},{"pid":4003,"type":"compute"}]},` +
	`{"index":1,"minor":1,"uuid":"GPU-2","pci_address":"0000:41:00.0","processes":[{"pid":4002,"type":"graphics"},{"pid":4001,"type":"compute"}]}]}` + "\n"

const smiXML = "<?xml version=\"1.0\" ?>\n<nvidia_smi_log>\n\t<gpu id=\"00000000:01:00.0\">\n\t\t<supported_clocks>\n\t\t\t<supported_graphics_clock>2100 MHz</supported_graphics_clock>\n\t\t</supported_clocks>\n" +
	"\t\t<processes>\n\t\t\t<process_info>\n\t\t\t\t<pid>4001</pid>\n\t\t\t\t<process_name>python3 --token=swordfish </bad></process_name>\n\t\t\t\t<used_memory>4096 MiB</used_memory>\n\t\t\t</process_info>\n\t\t</processes>\n\t</gpu>\n</nvidia_smi_log>\n"

// machine is a host with programs, which are started by what they print and their status.
func machine(t *testing.T, files map[string]string, programs map[string]tasks.Output) *taskstest.Tree {
	t.Helper()
	for name := range programs {
		if strings.HasPrefix(name, "/") {
			files[name] = elf
		}
	}
	tree := taskstest.NewTree(t, files)
	for name, out := range programs {
		tree.Programs[name] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output { return out }
	}
	return tree
}

func says(text string, code int) tasks.Output { return tasks.Output{Stdout: []byte(text), Code: code} }

func ask(t *testing.T, spec string, h tasks.Host) gpufacts.Host {
	t.Helper()
	res := taskstest.Check(t, gpus.Kind(), spec, h)
	if res.Status != tasks.StatusOK || len(res.Changes) > 0 {
		t.Fatalf("%+v", res)
	}
	var f gpufacts.Host
	d := json.NewDecoder(bytes.NewReader(res.Data))
	d.DisallowUnknownFields() // the helper has a type of its own for it
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

const withProbe = `{"probe":"` + hash + `"}`

func TestGPUs_belongToContainersAndTheirProcesses(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, host(), map[string]tasks.Output{probe: says(document, 0)}))
	f := ask(t, withProbe, rec)
	var want gpufacts.Host
	if err := json.Unmarshal([]byte(document), &want); err != nil {
		t.Fatal(err)
	}
	want.Cards = []gpufacts.Card{
		{Address: "0000:01:00.0", Driver: "nvidia", Node: "/dev/nvidia0", UUID: "GPU-00000000-0000-0000-0000-000000000001", Assigned: []int{900}},
		{Address: "0000:41:00.0", Driver: "nvidia", Node: "/dev/nvidia1", UUID: "GPU-00000000-0000-0000-0000-000000000002", Assigned: []int{900, 901}},
	}
	want.Owners = []gpufacts.Owner{{PID: 4001, Name: "python3", CTID: 900, Runtime: "docker", Container: inner}, {PID: 4002, Name: "nvtop"}}
	want.Containers = []gpufacts.Container{{CTID: 900, Name: "llm"}, {CTID: 901, Name: "old"}}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
	if got := rec.Arguments(); !slices.Equal(got, []string{probe, "--deadline", "15s"}) {
		t.Errorf("started %q", got)
	}
	if f.Owner(4003) != nil || len(f.GPUs[0].Processes) != 2 {
		t.Error("a process that has ended is not kept with what the driver said of it")
	}
}

func TestGPUs_aTemplateIsToldAsSuch(t *testing.T) {
	files := host()
	files["/etc/pve/lxc/903.conf"] = "dev0: /dev/nvidia0\nhostname: base\ntemplate: 1\n"
	f := ask(t, withProbe, machine(t, files, map[string]tasks.Output{probe: says(document, 0)}))
	if !f.Template(903) || f.Template(900) {
		t.Errorf("%+v", f.Containers)
	}
}

func TestGPUs_instancesGoWithTheContainersThatHaveTheirCapability(t *testing.T) {
	files := host()
	mig := "/proc/driver/nvidia/capabilities/gpu0/mig/"
	for at, minor := range map[string]string{"gi1/access": "12", "gi1/ci0/access": "13", "gi2/access": "21", "gi2/ci0/access": "22", "gi2/ci1/access": "no number"} {
		files[mig+at] = "DeviceFileMinor: " + minor + "\nDeviceFileMode: 292\nDeviceFileModify: 1\n"
	}
	files["/etc/pve/lxc/904.conf"] = "dev0: /dev/nvidia0\ndev1: /dev/nvidia-caps/nvidia-cap12,mode=0444\ndev2: /dev/nvidia-caps/nvidia-cap13,mode=0444\nhostname: part\n"
	f := ask(t, withProbe, machine(t, files, map[string]tasks.Output{probe: says(document, 0)}))
	if got, want := f.Cards[0].Parts, []string{"gi1/ci0 904", "gi2/ci0", "gi2/ci1"}; !slices.Equal(got, want) || f.Cards[1].Parts != nil {
		t.Errorf("got %q and %q, want %q", got, f.Cards[1].Parts, want)
	}
	gi, ci, other := 1, 0, 2
	if got := f.Holders(&f.GPUs[0], &gpufacts.MIGInstance{GPUInstance: &gi, ComputeInstance: &ci}); !slices.Equal(got, []int{904}) {
		t.Errorf("the holders are %v", got)
	}
	if got := f.Holders(&f.GPUs[0], &gpufacts.MIGInstance{GPUInstance: &other, ComputeInstance: &ci}); len(got) > 0 {
		t.Errorf("the holders of another are %v", got)
	}
	if len(f.Unreadable) != 1 {
		t.Errorf("not to be read: %q", f.Unreadable)
	}
}

func TestGPUs_ofAHostWithoutACardStartNothing(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, map[string]string{
		"/sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n", "/sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",
	}, map[string]tasks.Output{probe: says(document, 0), "nvidia-smi": says(smiXML, 0)}))
	res := taskstest.Check(t, gpus.Kind(), withProbe, rec)
	if string(res.Data) != `{"gpus":[]}` || len(rec.Commands()) > 0 {
		t.Errorf("got %s, started %q", res.Data, rec.Commands())
	}
}

func TestGPUs_theProbeIsFoundInEachFolder(t *testing.T) {
	for _, dir := range []string{"/var/lib/phoenix", "/run/phoenix", "/root/.cache/phoenix"} {
		f := ask(t, withProbe, machine(t, host(), map[string]tasks.Output{dir + "/agentlet-nvml-" + hash: says(document, 0)}))
		if f.Source != gpufacts.SourceNVML || f.ProbeMissing {
			t.Errorf("%s: %+v", dir, f)
		}
	}
}

func TestGPUs_eachFallbackSaysWhyItIsNone(t *testing.T) {
	unbound := func(drop ...string) map[string]string {
		files := host()
		maps.DeleteFunc(files, func(name, _ string) bool {
			return slices.ContainsFunc(drop, func(d string) bool { return strings.HasPrefix(name, d) })
		})
		return files
	}
	const mismatch = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.54\n"
	for _, c := range []struct {
		name, spec string
		files      map[string]string
		programs   map[string]tasks.Output
		source     string
		missed     []string
		smi        bool
	}{
		{"no probe for the architecture, nvidia-smi answers", `{}`, host(), map[string]tasks.Output{"nvidia-smi": says(smiXML, 0)},
			"proc", []string{"nvml: no probe for this architecture"}, true},
		{"the probe is missing, nvidia-smi answers", withProbe, host(), map[string]tasks.Output{"nvidia-smi": says(smiXML, 0)},
			"proc", []string{"nvml: probe missing"}, true},
		{"nvidia-smi warns with its status", withProbe, host(), map[string]tasks.Output{"nvidia-smi": says(smiXML, 14)},
			"proc", []string{"nvml: probe missing"}, true},
		{"there is no nvidia-smi either", withProbe, host(), nil,
			"proc", []string{"nvml: probe missing", "nvidia-smi: library missing"}, false},
		{"the library is of another version", withProbe, host(),
			map[string]tasks.Output{probe: says(`{"error":{"kind":"version mismatch","text":"nvmlInit: x"}}`, 1), "nvidia-smi": says(mismatch, 18)},
			"proc", []string{"nvml: version mismatch", "nvidia-smi: version mismatch"}, false},
		{"the driver hangs", withProbe, host(),
			map[string]tasks.Output{probe: says(`{"error":{"kind":"timeout","text":"x"}}`, 1), "nvidia-smi": says(smiXML, 0)},
			"proc", []string{"nvml: timeout", "nvidia-smi: timeout"}, false},
		{"root may not ask", withProbe, host(), map[string]tasks.Output{probe: says(`{"error":{"kind":"permission","text":"x"}}`, 1), "nvidia-smi": says("", 4)},
			"proc", []string{"nvml: permission", "nvidia-smi: permission"}, false},
		{"the driver is not loaded", withProbe, unbound("/proc/driver", "/sys/module"),
			map[string]tasks.Output{probe: says(`{"error":{"kind":"driver not loaded","text":"x"}}`, 1), "nvidia-smi": says("NVIDIA-SMI has failed\n", 9)},
			"sysfs", []string{"nvml: driver not loaded", "nvidia-smi: driver not loaded", "proc: driver not loaded"}, false},
		{"the driver has no card", `{}`, unbound("/proc/driver/nvidia/gpus"), map[string]tasks.Output{"nvidia-smi": says("No devices were found\n", 6)},
			"sysfs", []string{"nvml: no probe for this architecture", "nvidia-smi: other", "proc: other"}, false},
		{"the probe dies", withProbe, host(), map[string]tasks.Output{probe: {Stderr: []byte("./agentlet-nvml: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found\n"), Code: 1}},
			"proc", []string{"nvml: other", "nvidia-smi: library missing"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := ask(t, c.spec, machine(t, c.files, c.programs))
			var missed []string
			for _, m := range f.Missed {
				missed = append(missed, m.Source+": "+m.Kind)
				if m.Text == "" {
					t.Errorf("%s says nothing", m.Source)
				}
			}
			if f.Source != c.source || !slices.Equal(missed, c.missed) || (f.SMI != "") != c.smi || len(f.GPUs) != 2 || len(f.Cards) != 2 {
				t.Errorf("source %s, missed %q, SMI %q, %d GPUs, %d cards", f.Source, missed, f.SMI, len(f.GPUs), len(f.Cards))
			}
			if f.ProbeMissing != strings.Contains(strings.Join(missed, " "), "probe missing") {
				t.Errorf("probe_missing is %t", f.ProbeMissing)
			}
			if c.source == "proc" && (f.GPUs[1].Name != "NVIDIA GeForce RTX 4090" || *f.GPUs[1].Minor != 1 || f.GPUs[1].VBIOSVersion == "" || f.GPUs[1].PCIID != "10de:2684") {
				t.Errorf("%+v", f.GPUs[1])
			}
		})
	}
}

func TestGPUs_aSpoiledProbeIsPutThereAgain(t *testing.T) {
	tree := machine(t, host(), map[string]tasks.Output{probe: {Stderr: []byte("Exec format error\n"), Code: 126}})
	if f := ask(t, withProbe, tree); f.ProbeMissing {
		t.Error("a probe that is whole, and does not answer, is to be put there again")
	}
	taskstest.Put(t, tree, probe, elf[:2])
	if f := ask(t, withProbe, tree); !f.ProbeMissing || f.Missed[0].Kind != gpufacts.KindOther {
		t.Errorf("a probe that was cut short: %+v", f)
	}
}

func TestGPUs_nvidiaSMILosesCommandLines(t *testing.T) {
	f := ask(t, `{}`, machine(t, host(), map[string]tasks.Output{"nvidia-smi": says(smiXML, 0)}))
	if strings.Contains(f.SMI, "swordfish") || strings.Contains(f.SMI, "2100 MHz") || !strings.Contains(f.SMI, "<pid>4001</pid>\n<used_memory>4096 MiB") {
		t.Errorf("it hands on %s", f.SMI)
	}
	if o := f.Owner(4001); o == nil || o.CTID != 900 {
		t.Errorf("the owner of its process is %+v", o)
	}
}

func TestGPUs_whatCannotBeTrueIsRefused(t *testing.T) {
	var many strings.Builder
	for i := range 65 {
		fmt.Fprintf(&many, `,{"index":%d}`, i+5)
	}
	for name, text := range map[string]string{
		"nothing":                 "",
		"a card twice":            `{"gpus":[{"index":0,"pci_address":"0000:01:00.0"},{"index":1,"pci_address":"0000:01:00.0"}]}`,
		"an index twice":          `{"gpus":[{"index":0},{"index":0}]}`,
		"too many cards":          `{"gpus":[{"index":0}` + many.String() + `]}`,
		"cut off at the end":      `{"gpus":[{"index":0,"name":"` + strings.Repeat("x", 1<<20),
		"neither cards nor error": `{"source":"nvml"}`,
		"another sort of list":    `{"gpus":["GPU 0"]}`,
		"another sort of process": `{"gpus":[{"index":0,"processes":["python3"]}]}`,
		"two documents":           document + document,
	} {
		f := ask(t, withProbe, machine(t, host(), map[string]tasks.Output{probe: says(text, 0)}))
		if f.Source != gpufacts.SourceProc || len(f.Missed) == 0 || f.Missed[0].Kind != gpufacts.KindOther || len(f.Missed[0].Text) > 1000 {
			t.Errorf("%s: source %s, missed %+v", name, f.Source, f.Missed)
		}
	}
	huge := "<nvidia_smi_log>\n" + strings.Repeat("<pid>1</pid>\n", 1<<16) + "</nvidia_smi_log>\n"
	f := ask(t, `{}`, machine(t, host(), map[string]tasks.Output{"nvidia-smi": says(huge, 0)}))
	if f.SMI != "" || f.Missed[1].Kind != gpufacts.KindOther {
		t.Errorf("%d bytes of XML are handed on, missed %+v", len(f.SMI), f.Missed)
	}
}

func TestGPUs_aLieAboutProcessesIsBounded(t *testing.T) {
	var pids strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&pids, `{"pid":%d},`, i+10)
	}
	text := `{"gpus":[{"index":0,"processes":[{"pid":-1},{"pid":0},{"pid":99999999},` + pids.String() + `{"pid":7000}]}]}`
	rec := taskstest.NewRecorder(machine(t, host(), map[string]tasks.Output{probe: says(text, 0)}))
	ask(t, withProbe, rec)
	reads := 0
	for _, op := range rec.Ops() {
		if strings.HasSuffix(op.String(), "/cgroup") {
			reads++
		}
		if strings.Contains(op.String(), "/proc/-1") || strings.Contains(op.String(), "/proc/0/") || strings.Contains(op.String(), "/proc/99999999") {
			t.Errorf("it looks at %s", op)
		}
	}
	if reads != 4096 {
		t.Errorf("it looks at %d processes", reads)
	}
}

func TestGPUs_whatCannotBeReadIsListed(t *testing.T) {
	files := host()
	files["/proc/driver/nvidia/gpus/0000:01:00.0/information"] = "Device Minor: none\n"
	f := ask(t, withProbe, machine(t, files, map[string]tasks.Output{probe: says(document, 0)}))
	if len(f.Unreadable) != 1 || f.Source != gpufacts.SourceNVML || len(f.GPUs) != 2 {
		t.Errorf("%+v", f)
	}
}

func TestSpec_namesAProgramByItsHashOnly(t *testing.T) {
	for probe, good := range map[string]bool{"": true, hash: true, "../../../bin/sh": false, strings.ToUpper(hash): false, hash + "0": false, hash + "\n": false} {
		if p := (&gpus.Spec{Probe: probe}).Validate(); (len(p) == 0) != good {
			t.Errorf("%q: %v", probe, p)
		}
	}
}
