package docker

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

const twoCards = "GPU 0: NVIDIA L4 (UUID: GPU-11111111-2222-3333-4444-555555555555)\nGPU 1: NVIDIA L4 (UUID: GPU-66666666-2222-3333-4444-555555555555)\n"

const kit = "1.18.2-1"

// withGPUs is a guest with two cards, and Docker and the toolkit of the given versions.
func withGPUs(t *testing.T, docker, kit string, also map[string]string) *taskstest.Tree {
	t.Helper()
	files := map[string]string{
		"etc/os-release":             "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"var/lib/dpkg/status":        "Package: docker.io\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + docker + "\n\nPackage: nvidia-container-toolkit\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + kit + "\n",
		"dev/nvidiactl":              "",
		"dev/nvidia0":                "",
		"dev/nvidia1":                "",
		"dev/nvidia-uvm":             "",
		"proc/self/uid_map":          "         0     100000      65536\n",
		"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@U16)  Thu Jan 23\n",
		toolkitConfig[1:]:            "disable-require = false\n\n[nvidia-container-cli]\n#no-cgroups = false\nload-kmods = true\n",
	}
	for _, lib := range []string{"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"} {
		files["lib/x86_64-linux-gnu/"+lib], files["lib/aarch64-linux-gnu/"+lib] = "ELF "+lib, "ELF "+lib
	}
	files["lib64/ld-linux-x86-64.so.2"], files["lib/ld-linux-aarch64.so.1"] = "ELF loader", "ELF loader"
	maps.Copy(files, also)
	h := taskstest.NewTree(t, files)
	h.Programs["nvidia-ctk"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: strings.TrimPrefix(c.Argv[3], "--output="), Data: []byte("hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15\n")})
		if err != nil {
			return tasks.Output{Code: 1, Stderr: []byte(err.Error())}
		}
		return tasks.Output{}
	}
	return h
}

func TestContainersGetGPUsInTheWayThatDockerKnows(t *testing.T) {
	const legacy, cdi = `{"runtimes":{"nvidia":{"args":[],"path":"nvidia-container-runtime"}}}`, `{"features":{"cdi":true}}`
	for name, c := range map[string]struct{ mode, docker, kit, want string }{
		"20.10 has its runtime": {"", "20.10.24+dfsg1-1+deb12u1", kit, legacy},
		"24 as well":            {"auto", "24.0.7-1", kit, legacy},
		"25 has CDI":            {"", "5:25.0.3-1~debian.12~bookworm", kit, cdi},
		"the toolkit has it first as a candidate": {"", "5:29.1.3-1~debian.12~bookworm", "1.18.0~rc.1-1", cdi},
		"an older toolkit prefers its runtime":    {"", "5:29.1.3-1~debian.12~bookworm", "1.17.8-1", legacy},
		"whatever it prefers, CDI can be had":     {"cdi", "5:29.1.3-1~debian.12~bookworm", "1.17.8-1", cdi},
		"29 has CDI":                              {"auto", "5:29.1.3-1~debian.12~bookworm", kit, cdi},
		"legacy can be asked for":                 {"legacy", "5:29.1.3-1~debian.12~bookworm", kit, legacy},
		"CDI can be asked for":                    {"cdi", "20.10.24+dfsg1-1+deb12u1", kit, cdi},
	} {
		out := object{}
		if err := (&NVIDIA{Mode: c.mode}).settings(withGPUs(t, c.docker, c.kit, nil), out); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(encode(out, ""))); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestTheToolkitIsSetUpForAnUnprivilegedGuest(t *testing.T) {
	for name, c := range map[string]struct {
		docker string
		files  map[string]string
		want   []string
	}{
		"with CDI":                     {"5:27.4.1-1", nil, []string{"no_cgroups", "cdi"}},
		"with the runtime":             {"20.10.24", nil, []string{"no_cgroups"}},
		"a privileged one has cgroups": {"5:27.4.1-1", map[string]string{"proc/self/uid_map": "         0          0 4294967295\n"}, []string{"cdi"}},
		"the toolkit's service has specified the devices": {"5:27.4.1-1", map[string]string{"var/run/cdi/nvidia.yaml": "libcuda.so.570.86.15\n"}, []string{"no_cgroups"}},
		"the specification is of another driver":          {"5:27.4.1-1", map[string]string{"etc/cdi/nvidia.yaml": "libcuda.so.550.54.15\n"}, []string{"no_cgroups", "cdi"}},
	} {
		h := withGPUs(t, c.docker, kit, c.files)
		task := &gpus{&Spec{NVIDIA: &NVIDIA{}}}
		d, err := task.Check(t.Context(), tasks.ReadOnly(h))
		var got []string
		for _, one := range d {
			got = append(got, one.Path)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
			continue
		}
		if err := task.Apply(t.Context(), h, d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d, err := task.Check(t.Context(), tasks.ReadOnly(h)); err != nil || len(d) > 0 {
			t.Errorf("%s: afterwards %+v, %v", name, d, err)
		}
	}
}

func TestAGuestWithoutGPUsHasNoneToGive(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	if _, err := (&gpus{&Spec{NVIDIA: &NVIDIA{}}}).Check(t.Context(), h); err == nil || !strings.Contains(err.Error(), "there is no /dev/nvidiactl") {
		t.Error(err)
	}
}

func TestTheProofWithGPUsListsTheSameCards(t *testing.T) {
	for name, c := range map[string]struct{ docker, inside, options, says string }{
		"with CDI":          {"5:27.4.1-1", twoCards, "--device nvidia.com/gpu=all", ""},
		"with the runtime":  {"20.10.24", twoCards, "--gpus all", ""},
		"a card is missing": {"5:27.4.1-1", strings.SplitAfter(twoCards, "\n")[0], "--device nvidia.com/gpu=all", "list the GPUs in a container: it has GPU-1111"},
	} {
		h := withGPUs(t, c.docker, kit, nil)
		var ran []string
		h.Programs["nvidia-smi"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
			return tasks.Output{Stdout: []byte(twoCards)}
		}
		h.Programs["docker"] = func(_ context.Context, _ tasks.Host, cmd tasks.Cmd) tasks.Output {
			ran = append(ran, strings.Join(cmd.Argv, " "))
			if cmd.Argv[1] == "import" && !strings.Contains(string(cmd.Stdin), "ELF libc.so.6") {
				return tasks.Output{Code: 1, Stderr: []byte("no C library\n")}
			}
			return tasks.Output{Stdout: []byte(c.inside)}
		}
		err := (&NVIDIA{}).prove(t.Context(), h)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		want := []string{`docker import --change ENTRYPOINT ["/usr/bin/nvidia-smi","-L"] - phoenix/proof:run`, "docker run --rm --network none " + c.options + " phoenix/proof:run", "docker rmi --force phoenix/proof:run"}
		if !slices.Equal(ran, want) {
			t.Errorf("%s: %q", name, ran)
		}
	}
}

func TestTheFactsNameDriverCardsAndToolkit(t *testing.T) {
	for mode, want := range map[string]string{"": "cdi", "auto": "cdi", "cdi": "cdi", "legacy": "legacy"} {
		f := map[string]string{"docker": "27"}
		if err := (&NVIDIA{Mode: mode}).facts(withGPUs(t, "5:27.4.1-1", kit, nil), f); err != nil {
			t.Fatal(err)
		}
		// Another mode is a proof of its own.
		if want := map[string]string{"docker": "27", "gpus": "2", "nvidia driver": "570.86.15", "nvidia-container-toolkit": kit, "gpu mode": want}; !maps.Equal(f, want) {
			t.Errorf("%q: %v, want %v", mode, f, want)
		}
	}
}

func TestTheToolkitComesFromNVIDIAsArchive(t *testing.T) {
	a := toolkitArchive()
	if a.uri != "https://nvidia.github.io/libnvidia-container/stable/deb/"+runtime.GOARCH || a.suite != "/" || len(a.key.Fingerprint) != 40 {
		t.Errorf("%+v", a)
	}
}
