package nvidia_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/modprobe"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// edit replaces a text in a file, which must be there.
func edit(file, old, new string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		text := taskstest.Get(t, h, file)
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %q:\n%s", file, old, text)
		}
		taskstest.Put(t, h, file, strings.ReplaceAll(text, old, new))
	}
}

func gone(files ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		for _, f := range files {
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: f}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func command(argv ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
}

func drifts() []taskstest.Drift {
	return []taskstest.Drift{
		{Name: "the library was removed", Make: gone("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"), Paths: []string{"driver"}},
		{Name: "the module was removed", Make: gone("/lib/modules/" + release + "/updates/dkms/nvidia.ko"), Paths: []string{"modules." + release}},
		{Name: "a module of another version", Make: edit("/lib/modules/"+release+"/updates/dkms/nvidia.ko", "570.86.15", "550.54.15"), Paths: []string{"modules." + release}},
		{Name: "nouveau may be loaded", Make: edit(modprobe.Own, "blacklist nouveau\n", ""), Paths: []string{"nouveau"}},
		{Name: "a run was killed before update-initramfs", Paths: []string{"initramfs"}, Make: func(t *testing.T, h tasks.Host) {
			taskstest.Put(t, h, "/var/lib/phoenix/due/initramfs", "")
		}},
		{Name: "DKMS was removed", Make: command("apt-get", "remove", "-y", "proxmox-headers-"+release), Paths: []string{"packages.proxmox-headers-" + release}},
		{Name: "the unit was changed", Make: edit("/etc/systemd/system/phoenix-nvidia-nodes.service", "-c 1", ""), Paths: []string{"device_nodes"}},
		{Name: "the unit was disabled", Make: command("systemctl", "disable", "phoenix-nvidia-nodes.service"), Paths: []string{"device_nodes"}},
		{Name: "a node is missing", Make: gone("/dev/nvidia-uvm"), Paths: []string{"device_nodes"}},
		{Name: "the daemon was stopped", Make: command("systemctl", "stop", "nvidia-persistenced"), Paths: []string{"persistence"}},
		{Name: "the daemon was disabled", Make: command("systemctl", "disable", "nvidia-persistenced"), Paths: []string{"persistence"}},
	}
}

func TestNVIDIA_conformsByAPT(t *testing.T) {
	taskstest.Suite{
		Kind: nvidia.Kind(), Spec: `{"driver":"570.86.15","install":"apt","persistence":true}`,
		New: func(t *testing.T) taskstest.Machine { return idle(t).Machine },
		Drifts: append(drifts(),
			taskstest.Drift{Name: "the pin was changed", Make: edit("/etc/apt/preferences.d/phoenix-nvidia.pref", "570.86.15", "580.65.06"), Paths: []string{"pin"}},
		),
		Faults: []taskstest.Fault{
			{Name: "DKMS fails", Op: "apt-get -y", Output: tasks.Output{Code: 100, Stderr: []byte("E: Sub-process /usr/bin/dpkg returned an error code (1)\n")}},
		},
	}.Run(t)
}

func TestNVIDIA_conformsByRunfile(t *testing.T) {
	taskstest.Suite{
		Kind: nvidia.Kind(), Spec: runfileSpec(t, `,"open":"open","persistence":true`),
		New:    func(t *testing.T) taskstest.Machine { return idle(t).Machine },
		Drifts: drifts(),
		Faults: []taskstest.Fault{
			{Name: "the download is cut off", Op: "curl", Make: func(t *testing.T, h tasks.Host) {
				taskstest.Put(t, h, "/var/cache/phoenix/NVIDIA-Linux-x86_64-570.86.15.run.part", "#!/bin/sh\n")
			}, Output: tasks.Output{Code: 18, Stderr: []byte("curl: (18) transfer closed with 1000 bytes remaining to read\n")}},
			{Name: "the disk is full", Op: "curl", Output: tasks.Output{Code: 23, Stderr: []byte("curl: (23) Failure writing output to destination\n")}},
			{Name: "something else is downloaded", Op: "curl", Make: func(t *testing.T, h tasks.Host) {
				taskstest.Put(t, h, "/var/cache/phoenix/NVIDIA-Linux-x86_64-570.86.15.run.part", "<html>Please log in</html>\n")
			}},
			{Name: "the installer claims success", Op: "sh /var/cache/phoenix/NVIDIA-Linux-x86_64-570.86.15.run --silent"},
		},
	}.Run(t)
}

func TestNVIDIA_theLoadedDriverStaysUntilTheReboot(t *testing.T) {
	h := installed(t)
	spec := runfileSpec(t, `,"persistence":true`)
	first := taskstest.Run(t, nvidia.Kind(), spec, h)
	if first.Status != tasks.StatusChanged || first.Cause != tasks.CausePending {
		t.Fatalf("%+v", first)
	}
	want := tasks.Change{Path: "running.driver", From: "550.54.15 closed", To: "570.86.15 open", Effect: tasks.EffectReboot}
	if len(first.Remaining) != 1 || first.Remaining[0] != want {
		t.Fatalf("remaining %+v, want %+v", first.Remaining, want)
	}
	rec := taskstest.NewRecorder(h)
	if again := taskstest.Run(t, nvidia.Kind(), spec, rec); again.Status != tasks.StatusSkipped || len(rec.Changes()) > 0 {
		t.Errorf("again: %+v, did %v", again, rec.Changes())
	}
	h.run(t, "systemctl", "reboot")
	if after := taskstest.Check(t, nvidia.Kind(), spec, h); after.Status != tasks.StatusOK {
		t.Errorf("after the reboot: %+v", after)
	}
}

func TestNVIDIA_nouveauIsOffAfterTheReboot(t *testing.T) {
	h := bare(t)
	const spec = `{"driver":"570.86.15","install":"apt"}`
	first := taskstest.Run(t, nvidia.Kind(), spec, h)
	var waiting []string
	for _, c := range first.Remaining {
		waiting = append(waiting, c.Path+" "+string(c.Effect))
	}
	if first.Cause != tasks.CausePending || !slices.Equal(waiting, []string{"running.nouveau reboot", "running.driver reboot"}) {
		t.Fatalf("%+v", first)
	}
	h.run(t, "systemctl", "reboot")
	if after := taskstest.Check(t, nvidia.Kind(), spec, h); after.Status != tasks.StatusOK {
		t.Errorf("after the reboot: %+v", after)
	}
	if _, err := h.Stat("/dev/nvidia-uvm"); err != nil {
		t.Errorf("the nodes are not there after the boot: %v", err)
	}
}

func TestNVIDIA_itIsBuiltForANewerKernelToo(t *testing.T) {
	h := installed(t)
	spec := runfileSpec(t, "")
	taskstest.Run(t, nvidia.Kind(), spec, h)
	h.kernel(t, true)
	if missing, err := gpu.Unbuilt(h); err != nil || !slices.Equal(missing, []string{newer}) {
		t.Errorf("unbuilt %v, %v", missing, err)
	}
	rec := taskstest.NewRecorder(h)
	res := taskstest.Run(t, nvidia.Kind(), spec, rec)
	if !res.Changes.Has("modules."+newer) || res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := rec.Changes(); len(got) != 1 || got[0].String() != "dkms install -m nvidia -v 570.86.15 -k "+newer+" --force" {
		t.Errorf("it did %v", got)
	}
	if missing, err := gpu.Unbuilt(h); err != nil || len(missing) > 0 {
		t.Errorf("unbuilt %v, %v", missing, err)
	}
	h.run(t, "systemctl", "reboot")
	if after := taskstest.Check(t, nvidia.Kind(), spec, h); after.Status != tasks.StatusOK {
		t.Errorf("after the reboot: %+v", after)
	}
}

func TestNVIDIA_aNewerKernelWithoutHeadersFails(t *testing.T) {
	h := installed(t)
	h.kernel(t, false)
	res := taskstest.Run(t, nvidia.Kind(), runfileSpec(t, ""), h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "proxmox-headers-"+newer) {
		t.Errorf("%+v", res)
	}
}

func TestNVIDIA_aDownloadIsKept(t *testing.T) {
	h := idle(t)
	spec := runfileSpec(t, "")
	rec := taskstest.NewRecorder(h)
	taskstest.Run(t, nvidia.Kind(), spec, rec)
	const file = "/var/cache/phoenix/NVIDIA-Linux-x86_64-570.86.15.run"
	if !slices.Contains(rec.Commands(), "mv -T "+file+".part "+file) {
		t.Errorf("the download gets its name at once: %q", rec.Commands())
	}
	gone("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")(t, h)
	rec = taskstest.NewRecorder(h)
	if res := taskstest.Run(t, nvidia.Kind(), spec, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	for _, line := range rec.Commands() {
		if strings.HasPrefix(line, "curl") || strings.Contains(line, "--no-dkms") {
			t.Errorf("it ran %s", line)
		}
	}
	edit("/var/cache/phoenix/NVIDIA-Linux-x86_64-570.86.15.run", "simulated", "tampered")(t, h)
	gone("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")(t, h)
	if res := taskstest.Run(t, nvidia.Kind(), spec, h); res.Status != tasks.StatusChanged {
		t.Errorf("a file that was changed is fetched again: %+v", res)
	}
}

func TestNVIDIA_nothingIsInstalledAtTheCostOfProxmox(t *testing.T) {
	rec := taskstest.NewRecorder(idle(t))
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if !strings.HasPrefix(o.String(), "apt-get -s") {
			return nil
		}
		return &taskstest.Answer{Output: tasks.Output{Stdout: []byte("Remv proxmox-ve [8.0.0]\nInst dkms (3.0.10 Debian:12 [all])\n")}}
	}
	res := taskstest.Run(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt"}`, rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "it would remove proxmox-ve") {
		t.Errorf("%+v", res)
	}
	if got := rec.Changes(); len(got) > 0 {
		t.Errorf("it did %v", got)
	}
}

func TestNVIDIA_aWrongChecksumInstallsNothing(t *testing.T) {
	h := idle(t)
	spec := strings.Replace(runfileSpec(t, ""), checksum(t), strings.Repeat("0", 64), 1)
	res := taskstest.Run(t, nvidia.Kind(), spec, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "SHA-256") {
		t.Errorf("%+v", res)
	}
	if left, err := os.ReadDir(filepath.Join(h.root, "/var/cache/phoenix")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// secureBoot lays what a machine with Secure Boot shows: on, and the owner's keys.
func secureBoot(t *testing.T, h host, keys string) {
	h.put(t, "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\x06\x00\x00\x00\x01")
	h.put(t, "/sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23", "\x06\x00\x00\x00"+keys)
	h.put(t, "/var/lib/dkms/mok.pub", "0\x82\x03CERT")
}

func TestNVIDIA_refusals(t *testing.T) {
	apt := `{"driver":"570.86.15","install":"apt","device_nodes":false}`
	for _, tc := range []struct {
		name, spec string
		host       func(*testing.T) host
		change     func(*testing.T, host)
		why        string
		held       bool
	}{
		{"Secure Boot without DKMS's key", apt, idle, func(t *testing.T, h host) { secureBoot(t, h, "another") }, "mokutil --import", true},
		{"packages onto NVIDIA's installer", apt, installed, nil, "nvidia-uninstall --silent", true},
		{"NVIDIA's installer onto packages", runfileSpec(t, ""), func(t *testing.T) host {
			h := idle(t)
			taskstest.Run(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt"}`, h)
			return h
		}, func(t *testing.T, h host) { gone("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")(t, h) }, "apt-get purge nvidia-open nvidia-kernel-open-dkms", true},
		{"a version that no archive has", `{"driver":"575.51.03","install":"apt"}`, idle, nil, "have nvidia-driver 535.216.01-1~deb12u1, nvidia-open 570.86.15-1", false},
		{"no archive at all", `{"driver":"575.51.03","install":"apt"}`, idle, func(t *testing.T, h host) {
			h.remove(t, "/etc/apt/sources.list", "/etc/apt/sources.list.d/cuda.sources")
			h.put(t, "/var/lib/dpkg/status", taskstest.Get(t, h, "/var/lib/dpkg/status")+"Package: dkms\nStatus: install ok installed\nVersion: 3\nArchitecture: all\nDescription: x\n\n")
		}, "no configured archive has any", false},
		{"install none with another version", `{"driver":"570.86.15"}`, installed, nil, "install is none", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := tc.host(t)
			if tc.change != nil {
				tc.change(t, h)
			}
			before := taskstest.Check(t, nvidia.Kind(), tc.spec, h)
			i := slices.IndexFunc(before.Changes, func(c tasks.Change) bool { return c.Path == "driver" })
			if i < 0 || before.Changes[i].Held() != tc.held {
				t.Errorf("the check says %+v", before.Changes)
			}
			res := taskstest.Run(t, nvidia.Kind(), tc.spec, h)
			if res.Status != tasks.StatusSkipped || res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestNVIDIA_withAnEnrolledKeySecureBootIsNoObstacle(t *testing.T) {
	h := idle(t)
	secureBoot(t, h, "header 0\x82\x03CERT trailer")
	if res := taskstest.Run(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt"}`, h); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

func TestNVIDIA_theRunfileWaitsWhereItCannotHelpItself(t *testing.T) {
	h := bare(t)
	rec := taskstest.NewRecorder(h)
	res := taskstest.Run(t, nvidia.Kind(), runfileSpec(t, ""), rec)
	if res.Status != tasks.StatusChanged || res.Cause != tasks.CausePending {
		t.Errorf("%+v", res)
	}
	i := slices.IndexFunc(rec.Commands(), func(s string) bool { return strings.Contains(s, ".run --silent") })
	if i < 0 || !strings.HasSuffix(rec.Commands()[i], "--dkms --no-nouveau-check --skip-module-load --kernel-module-type=open") {
		t.Errorf("ran %q", rec.Commands())
	}
}

func TestNVIDIA_withoutCardsThereIsNothingToDo(t *testing.T) {
	for name, change := range map[string]func(*testing.T, host){
		"no card":                func(t *testing.T, h host) { h.remove(t, "/sys/bus/pci") },
		"an audio function only": func(t *testing.T, h host) { cards(t, h, "0x22ba", "0x040300") },
		"cards of virtual machines only": func(t *testing.T, h host) {
			for _, at := range []string{"0000:01:00.0", "0000:02:00.0"} {
				driver := "/sys/bus/pci/devices/" + at + "/driver"
				h.remove(t, driver)
				if err := os.Symlink("../../../../bus/pci/drivers/vfio-pci", filepath.Join(h.root, driver)); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := idle(t)
			change(t, h)
			rec := taskstest.NewRecorder(h)
			if res := taskstest.Run(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt","persistence":true}`, rec); res.Status != tasks.StatusOK || len(rec.Commands()) > 0 {
				t.Errorf("%+v, ran %v", res, rec.Commands())
			}
		})
	}
}

// cards gives the first device another ID and class, and takes the second away.
func cards(t *testing.T, h host, device, class string) {
	h.put(t, "/sys/bus/pci/devices/0000:01:00.0/device", device+"\n")
	h.put(t, "/sys/bus/pci/devices/0000:01:00.0/class", class+"\n")
	h.remove(t, "/sys/bus/pci/devices/0000:02:00.0")
}

func TestNVIDIA_theKernelModuleFitsTheCards(t *testing.T) {
	for _, tc := range []struct{ name, device, more, module, why string }{
		{"a GeForce GTX 1080 Ti has the closed one", "0x1b06", "", "570.86.15 closed", ""},
		{"a V100 has the closed one", "0x1db1", "", "570.86.15 closed", ""},
		{"a Turing T4 takes the open one from 560 on", "0x1eb8", "", "570.86.15 open", ""},
		{"an A100 can have the closed one", "0x20b0", `,"open":"closed"`, "570.86.15 closed", ""},
		{"a GeForce RTX 5090 has the open one", "0x2b85", "", "570.86.15 open", ""},
		{"a B200 has no closed one", "0x2901", `,"open":"closed"`, "", "0000:01:00.0 (10de:2901), Blackwell or later, has only the open one"},
		{"a P40 has no open one", "0x1b38", `,"open":"open"`, "", "0000:01:00.0 (10de:1b38), older than Turing, has only the closed one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := idle(t)
			cards(t, h, tc.device, "0x030200")
			res := taskstest.Check(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt"`+tc.more+`}`, h)
			i := slices.IndexFunc(res.Changes, func(c tasks.Change) bool { return c.Path == "modules."+release })
			if tc.why != "" && (res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why)) || tc.why == "" && (i < 0 || res.Changes[i].To != tc.module) {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestNVIDIA_cardsThatShareNoModuleAreAnError(t *testing.T) {
	h := idle(t)
	h.put(t, "/sys/bus/pci/devices/0000:01:00.0/device", "0x1db1\n")
	h.put(t, "/sys/bus/pci/devices/0000:02:00.0/device", "0x2b85\n")
	res := taskstest.Check(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt"}`, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "0000:02:00.0 (10de:2b85) has only the open one and 0000:01:00.0 (10de:1db1) only the closed one") {
		t.Errorf("%+v", res)
	}
}

func TestNVIDIA_autoKeepsTheModuleThatIsThere(t *testing.T) {
	h := idle(t)
	taskstest.Run(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt","open":"closed"}`, h)
	if res := taskstest.Check(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt"}`, h); res.Status != tasks.StatusOK {
		t.Errorf("%+v", res)
	}
	res := taskstest.Check(t, nvidia.Kind(), `{"driver":"570.86.15","install":"apt","open":"open"}`, h)
	if !res.Changes.Has("modules."+release) || !res.Changes.Has("running.driver") || len(res.Changes) != 2 {
		t.Errorf("%+v", res)
	}
}

func TestNVIDIA_withInstallNoneItOnlyMakesNodes(t *testing.T) {
	h := installed(t)
	rec := taskstest.NewRecorder(h)
	if res := taskstest.Run(t, nvidia.Kind(), `{"driver":"550.54.15","install":"none"}`, rec); res.Status != tasks.StatusChanged || len(res.Changes) != 1 || res.Changes[0].Path != "device_nodes" {
		t.Errorf("%+v", res)
	}
}

func TestNVIDIA_aMachineThatLosesItsNetworkSaysSo(t *testing.T) {
	h := idle(t)
	if err := h.sim.Fault(sim.Fault{Kind: sim.FaultDownload}); err != nil {
		t.Fatal(err)
	}
	spec := runfileSpec(t, "")
	for range 2 { // packages first, then the runfile
		res := taskstest.Run(t, nvidia.Kind(), spec, h)
		if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "apt") && !strings.Contains(res.Why, "resolve host") {
			t.Fatalf("%+v", res)
		}
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	sum := strings.Repeat("a", 64)
	for _, tc := range []struct{ name, spec, path string }{
		{"a version without its end", `{"driver":"570","install":"apt"}`, "driver"},
		{"a version that breaks out of the pin", `{"driver":"570.86.15\nPackage: *","install":"apt"}`, "driver"},
		{"no version to install", `{"install":"apt"}`, "driver"},
		{"an unknown way", `{"driver":"570.86.15","install":"dnf"}`, "install"},
		{"a runfile that is not named", `{"driver":"570.86.15","install":"runfile"}`, "runfile"},
		{"a runfile of no use", `{"driver":"570.86.15","install":"apt","runfile":{"path":"/a","sha256":"` + sum + `"}}`, "runfile"},
		{"a runfile from two places", `{"driver":"570.86.15","install":"runfile","runfile":{"path":"/a","url":"https://x/y","sha256":"` + sum + `"}}`, "runfile"},
		{"a runfile from nowhere", `{"driver":"570.86.15","install":"runfile","runfile":{"sha256":"` + sum + `"}}`, "runfile"},
		{"an address that is an option", `{"driver":"570.86.15","install":"runfile","runfile":{"url":"-o/etc/passwd","sha256":"` + sum + `"}}`, "runfile.url"},
		{"an address of a local file", `{"driver":"570.86.15","install":"runfile","runfile":{"url":"file:///x","sha256":"` + sum + `"}}`, "runfile.url"},
		{"a relative path", `{"driver":"570.86.15","install":"runfile","runfile":{"path":"x.run","sha256":"` + sum + `"}}`, "runfile.path"},
		{"no checksum", `{"driver":"570.86.15","install":"runfile","runfile":{"path":"/x.run","sha256":""}}`, "runfile.sha256"},
		{"an unknown module", `{"open":"yes"}`, "open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s nvidia.Spec
			if err := tasks.UnmarshalStrict([]byte(tc.spec), &s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

// TestNVIDIA_aCardThatIsOffTheBusKeepsItsNodeAtBoot: the reboot that brings it back is to
// find its container able to start.
func TestNVIDIA_aCardThatIsOffTheBusKeepsItsNodeAtBoot(t *testing.T) {
	const file = "/etc/systemd/system/phoenix-nvidia-nodes.service"
	for _, address := range []string{"0000:01:00.0", "0000:02:00.0"} {
		h := installed(t)
		if res := taskstest.Run(t, nvidia.Kind(), `{}`, h); res.Status != tasks.StatusChanged {
			t.Fatalf("%+v", res)
		}
		before := taskstest.Get(t, h, file)
		h.remove(t, "/sys/bus/pci/devices/"+address, "/proc/driver/nvidia/gpus/"+address)
		if res := taskstest.Check(t, nvidia.Kind(), `{}`, h); res.Status != tasks.StatusOK {
			t.Errorf("without %s: %+v", address, res)
		}
		// What else is wrong with the unit is mended all the same.
		h.put(t, file, strings.Replace(before, "Before=pve-guests.service\n", "", 1))
		taskstest.Run(t, nvidia.Kind(), `{}`, h)
		if got := taskstest.Get(t, h, file); got != before || !strings.Contains(got, " -c 0 -c 1 -c 255\n") {
			t.Errorf("without %s: the unit is\n%s", address, got)
		}
	}
}

// TestNVIDIA_theNodesAreThoseOfTheNumbersThatTheDriverGave: a card that is alone need not be
// the first.
func TestNVIDIA_theNodesAreThoseOfTheNumbersThatTheDriverGave(t *testing.T) {
	h := installed(t)
	h.remove(t, "/sys/bus/pci/devices/0000:01:00.0", "/proc/driver/nvidia/gpus/0000:01:00.0", "/dev/nvidia0", "/dev/nvidia1")
	if res := taskstest.Run(t, nvidia.Kind(), `{}`, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := taskstest.Get(t, h, "/etc/systemd/system/phoenix-nvidia-nodes.service"); !strings.Contains(got, "nvidia-modprobe -c 1 -c 255\n") {
		t.Errorf("the unit is\n%s", got)
	}
	if _, err := h.Stat("/dev/nvidia1"); err != nil {
		t.Error(err)
	}
}
