package nvidiaguest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/distro"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/gpu"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/nvidia"
)

const (
	smi = "/usr/bin/nvidia-smi"
	// uninstaller is what NVIDIA's installer leaves behind, and no package has.
	uninstaller = "/usr/bin/nvidia-uninstall"
)

// state is what there is, on the host and in the container.
type state struct {
	machine tasks.Host
	ctid    int
	runfile *nvidia.Runfile
	distro  distro.Distro
	// loaded is the version wanted; installed is that of the host's own libraries.
	loaded, installed string
	install           string
	// cards are the bus addresses of those whose nodes the container has.
	cards []string
	// blocked refuses a second way of installing; lack is why a run would fail.
	blocked *tasks.RefusedError
	lack    error
}

func (t *task) look(ctx context.Context, h tasks.Host) (*state, error) {
	scope := tasks.ScopeOf(ctx)
	s := &state{machine: scope.Machine, ctid: scope.CTID, runfile: t.spec.Runfile, install: t.spec.Install}
	if s.machine == nil {
		s.machine = h
	}
	var err error
	if s.distro, err = distro.Read(h); err != nil {
		return s, err
	}
	if !s.distro.Debian() {
		return s, fmt.Errorf("give %s NVIDIA's user space: NVIDIA makes it for glibc, and phoenix has it for Debian and Ubuntu alone (take another template; Alpine has musl)", s.distro.Name)
	}
	if s.loaded, _, err = gpu.Loaded(s.machine); err != nil {
		return s, err
	}
	if s.loaded == "" {
		return s, s.notYet(ctx, "read the version of the host's driver: none is loaded (see section nvidia of the hypervisor, and `modprobe nvidia`)")
	}
	if s.installed, err = gpu.Library(s.machine); err != nil {
		return s, err
	}
	if err := s.findCards(ctx, h); err != nil {
		return s, err
	}
	return s, s.chooseWay(h)
}

// notYet is an error, unless steps before this one change what it is about.
func (s *state) notYet(ctx context.Context, why string) error {
	for _, id := range tasks.ScopeOf(ctx).Earlier {
		if strings.HasPrefix(id, "nvidia:") || strings.HasPrefix(id, "reboot:") || id == lxc.StepID(s.ctid) {
			return &tasks.UnknownError{Why: "it shows once " + id + " has run: " + why}
		}
	}
	return errors.New(why)
}

// findCards reads the device nodes that the container was given.
func (s *state) findCards(ctx context.Context, h tasks.Host) error {
	names, err := h.ReadDir("/dev")
	if err != nil {
		return err
	}
	has := func(node string) bool { return slices.Contains(names, path.Base(node)) }
	bound, err := gpu.BoundCards(s.machine)
	if err != nil {
		return err
	}
	for _, b := range bound {
		if has(b.Node()) {
			s.cards = append(s.cards, b.Address)
		}
	}
	if len(s.cards) == 0 {
		return s.notYet(ctx, fmt.Sprintf("find the cards of container %d: it has no device node of any card of the host's (give it cards with gpu_assignment; new ones need a restart of the container)", s.ctid))
	}
	for _, node := range []string{"/dev/nvidiactl", "/dev/nvidia-uvm"} {
		if !has(node) {
			return s.notYet(ctx, fmt.Sprintf("find the cards of container %d: %s is not in it (gpu_assignment gives it together with the cards)", s.ctid, node))
		}
	}
	return nil
}

// chooseWay decides how to install, and whether that can be done.
func (s *state) chooseWay(h tasks.Host) error {
	if s.install == "" {
		byRunfile, err := exists(s.machine, uninstaller)
		if err != nil {
			return err
		}
		s.install = nvidia.InstallAPT
		if byRunfile {
			s.install = nvidia.InstallRunfile
		}
	}
	if err := s.otherWay(h); err != nil || s.install != nvidia.InstallRunfile {
		return err
	}
	cached, err := exists(s.machine, nvidia.CacheFile(s.loaded))
	if err != nil {
		return err
	}
	other := s.runfile != nil && s.runfile.URL != "" && !strings.Contains(path.Base(s.runfile.URL), "-"+s.loaded+".")
	switch {
	case other && cached: // the host has been given another driver since
		s.runfile = nil
	case s.later() != "" && !cached && (s.runfile == nil || other):
		// Whatever was written, the host has fetched the installer of its next driver.
		s.lack = fmt.Errorf("install NVIDIA's user space %s: the host waits for its reboot (`phoenix run --allow-reboot`), after which the container needs %s; the installer of %[1]s, which is still loaded, is not in %[3]s", s.loaded, s.installed, path.Dir(nvidia.CacheFile(s.loaded)))
	case s.runfile == nil && !cached:
		s.lack = fmt.Errorf(`read NVIDIA's installer %s: %s is not on the host (its own section nvidia with install runfile fetches it; or give the container's: "nvidia": {"install": "runfile", "runfile": {"url": …, "sha256": …}})`, s.loaded, nvidia.CacheFile(s.loaded))
	case other:
		s.lack = fmt.Errorf("install NVIDIA's user space %s: runfile.url is that of another version, %s (the host has %[1]s loaded)", s.loaded, path.Base(s.runfile.URL))
	}
	return nil
}

// otherWay refuses to put one way of installing on top of the other: each would
// overwrite files of the other, and neither could be taken off again.
func (s *state) otherWay(h tasks.Host) error {
	what := "installing NVIDIA's user space by " + s.install
	if s.install == nvidia.InstallAPT {
		there, err := exists(h, uninstaller)
		if there {
			s.blocked = &tasks.RefusedError{What: what, Instead: "that of NVIDIA's installer is there; `nvidia-uninstall --silent` in the container takes it off"}
		}
		return err
	}
	status, err := dpkg.Read(h)
	if err != nil {
		return err
	}
	var found []string
	for name := range status {
		p, _ := status.Find(name)
		if p.Installed() && (name == "libcuda1" || name == "libnvidia-ml1" || strings.HasPrefix(name, "libnvidia-compute-")) {
			found = append(found, name)
		}
	}
	if len(found) > 0 {
		slices.Sort(found)
		s.blocked = &tasks.RefusedError{What: what, Instead: "that of packages is there; `apt-get purge " + strings.Join(found, " ") + "` and `apt-get autoremove` in the container take it off"}
	}
	return nil
}

// linked is a library: where its link goes, and whether the wanted file lies beside it.
type linked struct {
	name, link string
	there      bool
}

type libraries []linked

// libraries looks at those that everything else needs: NVML's, which nvidia-smi loads, and
// CUDA's.
func (s *state) libraries(h tasks.Host) (libraries, error) {
	var out libraries
	for _, name := range []string{"libnvidia-ml", "libcuda"} {
		link, err := gpu.LibraryOf(h, name)
		if err != nil {
			return nil, err
		}
		there, err := exists(h, path.Join(gpu.Libraries, name+".so."+s.loaded))
		if err != nil {
			return nil, err
		}
		out = append(out, linked{name, link, there || link == s.loaded})
	}
	return out, nil
}

// version is the user space that is there: one version, or what differs.
func (l libraries) version(want string) string {
	var versions []string
	none := true
	for _, x := range l {
		v := x.link
		switch {
		case x.there:
			v = want
		case v == "":
			v = "no " + x.name
		}
		none = none && !x.there && x.link == ""
		versions = append(versions, v)
	}
	if none {
		return ""
	}
	return strings.Join(slices.Compact(versions), ", ")
}

// links are those that go to another version than the one which lies beside them.
func (l libraries) links(want string) []linked {
	var out []linked
	for _, x := range l {
		if x.there && x.link != want {
			out = append(out, x)
		}
	}
	return out
}

func exists(h tasks.Host, p string) (bool, error) {
	_, err := h.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// prove has nvidia-smi list the cards, by their addresses: their UUIDs are not known
// before something has used them.
func (s *state) prove(ctx context.Context, h tasks.Host) error {
	c := tasks.Cmd{Argv: []string{"nvidia-smi", "--query-gpu=pci.bus_id", "--format=csv,noheader"}, ReadOnly: true}
	out, err := tasks.Succeed(ctx, h, c)
	if err != nil {
		return fmt.Errorf("prove that the cards can be used: %w", err)
	}
	listed := addresses(string(out.Stdout))
	for _, card := range s.cards {
		if !slices.Contains(listed, card) {
			return fmt.Errorf("prove that the cards can be used: the container has the node of %s, and its nvidia-smi lists %s (see `dmesg` on the host)", card, strings.Join(append(listed, "no other"), ", "))
		}
	}
	if later := s.later(); later != "" {
		tasks.Warnf(ctx, "%s", later)
	}
	return nil
}

// addresses reads one address a line, "00000000:01:00.0", as the kernel writes them:
// its domains have four digits.
func addresses(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		domain, rest, ok := strings.Cut(strings.ToLower(strings.TrimSpace(line)), ":")
		if !ok {
			continue
		}
		if len(domain) == 8 && strings.HasPrefix(domain, "0000") {
			domain = domain[4:]
		}
		out = append(out, domain+":"+rest)
	}
	return out
}
