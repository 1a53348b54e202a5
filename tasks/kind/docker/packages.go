package docker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptkey"
	"phoenix/tasks/distro"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/parts"
)

// archive is where packages come from beside the distribution's own.
type archive struct {
	name, uri, suite, component string
	key                         aptkey.Key
}

// dockerArchive is Docker's own: https://docs.docker.com/engine/install/debian/.
func dockerArchive(what distro.Distro) archive {
	uri := "https://download.docker.com/linux/" + what.ID
	return archive{"docker", uri, "release", "stable", aptkey.Key{
		Path: "/etc/apt/keyrings/docker.asc", URL: uri + "/gpg", Fingerprint: "9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
	}}
}

// task is the key, then the source.
func (a archive) task() tasks.Task {
	source := repository.Source{URIs: []string{a.uri}, Suites: []string{a.suite}, SignedBy: a.key.Path}
	if a.component != "" {
		source.Components = []string{a.component}
	}
	return parts.New(parts.Part{Task: a.key}, parts.Part{Task: (&repository.Spec{ExtraSources: map[string]repository.Source{a.name: source}}).Task()})
}

// packages are those of Docker, with the archive that they come from.
type packages struct{ spec *Spec }

// plan is what is to be installed, and from where.
type plan struct {
	manager distro.Packages
	names   []string
	// from are archives beside the distribution's; tools fetch their keys.
	from  []parts.Part
	tools []string
}

func (p *packages) plan(h tasks.Host) (plan, error) {
	what, err := distro.Read(h)
	if err != nil {
		return plan{}, err
	}
	out := plan{}
	if out.manager, err = what.Packages(); err != nil {
		return plan{}, err
	}
	source, err := p.source(h, what, out.manager)
	if err != nil {
		return plan{}, err
	}
	out.names = names(what, source, p.spec.compose())
	if source == SourceCE {
		out.from = append(out.from, parts.Part{Name: "source", Task: dockerArchive(what).task()})
	}
	if p.spec.NVIDIA != nil {
		if !what.Debian() {
			return plan{}, fmt.Errorf("give containers GPUs: NVIDIA has no packages of its toolkit for %s", what.Name)
		}
		out.from = append(out.from, parts.Part{Name: "nvidia.source", Task: toolkitArchive().task()})
		out.names = append(out.names, "nvidia-container-toolkit")
	}
	if len(out.from) > 0 {
		out.tools = []string{"ca-certificates", "curl"}
	}
	// Without it the daemon cannot load its profile where the kernel has AppArmor, and
	// Docker's packages only recommend it.
	on, _, err := tasks.ReadIfExists(h, "/sys/module/apparmor/parameters/enabled")
	if err != nil {
		return plan{}, err
	}
	if what.Debian() && strings.TrimSpace(string(on)) == "Y" {
		out.names = append(out.names, "apparmor")
	}
	driver, err := p.spec.driver(h)
	if err == nil && driver == fuse {
		out.names = append(out.names, fuse)
	}
	return out, nil // why no driver can be chosen, package daemon says
}

// source is the one that is wanted, or the one that is there.
func (p *packages) source(h tasks.Host, what distro.Distro, manager distro.Packages) (string, error) {
	ce, haveCE, err := manager.Version(h, "docker-ce")
	if err != nil {
		return "", err
	}
	io, haveIO, err := manager.Version(h, "docker.io")
	if err != nil {
		return "", err
	}
	want := p.spec.Source
	switch {
	case want == SourceCE && !what.Debian():
		return "", fmt.Errorf("install docker-ce: Docker has no packages for %s (leave source out, or set it to %s)", what.Name, SourceDistribution)
	case haveCE && haveIO:
		return "", fmt.Errorf("check docker: docker-ce %s and docker.io %s are both installed (remove one: apt-get remove docker.io; images and containers stay)", ce, io)
	case haveCE && want == SourceDistribution:
		return "", fmt.Errorf("install docker.io: docker-ce %s is installed (apt-get remove docker-ce docker-ce-cli containerd.io, or leave source out; images and containers stay)", ce)
	case haveIO && want == SourceCE:
		return "", fmt.Errorf("install docker-ce: docker.io %s is installed (apt-get remove docker.io containerd runc, or leave source out; images and containers stay)", io)
	case want != "":
		return want, nil
	case haveCE:
		return SourceCE, nil
	}
	return SourceDistribution, nil
}

// names are the packages. Debian has the client in a package of its own from 13 on, and
// compose of the second generation, too; Debian 12 has the first.
func names(what distro.Distro, source string, compose bool) []string {
	list, plugin := []string{"docker.io", "ca-certificates"}, "docker-compose"
	major, err := strconv.Atoi(strings.Split(what.VersionID, ".")[0])
	switch {
	case what.Alpine():
		list, plugin = []string{"docker"}, "docker-cli-compose"
	case source == SourceCE:
		list, plugin = []string{"docker-ce", "docker-ce-cli", "containerd.io", "ca-certificates"}, "docker-compose-plugin"
	case what.ID == "ubuntu":
		plugin = "docker-compose-v2"
	case err != nil || major >= 13: // testing has no number
		list = append(list, "docker-cli")
	}
	if compose {
		list = append(list, plugin)
	}
	return list
}

// compose tells whether docker compose is wanted.
func (s *Spec) compose() bool {
	if s.ComposePlugin != nil {
		return *s.ComposePlugin
	}
	return len(s.Compose) > 0
}

// missing are the packages of a list that are not installed.
func (p plan) missing(h tasks.Host, list []string) ([]string, error) {
	var out []string
	for _, name := range list {
		if _, there, err := p.manager.Version(h, name); err != nil {
			return nil, err
		} else if !there && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// Check lists the archives that are not set up, and what is not installed.
func (p *packages) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	plan, err := p.plan(h)
	if err != nil {
		return nil, err
	}
	lacking, err := plan.missing(h, append(plan.names, plan.tools...))
	if err != nil {
		return nil, err
	}
	d, err := parts.New(plan.from...).Check(ctx, h)
	if err != nil {
		return nil, err
	}
	for _, name := range lacking {
		d.Add("packages."+name, "", "installed", tasks.EffectLive)
	}
	return d, nil
}

// Apply sets the archives up and installs.
func (p *packages) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	plan, err := p.plan(h)
	if err != nil {
		return err
	}
	if err := plan.install(ctx, h, plan.tools); err != nil {
		return err
	}
	if err := parts.New(plan.from...).Apply(ctx, h, d); err != nil {
		return err
	}
	return plan.install(ctx, h, plan.names)
}

func (p plan) install(ctx context.Context, h tasks.Host, list []string) error {
	lacking, err := p.missing(h, list)
	if err != nil || len(lacking) == 0 {
		return err
	}
	return p.manager.Install(ctx, h, lacking...)
}
