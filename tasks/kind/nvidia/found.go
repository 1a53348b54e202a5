package nvidia

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/bootimage"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/gpu"
	"phoenix/tasks/modprobe"
	"phoenix/tasks/systemd"
)

// module is a kernel module on the disk, or the loaded one; the zero value is none.
type module struct {
	version string
	open    bool
}

func (m module) String() string {
	if m.version == "" {
		return ""
	}
	return m.version + map[bool]string{true: " open", false: " closed"}[m.open]
}

// machine is what there is.
type machine struct {
	// cards are those that the driver is for: not the ones given to virtual machines.
	cards   []gpu.Card
	kernels []string // the running one first
	library string
	modules map[string]module // by kernel
	loaded  module
	// want is the module wanted; without a version where none is.
	want module

	status    dpkg.Status
	packages  []string // needed and not installed
	nouveau   modprobe.Config
	nouveauOn bool
	initramfs bool // is due
	pin       string
	blocked   *tasks.RefusedError

	nodesUnit, persistence unit
	missing                []string // device nodes
	minors                 []int    // of the cards' nodes
}

func (t *task) look(ctx context.Context, h tasks.Host) (*machine, error) {
	m := &machine{}
	cards, err := gpu.Cards(h)
	if err != nil {
		return m, err
	}
	m.cards = slices.DeleteFunc(cards, func(c gpu.Card) bool { return c.Driver == "vfio-pci" })
	if len(m.cards) == 0 {
		return m, nil
	}
	for _, part := range []func(context.Context, tasks.Host, *machine) error{t.lookDriver, t.lookAround, t.lookUnits} {
		if err := part(ctx, h, m); err != nil {
			return m, err
		}
	}
	return m, nil
}

// lookDriver finds what is installed for each kernel, and what is loaded.
func (t *task) lookDriver(ctx context.Context, h tasks.Host, m *machine) error {
	var err error
	if m.loaded.version, m.loaded.open, err = gpu.Loaded(h); err != nil {
		return err
	}
	if m.library, err = gpu.Library(h); err != nil || t.spec.Driver == "" {
		return err
	}
	if m.kernels, err = gpu.Kernels(h); err != nil {
		return err
	}
	m.modules = make(map[string]module)
	for _, k := range m.kernels {
		if m.modules[k], err = onDisk(ctx, h, k); err != nil {
			return err
		}
	}
	m.want, err = t.want(m.cards, m.modules[m.kernels[0]])
	return err
}

// onDisk asks modinfo, since no file tells the version of a module file. Its licence is
// what tells the open flavour from the closed one.
func onDisk(ctx context.Context, h tasks.Host, kernel string) (module, error) {
	file, err := gpu.ModuleFile(h, kernel)
	if err != nil || file == "" {
		return module{}, err
	}
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"modinfo", file}, ReadOnly: true})
	if err != nil {
		return module{}, err
	}
	var m module
	for _, line := range tasks.Lines(string(out.Stdout)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "version":
			m.version = strings.TrimSpace(value)
		case "license":
			m.open = strings.Contains(value, "GPL")
		}
	}
	if m.version == "" {
		return m, fmt.Errorf("read modinfo %s: no version in %q", file, out.Stdout)
	}
	return m, nil
}

// firstOpen is the version from which NVIDIA's own installers take the open module for
// every card that has one.
const firstOpen = "560"

// want chooses the kernel module for the cards. Cards that no one module serves, or that
// the chosen one does not, are an error: the driver would load and find nothing.
func (t *task) want(cards []gpu.Card, have module) (module, error) {
	var needOpen, needClosed *gpu.Card
	for i := range cards {
		if cards[i].OpenOnly() {
			needOpen = &cards[i]
		}
		if cards[i].ClosedOnly() {
			needClosed = &cards[i]
		}
	}
	w := module{version: t.spec.Driver}
	switch {
	case needOpen != nil && needClosed != nil:
		return w, fmt.Errorf("choose the kernel module: card %s has only the open one and %s only the closed one (give one of them to a virtual machine, or take it out)", needOpen, needClosed)
	case t.spec.Open == OpenClosed && needOpen != nil:
		return w, fmt.Errorf("choose the kernel module: card %s, Blackwell or later, has only the open one (set open to auto)", needOpen)
	case t.spec.Open == OpenOpen && needClosed != nil:
		return w, fmt.Errorf("choose the kernel module: card %s, older than Turing, has only the closed one (set open to auto)", needClosed)
	case t.spec.Open == OpenOpen || needOpen != nil:
		w.open = true
	case t.spec.Open == OpenClosed || needClosed != nil:
	case have.version == t.spec.Driver || !t.installs():
		w.open = have.open // either serves these cards
	default:
		w.open = dpkg.CompareVersions(t.spec.Driver, firstOpen) >= 0
	}
	return w, nil
}

// lookAround finds what the driver needs and what is in its way.
func (t *task) lookAround(_ context.Context, h tasks.Host, m *machine) error {
	present, err := modprobe.Present(h)
	if err != nil {
		return err
	}
	m.nouveauOn = present.Loaded("nouveau")
	if !t.installs() {
		return nil
	}
	if m.nouveau, err = modprobe.Read(h); err != nil {
		return err
	}
	if m.initramfs, err = bootimage.Due(h, bootimage.Initramfs); err != nil {
		return err
	}
	if m.status, err = dpkg.Read(h); err != nil {
		return err
	}
	m.packages = missingPackages(m.status, m.kernels)
	data, _, err := tasks.ReadIfExists(h, PinFile)
	if err != nil {
		return err
	}
	m.pin = string(data)
	if m.blocked, err = t.otherWay(h, m.status); m.blocked != nil || err != nil {
		return err
	}
	m.blocked, err = secureBoot(h)
	return err
}

// missingPackages are DKMS and the headers that it builds with, for each kernel; with a
// kernel's own metapackage goes that of the headers, or the next kernel comes without.
func missingPackages(status dpkg.Status, kernels []string) []string {
	want := []string{"dkms"}
	meta := regexp.MustCompile(`^(proxmox|pve)-(default-kernel|kernel-[0-9]+\.[0-9]+)$`)
	for name := range status {
		if p, _ := status.Find(name); meta.MatchString(name) && p.Installed() {
			want = append(want, strings.Replace(name, "kernel", "headers", 1))
		}
	}
	for _, k := range kernels {
		want = append(want, headers(status, k))
	}
	slices.Sort(want)
	return slices.DeleteFunc(slices.Compact(want), func(name string) bool {
		p, _ := status.Find(name)
		_, provided := status.Provider(name)
		return p.Installed() || provided
	})
}

// headers is the package with the headers of one kernel. Up to 8.0 Proxmox called its
// kernels pve-kernel.
func headers(status dpkg.Status, kernel string) string {
	old, _ := status.Find("pve-kernel-" + kernel)
	switch {
	case !strings.HasSuffix(kernel, "-pve"):
		return "linux-headers-" + kernel
	case old.Installed():
		return "pve-headers-" + kernel
	}
	return "proxmox-headers-" + kernel
}

// uninstaller is what NVIDIA's installer leaves behind, and no package has.
const uninstaller = "/usr/bin/nvidia-uninstall"

// otherWay refuses to put one way of installing on top of the other: each would
// overwrite files of the other, and neither could be taken off again.
func (t *task) otherWay(h tasks.Host, status dpkg.Status) (*tasks.RefusedError, error) {
	what := "installing NVIDIA's driver " + t.spec.Driver + " by " + t.spec.Install
	if t.spec.Install == InstallAPT {
		_, err := h.Stat(uninstaller)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return &tasks.RefusedError{What: what, Instead: "a driver of NVIDIA's installer is there; `nvidia-uninstall --silent` takes it off"}, err
	}
	var found []string
	for _, name := range []string{"nvidia-driver", "nvidia-open", "cuda-drivers", "nvidia-kernel-dkms", "nvidia-kernel-open-dkms", "nvidia-open-kernel-dkms"} {
		if p, _ := status.Find(name); p.Installed() {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &tasks.RefusedError{What: what, Instead: "a driver of packages is there; `apt-get purge " + strings.Join(found, " ") + "` and `apt-get autoremove` take it off"}, nil
}

const (
	efiVars = "/sys/firmware/efi/efivars"
	// secureVar is 1 in its fifth byte, behind the attributes, when Secure Boot is on.
	secureVar = efiVars + "/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	// ownerKeys are the keys that the machine's owner has enrolled, as shim hands them
	// on to the kernel.
	ownerKeys = efiVars + "/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"
	// dkmsKey is the certificate, in DER, that DKMS signs modules with.
	dkmsKey = "/var/lib/dkms/mok.pub"
)

// secureBoot refuses to build modules that the kernel would not load: with Secure Boot
// on, only those that are signed with an enrolled key.
func secureBoot(h tasks.Host) (*tasks.RefusedError, error) {
	on, _, err := tasks.ReadIfExists(h, secureVar)
	if err != nil || len(on) < 5 || on[4] != 1 {
		return nil, err
	}
	key, _, err := tasks.ReadIfExists(h, dkmsKey)
	if err != nil {
		return nil, err
	}
	enrolled, _, err := tasks.ReadIfExists(h, ownerKeys)
	if err != nil || len(key) > 0 && bytes.Contains(enrolled, key) {
		return nil, err
	}
	return &tasks.RefusedError{
		What:    "building NVIDIA's kernel module with Secure Boot on",
		Instead: "the kernel would not load it, since DKMS's key is not enrolled; `mokutil --import " + dkmsKey + "` (`dkms generate_mok` makes that file), confirm it at the console during a reboot, and run again; or switch Secure Boot off",
	}, nil
}

func (t *task) lookUnits(ctx context.Context, h tasks.Host, m *machine) error {
	var err error
	if t.nodes() {
		if m.nodesUnit, err = lookUnit(ctx, h, nodesUnit); err != nil {
			return err
		}
		if err = m.findMinors(h); err != nil {
			return err
		}
		if m.missing, err = missingNodes(h, m); err != nil {
			return err
		}
	}
	if t.spec.Persistence != nil {
		m.persistence, err = lookUnit(ctx, h, persistenceUnit)
	}
	return err
}

// unit is a unit with phoenix's own file of it, where there is one.
type unit struct {
	systemd.Unit
	text string
}

func lookUnit(ctx context.Context, h tasks.Host, name string) (unit, error) {
	data, _, err := tasks.ReadIfExists(h, unitFile(name))
	if err != nil {
		return unit{}, err
	}
	u, err := systemd.Show(ctx, h, name)
	return unit{u, string(data)}, err
}
