// Package nvidiaguest gives a container the programs and libraries of NVIDIA's driver, in
// exactly the version that the host has loaded: no other works with the host's kernel
// module.
//
// It ends in nvidia-smi, asked with each check, which must list the cards whose device
// nodes the container has. It never installs or builds a kernel module, never mixes two
// ways of installing, and gives no device: gpu_assignment of the container does. What the
// host has is read on the host. NVIDIA makes nothing for musl, so that Alpine is refused.
// Start reading at Spec; found.go looks, task.go compares, runfile.go and apt.go install.
package nvidiaguest

import (
	"context"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptkey"
	"phoenix/tasks/distro"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/parts"
)

// Name of the family in steps.
const Name = "nvidia_guest"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check looks at the host and the container. nvidia-smi is started only where the rest is
// as wanted.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	all, err := t.parts(ctx, h)
	if err != nil {
		return nil, err
	}
	return all.Check(ctx, h)
}

// Apply makes what differs.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	all, err := t.parts(ctx, h)
	if err != nil {
		return err
	}
	return all.Apply(ctx, h, d)
}

// parts are what the way of installing needs first, and the user space. Which way it is
// shows on the host only.
func (t *task) parts(ctx context.Context, h tasks.Host) (tasks.Task, error) {
	s, err := t.look(ctx, h)
	if err != nil {
		return nil, err
	}
	packages := func(names ...string) parts.Part {
		return parts.Part{Task: (&apt.Spec{Packages: names}).Task()}
	}
	user := parts.Part{Task: s}
	switch {
	case s.blocked != nil || s.lack != nil:
		return parts.New(user), nil
	case s.install == nvidia.InstallRunfile:
		// The installer ends without modprobe and depmod, even where it installs no
		// module (nvidia-installer, misc.c, find_system_utils).
		return parts.New(packages("kmod"), user), nil
	case t.spec.Archive == ArchiveConfigured:
		return parts.New(user), nil
	}
	key, source, err := archive(s.distro)
	if err != nil {
		return nil, err
	}
	return parts.New(packages("ca-certificates", "curl"), parts.Part{Name: "archive", Task: key}, parts.Part{Name: "archive", Task: source}, user), nil
}

// archive is NVIDIA's for a distribution. Its key for others than these is another.
func archive(d distro.Distro) (aptkey.Key, tasks.Task, error) {
	name := d.ID + strings.ReplaceAll(d.VersionID, ".", "")
	switch name {
	case "debian12", "ubuntu2204", "ubuntu2404":
	default:
		return aptkey.Key{}, nil, fmt.Errorf("add NVIDIA's archive: nothing is known of one for %s (add it with packages of your own and set archive to configured, or install to runfile)", d.Name)
	}
	url := "https://developer.download.nvidia.com/compute/cuda/repos/" + name + "/x86_64/"
	key := aptkey.Key{Path: "/etc/apt/keyrings/nvidia-cuda.asc", URL: url + "3bf863cc.pub", Fingerprint: "EB693B3035CD5710E231E123A4B469963BF863CC"}
	source := repository.Spec{ExtraSources: map[string]repository.Source{"nvidia-cuda": {URIs: []string{url}, Suites: []string{"/"}, SignedBy: key.Path}}}
	return key, source.Task(), nil
}

// Check compares the user space, and asks nvidia-smi where there is nothing to install.
func (s *state) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	libs, err := s.libraries(h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	if s.install == nvidia.InstallAPT {
		have, _, err := tasks.ReadIfExists(h, nvidia.PinFile)
		if err != nil {
			return nil, err
		}
		if string(have) != nvidia.Pin(s.loaded) {
			d.Add("pin", pinned(string(have)), "version "+s.loaded, tasks.EffectLive)
		}
	}
	d.Add("user_space", libs.version(s.loaded), s.loaded, tasks.EffectLive)
	for _, l := range libs.links(s.loaded) {
		d.Add("links."+l.name+".so.1", l.link, s.loaded, tasks.EffectLive)
	}
	if !d.Has("user_space") {
		there, err := exists(h, smi)
		if err != nil {
			return nil, err
		}
		if !there {
			d.Add("nvidia_smi", "", "installed", tasks.EffectLive)
		}
	}
	for i := range d {
		d[i].Note = s.note()
	}
	if len(d) == 0 {
		return nil, s.prove(ctx, h)
	}
	return d, nil
}

// pinned is the version that another content of the file holds.
func pinned(text string) string {
	for _, line := range strings.Split(text, "\n") {
		if v, is := strings.CutPrefix(line, "Pin: "); is {
			return strings.TrimSuffix(strings.TrimSpace(v), "-*")
		}
	}
	if text == "" {
		return ""
	}
	return "another text"
}

// note says why a run would not do it, and what the next reboot of the host brings.
func (s *state) note() string {
	var lines []string
	switch {
	case s.blocked != nil:
		lines = append(lines, s.blocked.Note())
	case s.lack != nil:
		lines = append(lines, tasks.NoteCannot+s.lack.Error())
	}
	if later := s.later(); later != "" && s.lack == nil {
		lines = append(lines, later)
	}
	return strings.Join(lines, "\n")
}

// later is what a reboot of the host changes; empty where it changes nothing.
func (s *state) later() string {
	if s.installed == "" || s.installed == s.loaded {
		return ""
	}
	return fmt.Sprintf("the host has %s loaded and %s installed: after its reboot the container needs %[2]s", s.loaded, s.installed)
}

// Apply installs, or only makes the links anew.
func (s *state) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	switch {
	case s.blocked != nil:
		return s.blocked
	case s.lack != nil:
		return s.lack
	}
	if d.Has("pin") {
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: nvidia.PinFile, Data: []byte(nvidia.Pin(s.loaded))}); err != nil {
			return err
		}
	}
	if d.Has("user_space") || d.Has("nvidia_smi") {
		way := s.runRunfile
		if s.install == nvidia.InstallAPT {
			way = s.aptInstall
		}
		if err := way(ctx, h); err != nil {
			return err
		}
	}
	libs, err := s.libraries(h)
	if err != nil || len(libs.links(s.loaded)) == 0 {
		return err
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"ldconfig"}})
	return err
}
