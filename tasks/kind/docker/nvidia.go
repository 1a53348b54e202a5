package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptkey"
	"phoenix/tasks/distro"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/tiny"
)

const (
	toolkitConfig = "/etc/nvidia-container-runtime/config.toml"
	cdiFile       = "/etc/cdi/nvidia.yaml"
	toolkit       = "nvidia-container-toolkit"
)

// toolkitArchive is NVIDIA's for the container toolkit:
// https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html.
func toolkitArchive() archive {
	const at = "https://nvidia.github.io/libnvidia-container"
	return archive{"nvidia-container-toolkit", at + "/stable/deb/" + runtime.GOARCH, "/", "", aptkey.Key{
		Path: "/etc/apt/keyrings/nvidia-container-toolkit.asc", URL: at + "/gpgkey", Fingerprint: "C95B321B61E88C1809C4F759DDCAE044F796ECB0",
	}}
}

// cdi tells whether containers get GPUs by their names in a specification (CDI), or by
// NVIDIA's own runtime. Docker can do the first from version 25 on. The toolkit made it
// its own way with 1.18, which also keeps the specification up to date (its pull request
// 910; the mode auto meant legacy before); a toolkit that is still to come is newer.
func (n *NVIDIA) cdi(h tasks.Host) (bool, error) {
	if n.Mode != "" && n.Mode != ModeAuto {
		return n.Mode == ModeCDI, nil
	}
	version, there, err := installed(h, "docker-ce", "docker.io")
	if err != nil || !there {
		return false, err
	}
	if _, after, epoch := strings.Cut(version, ":"); epoch {
		version = after
	}
	if major, err := strconv.Atoi(strings.Split(version, ".")[0]); err != nil || major < 25 {
		return false, nil
	}
	kit, there, err := installed(h, toolkit)
	return err == nil && (!there || dpkg.CompareVersions(kit, "1.18.0~") >= 0), err
}

// installed is the version of the first of the packages that is installed.
func installed(h tasks.Host, names ...string) (version string, there bool, err error) {
	what, err := distro.Read(h)
	if err != nil {
		return "", false, err
	}
	manager, err := what.Packages()
	for _, name := range names {
		if err != nil || there {
			break
		}
		version, there, err = manager.Version(h, name)
	}
	return version, there, err
}

// settings adds what `nvidia-ctk runtime configure` would write into daemon.json.
func (n *NVIDIA) settings(h tasks.Host, out object) error {
	cdi, err := n.cdi(h)
	if err != nil {
		return err
	}
	into, name, value := "runtimes", "nvidia", any(map[string]any{"path": "nvidia-container-runtime", "args": []any{}})
	if cdi {
		into, name, value = "features", "cdi", true
	}
	inner, _ := out[into].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
	}
	inner[name] = value
	out[into] = inner
	return nil
}

// gpus is the toolkit's own configuration, and the specification of the devices.
type gpus struct{ spec *Spec }

// Check reads files alone.
func (g *gpus) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	var d tasks.Diff
	if _, err := h.Stat("/dev/nvidiactl"); errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("give containers GPUs: the guest has none, there is no /dev/nvidiactl (assign one with gpu_assignment, or leave docker.nvidia out)")
	} else if err != nil {
		return nil, err
	}
	text, _, err := tasks.ReadIfExists(h, toolkitConfig)
	if err != nil {
		return nil, err
	}
	bound, err := unprivileged(h)
	if err != nil {
		return nil, err
	}
	if bound && withoutCgroups(string(text)) != string(text) {
		d.Add("no_cgroups", "false", "true", tasks.EffectLive)
	}
	cdi, err := g.spec.NVIDIA.cdi(h)
	if err != nil || !cdi {
		return d, err
	}
	want, err := driverVersion(h)
	if err != nil {
		return nil, err
	}
	have, err := specified(h, want)
	if err == nil {
		d.Add("cdi", have, "devices of driver "+want, tasks.EffectLive)
	}
	return d, err
}

// Apply edits the one and has the toolkit write the other.
func (g *gpus) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if d.Has("no_cgroups") {
		err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: toolkitConfig, Update: func(old []byte) ([]byte, error) {
			return []byte(withoutCgroups(string(old))), nil
		}})
		if err != nil {
			return err
		}
	}
	if !d.Has("cdi") {
		return nil
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: "/etc/cdi"}); err != nil {
		return err
	}
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"nvidia-ctk", "cdi", "generate", "--output=" + cdiFile}})
	return err
}

// unprivileged tells whether root of the guest is another user outside
// (user_namespaces(7)).
func unprivileged(h tasks.Host) (bool, error) {
	data, err := h.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false, fmt.Errorf("find out whether the container is privileged: %w", err)
	}
	f := strings.Fields(string(data))
	return len(f) >= 2 && f[1] != "0", nil
}

// withoutCgroups is the toolkit's config.toml with no-cgroups switched on in its section,
// and everything else as it is: the device cgroup of an unprivileged container is the
// host's to set.
func withoutCgroups(text string) string {
	const section, wanted = "[nvidia-container-cli]", "no-cgroups = true\n"
	lines := tasks.Lines(text)
	begin, at, commented := -1, -1, -1
	for i, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "["):
			if begin >= 0 {
				begin = -2 - begin // its end
			} else if head, _, _ := strings.Cut(trimmed, "#"); begin == -1 && strings.TrimSpace(head) == section {
				begin = i
			}
		case begin < 0:
		case name == "no-cgroups" && at < 0:
			at = i
			if value, _, _ = strings.Cut(value, "#"); strings.TrimSpace(value) == "true" {
				return text
			}
		case strings.TrimSpace(strings.TrimPrefix(name, "#")) == "no-cgroups" && commented < 0:
			commented = i
		}
	}
	if begin < -1 {
		begin = -2 - begin
	}
	switch {
	case at >= 0:
		lines[at] = wanted
	case commented >= 0:
		lines[commented] = wanted
	case begin >= 0:
		if !strings.HasSuffix(lines[begin], "\n") {
			lines[begin] += "\n"
		}
		lines = slices.Insert(lines, begin+1, wanted)
	default:
		if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
			lines[n-1] += "\n"
		}
		lines = append(lines, section+"\n", wanted)
	}
	return strings.Join(lines, "")
}

// driverVersion is that of the module that is loaded.
func driverVersion(h tasks.Host) (string, error) {
	data, err := h.ReadFile("/proc/driver/nvidia/version")
	if err != nil {
		return "", fmt.Errorf("find the version of NVIDIA's driver: %w", err)
	}
	v := regexp.MustCompile(`Kernel Module.*?\s(\d+\.\d+(\.\d+)?)\s`).FindSubmatch(data)
	if v == nil {
		return "", errors.New("find the version of NVIDIA's driver: /proc/driver/nvidia/version names none")
	}
	return string(v[1]), nil
}

// specified is what the specification of the devices is of: that of the toolkit's own
// service (from 1.18 on), or the one that was made here. Its libraries have the
// driver's version in their names.
func specified(h tasks.Host, want string) (string, error) {
	have := ""
	for _, at := range []string{"/var/run/cdi/nvidia.yaml", cdiFile} {
		data, there, err := tasks.ReadIfExists(h, at)
		switch {
		case err != nil:
			return "", err
		case strings.Contains(string(data), ".so."+want):
			return "devices of driver " + want, nil
		case there:
			have = "devices of another driver"
		}
	}
	return have, nil
}

// facts adds what the proof with GPUs holds for.
func (n *NVIDIA) facts(h tasks.Host, f map[string]string) error {
	version, err := driverVersion(h)
	if err != nil {
		return err
	}
	kit, _, err := installed(h, toolkit)
	if err != nil {
		return err
	}
	names, err := h.ReadDir("/dev")
	if err != nil {
		return fmt.Errorf("count the GPUs: %w", err)
	}
	node := regexp.MustCompile(`^nvidia[0-9]+$`)
	f["gpus"] = strconv.Itoa(len(slices.DeleteFunc(names, func(n string) bool { return !node.MatchString(n) })))
	f["nvidia driver"], f[toolkit], f["gpu mode"] = version, kit, ModeLegacy
	cdi, err := n.cdi(h)
	if cdi {
		f["gpu mode"] = ModeCDI
	}
	return err
}

// prove runs nvidia-smi in a container and compares the GPUs that it lists with those of
// the guest.
//
// The image has nothing of NVIDIA's: only the guest's own loader and C library, which
// nvidia-smi needs. That the program, its library and the devices are there, and that the
// driver answers, is what the toolkit has done. It shows nothing of CUDA, which needs
// more than an image made here can have.
func (n *NVIDIA) prove(ctx context.Context, h tasks.Host) error {
	list, err := tasks.Succeed(ctx, h, tasks.Cmd{ReadOnly: true, Argv: []string{"nvidia-smi", "-L"}})
	if err != nil {
		return fmt.Errorf("list the GPUs of the guest: %w", err)
	}
	files, err := libraries(h)
	if err != nil {
		return err
	}
	cdi, err := n.cdi(h)
	if err != nil {
		return err
	}
	options := []string{"--gpus", "all"}
	if cdi {
		options = []string{"--device", "nvidia.com/gpu=all"}
	}
	out, err := runImage(ctx, h, tiny.Tar(files...), `ENTRYPOINT ["/usr/bin/nvidia-smi","-L"]`, options...)
	if err != nil {
		return fmt.Errorf("list the GPUs in a container: %w", err)
	}
	want, have := uuids(string(list.Stdout)), uuids(out)
	if len(want) == 0 || !slices.Equal(want, have) {
		return fmt.Errorf("list the GPUs in a container: it has %s, and the guest has %s", strings.Join(have, ", "), strings.Join(want, ", "))
	}
	return nil
}

// uuids are those of the GPUs that nvidia-smi -L lists, sorted.
func uuids(text string) []string {
	return sorted(regexp.MustCompile(`GPU-[0-9a-f-]+`).FindAllString(text, -1))
}

// libraries are the loader and what nvidia-smi is linked with.
func libraries(h tasks.Host) ([]tiny.File, error) {
	dir, loader := "lib/x86_64-linux-gnu/", "lib64/ld-linux-x86-64.so.2"
	if runtime.GOARCH == "arm64" {
		dir, loader = "lib/aarch64-linux-gnu/", "lib/ld-linux-aarch64.so.1"
	}
	var out []tiny.File
	for _, name := range []string{loader, dir + "libc.so.6", dir + "libm.so.6", dir + "libdl.so.2", dir + "libpthread.so.0", dir + "librt.so.1"} {
		data, err := h.ReadFile("/" + name)
		if err != nil {
			return nil, fmt.Errorf("make an image with the guest's C library: %w", err)
		}
		out = append(out, tiny.File{Name: name, Data: data})
	}
	return out, nil
}
