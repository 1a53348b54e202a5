package nvidia

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
)

// PinFile keeps the packages of the driver at the wanted version: those that a chosen
// package depends on would otherwise be the newest, and an upgrade would take all along.
const PinFile = "/etc/apt/preferences.d/phoenix-nvidia.pref"

func (t *task) pin() string { return Pin(t.spec.Driver) }

// Pin is the content of PinFile. A priority above 1000 also holds against a newer
// version that is installed.
func Pin(driver string) string {
	return "# Written by phoenix: NVIDIA's driver stays at the version of the configuration.\n" +
		"Package: cuda-drivers* firmware-nvidia* libcuda1* libegl-nvidia* libgl1-nvidia* libgles-nvidia* libglx-nvidia* libnvcuvid1* libnvidia* libnvoptix1* libxnvctrl* nvidia* xserver-xorg-video-nvidia*\n" +
		"Pin: version " + driver + "-*\n" +
		"Pin-Priority: 1001\n"
}

// pinned says what another content of PinFile holds.
func (t *task) pinned(text string) string {
	if text == "" {
		return ""
	}
	for _, line := range tasks.Lines(text) {
		v, is := strings.CutPrefix(line, "Pin: version ")
		if v = strings.TrimSuffix(strings.TrimSpace(v), "-*"); is && v != t.spec.Driver {
			return v
		}
	}
	return "another text"
}

// choices are the packages that bring the driver with the open or the closed module,
// NVIDIA's own archive before Debian's.
func choices(open bool) [][]string {
	if open {
		return [][]string{{"nvidia-open"}, {"nvidia-driver", "nvidia-open-kernel-dkms"}, {"nvidia-driver", "nvidia-kernel-open-dkms"}}
	}
	return [][]string{{"cuda-drivers"}, {"nvidia-driver", "nvidia-kernel-dkms"}}
}

// extras come with the driver where an archive has them: nothing else makes the device
// nodes and keeps the cards initialised, and both are only recommended by the driver.
func extras() []string { return []string{"nvidia-modprobe", "nvidia-persistenced"} }

// aptInstall installs the exact version from the configured archives.
func (t *task) aptInstall(ctx context.Context, h tasks.Host, m *machine) (*tasks.RefusedError, error) {
	if err := FetchLists(ctx, h); err != nil {
		return nil, err
	}
	offered, err := t.offered(ctx, h, m.want.open)
	if err != nil {
		return nil, err
	}
	for _, choice := range choices(m.want.open) {
		var packages []string
		for _, name := range choice {
			if v := Exact(offered[name], t.spec.Driver); v != "" {
				packages = append(packages, name+"="+v)
			}
		}
		if len(packages) != len(choice) {
			continue
		}
		for _, name := range extras() {
			if v := Exact(offered[name], t.spec.Driver); v != "" {
				packages = append(packages, name+"="+v)
			} else if len(offered[name]) > 0 {
				packages = append(packages, name)
			}
		}
		if again := t.installed(m.status, choice); again != nil {
			return nil, Install(ctx, h, append([]string{"--reinstall"}, again...)...)
		}
		return nil, Install(ctx, h, packages...)
	}
	return t.notOffered(offered, m.want), nil
}

// installed lists every package of the driver in the wanted version, when the chosen
// ones are among them: files of theirs are gone, and only a reinstallation brings those
// back.
func (t *task) installed(status dpkg.Status, choice []string) []string {
	out := Installed(status, t.spec.Driver)
	if slices.ContainsFunc(choice, func(name string) bool { return !slices.Contains(out, name) }) {
		return nil
	}
	return out
}

// Installed lists every package of the driver in a version.
func Installed(status dpkg.Status, driver string) []string {
	var out []string
	for name := range status {
		if p, _ := status.Find(name); p.Installed() && Exact([]string{p.Version}, driver) != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// notOffered says what the archives have instead.
func (t *task) notOffered(offered map[string][]string, want module) *tasks.RefusedError {
	var have []string
	for _, choice := range choices(want.open) {
		for _, v := range offered[choice[0]] {
			have = append(have, choice[0]+" "+v)
		}
	}
	slices.Sort(have)
	instead := "no configured archive has any"
	if have = slices.Compact(have); len(have) > 0 {
		instead = "the configured archives have " + strings.Join(have, ", ")
	}
	return &tasks.RefusedError{
		What:    "installing NVIDIA's driver " + want.String() + " by apt",
		Instead: instead + "; add NVIDIA's archive to apt.extra_sources, choose one of these versions, or set install to runfile",
	}
}

// Exact is the package's version that is the driver's: "570.86.15-1" of 570.86.15.
func Exact(versions []string, driver string) string {
	for _, v := range versions {
		_, upstream, epoch := strings.Cut(v, ":")
		if !epoch {
			upstream = v
		}
		if upstream, _, _ = strings.Cut(upstream, "-"); upstream == driver {
			return v
		}
	}
	return ""
}

// offered asks for the versions of every package that may be needed.
func (t *task) offered(ctx context.Context, h tasks.Host, open bool) (map[string][]string, error) {
	names := extras()
	for _, choice := range choices(open) {
		names = append(names, choice...)
	}
	return Offered(ctx, h, names)
}

// Offered asks for the versions of packages that the archives have.
func Offered(ctx context.Context, h tasks.Host, names []string) (map[string][]string, error) {
	slices.Sort(names)
	c := tasks.Cmd{Argv: append([]string{"apt-cache", "madison"}, slices.Compact(names)...), ReadOnly: true}
	out, err := tasks.Succeed(ctx, h, c)
	if err != nil {
		return nil, err
	}
	return madison(string(out.Stdout))
}

// madison reads lines of "NAME | VERSION | ARCHIVE".
func madison(text string) (map[string][]string, error) {
	out := make(map[string][]string)
	for _, line := range tasks.Lines(text) {
		f := strings.Split(line, "|")
		if len(f) != 3 {
			return nil, fmt.Errorf("read apt-cache madison: %q is not three columns", strings.TrimSpace(line))
		}
		name, v := strings.TrimSpace(f[0]), strings.TrimSpace(f[1])
		if strings.Contains(f[2], " Packages") && !slices.Contains(out[name], v) {
			out[name] = append(out[name], v)
		}
	}
	return out, nil
}

// list reads a folder that may be missing.
func list(h tasks.Host, dir string) ([]string, error) {
	names, err := h.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}
