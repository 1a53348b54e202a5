package nvidia

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptget"
	"phoenix/tasks/bootimage"
	"phoenix/tasks/modprobe"
)

const dkmsTree = "/var/lib/dkms"

// Apply gets what the driver needs, then the driver, then its units. What is refused is
// left, and told after everything else.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := t.prepare(ctx, h, d); err != nil {
		return err
	}
	refused, err := t.drive(ctx, h)
	if err != nil {
		return err
	}
	if err := t.applyUnits(ctx, h, d); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return nil
}

// prepare installs DKMS and headers, and takes the cards from nouveau.
func (t *task) prepare(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	var packages []string
	for _, c := range d {
		if name, is := strings.CutPrefix(c.Path, "packages."); is {
			packages = append(packages, name)
		}
	}
	if len(packages) > 0 {
		if err := FetchLists(ctx, h); err != nil {
			return err
		}
		if err := Install(ctx, h, packages...); err != nil {
			return err
		}
	}
	if !d.Has("nouveau") && !d.Has(string(bootimage.Initramfs)) {
		return nil
	}
	off := modprobe.Wanted{Blacklist: []string{"nouveau"}, Options: map[string][]string{"nouveau": {"modeset=0"}}}
	return bootimage.Make(ctx, h, bootimage.Initramfs, tasks.Edit{Verb: tasks.VerbPut, Path: modprobe.Own, Update: off.Add})
}

// drive installs the driver, builds it for every kernel that matters, and loads it
// where nothing else has the cards.
func (t *task) drive(ctx context.Context, h tasks.Host) (*tasks.RefusedError, error) {
	m, err := t.look(ctx, h)
	if err != nil || t.spec.Driver == "" {
		return nil, err
	}
	if t.differs(m) {
		if r := t.refusal(m); r != nil {
			return r, nil
		}
	}
	if t.spec.Install == InstallAPT && m.pin != t.pin() {
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: PinFile, Data: []byte(t.pin())}); err != nil {
			return nil, err
		}
	}
	if t.differs(m) {
		if r, err := t.build(ctx, h, m); r != nil || err != nil {
			return r, err
		}
	}
	return nil, t.load(ctx, h)
}

// build installs the driver where DKMS does not have its sources, and has DKMS build
// what is missing.
func (t *task) build(ctx context.Context, h tasks.Host, m *machine) (*tasks.RefusedError, error) {
	name, err := t.sources(h)
	if err != nil {
		return nil, err
	}
	// Sources of the other flavour have the same version, and only its module tells.
	other := slices.ContainsFunc(m.kernels, func(k string) bool {
		return m.modules[k].version == m.want.version && m.modules[k] != m.want
	})
	if name == "" || other || m.library != t.spec.Driver {
		way := t.aptInstall
		if t.spec.Install == InstallRunfile {
			way = t.runfileInstall
		}
		if r, err := way(ctx, h, m); r != nil || err != nil {
			return r, err
		}
		if name, err = t.sources(h); err != nil {
			return nil, err
		}
	}
	for _, k := range m.kernels {
		have, err := onDisk(ctx, h, k)
		if err != nil {
			return nil, err
		}
		if have == m.want {
			continue
		}
		if name == "" {
			return nil, fmt.Errorf("build NVIDIA's driver for %s: DKMS has no sources of version %s in %s", k, t.spec.Driver, dkmsTree)
		}
		c := tasks.Cmd{Argv: []string{"dkms", "install", "-m", name, "-v", t.spec.Driver, "-k", k, "--force"}}
		if _, err := tasks.Succeed(ctx, h, c); err != nil {
			return nil, fmt.Errorf("build NVIDIA's driver for %s: %w", k, err)
		}
	}
	return nil, nil
}

// sources is DKMS's name for the driver's sources of the wanted version: nvidia, or
// nvidia-current of Debian's packages; empty without any.
func (t *task) sources(h tasks.Host) (string, error) {
	names, err := list(h, dkmsTree)
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if !strings.HasPrefix(n, "nvidia") {
			continue
		}
		versions, err := list(h, path.Join(dkmsTree, n))
		if err != nil {
			return "", err
		}
		if slices.Contains(versions, t.spec.Driver) {
			return n, nil
		}
	}
	return "", nil
}

// load loads the driver that was just installed. One that is loaded is used by guests
// and stays until the reboot; so does nouveau.
func (t *task) load(ctx context.Context, h tasks.Host) error {
	m, err := t.look(ctx, h)
	if err != nil || m.loaded.version != "" || m.nouveauOn || len(m.kernels) == 0 || m.modules[m.kernels[0]] != m.want {
		return err
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"modprobe", "nvidia"}})
	return err
}

// Install installs packages unless something would go that makes the host.
func Install(ctx context.Context, h tasks.Host, packages ...string) error {
	args := append([]string{"install", "--no-install-recommends", "--allow-downgrades"}, packages...)
	plan, err := aptget.Simulate(ctx, h, args...)
	if err != nil {
		return err
	}
	if lost := plan.Lost(); len(lost) > 0 {
		return fmt.Errorf("install %s: it would remove %s", strings.Join(packages, ", "), strings.Join(lost, ", "))
	}
	return aptget.New(0).Run(ctx, h, args...)
}

// FetchLists gets the package lists where they are old, and finishes what was interrupted.
func FetchLists(ctx context.Context, h tasks.Host) error {
	tool := aptget.New(0)
	if err := tool.Repair(ctx, h, false); err != nil {
		return err
	}
	stale, err := tool.Stale(h, 0)
	if err != nil || !stale {
		return err
	}
	if err := tool.Update(ctx, h); errors.Is(err, fs.ErrNotExist) {
		return err
	} else if err != nil {
		// One archive of several; what it has may not be needed.
		tasks.Logf(ctx, "%v; going on with the lists there are", err)
	}
	return nil
}
