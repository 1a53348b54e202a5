package nvidia

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"phoenix/tasks"
)

const (
	cacheDir     = "/var/cache/phoenix"
	installerLog = "/var/log/nvidia-installer.log"
)

// runfileInstall runs NVIDIA's installer, after its checksum was verified: every time,
// since it runs as root.
func (t *task) runfileInstall(ctx context.Context, h tasks.Host, m *machine) (*tasks.RefusedError, error) {
	file, err := t.spec.Runfile.Fetch(ctx, h, t.spec.Driver)
	if err != nil {
		return nil, err
	}
	// What an installer understands differs by its age, and it refuses what it does not
	// know. Its own list is printed by its first lines, without unpacking it.
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"sh", file, "--advanced-options"}, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	known := string(out.Stdout)
	argv := []string{"sh", file, "--silent", "--no-questions", "--no-x-check", "--dkms"}
	if m.nouveauOn {
		if !strings.Contains(known, "skip-module-load") {
			return &tasks.RefusedError{
				What:    "running NVIDIA's installer " + t.spec.Driver + " while nouveau has the cards",
				Instead: "nouveau is off from the next boot on; reboot, and run again",
			}, nil
		}
		argv = append(argv, "--no-nouveau-check", "--skip-module-load")
	}
	if m.loaded.version != "" && strings.Contains(known, "allow-installation-with-running-driver") {
		argv = append(argv, "--allow-installation-with-running-driver")
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: append(argv, flavour(known, m.want.open))})
	if err != nil {
		t.logInstaller(ctx, h)
	}
	return nil, err
}

// flavour is the option that chooses the kernel module. Until 560 an installer took the
// folder of its sources instead.
func flavour(known string, open bool) string {
	if strings.Contains(known, "kernel-module-type") {
		return "--kernel-module-type=" + map[bool]string{true: "open", false: "proprietary"}[open]
	}
	return "--kernel-module-build-directory=" + map[bool]string{true: "kernel-open", false: "kernel"}[open]
}

// logInstaller says how the installer's own log ends.
func (t *task) logInstaller(ctx context.Context, h tasks.Host) {
	data, err := h.ReadFile(installerLog)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for _, line := range lines[max(0, len(lines)-10):] {
		tasks.Logf(ctx, "%s: %s", installerLog, line)
	}
}

// CacheFile is where the installer of a driver is kept once it was fetched. What has that
// name was whole, and had the checksum of the configuration.
func CacheFile(driver string) string {
	return path.Join(cacheDir, "NVIDIA-Linux-x86_64-"+driver+".run")
}

// Fetch is the path of the installer on the machine, with the right checksum. A
// download is kept, and gets its name only when it is whole.
func (r *Runfile) Fetch(ctx context.Context, h tasks.Host, driver string) (string, error) {
	if r.Path != "" {
		return r.Path, r.verify(ctx, h, r.Path)
	}
	file := CacheFile(driver)
	if _, err := h.Stat(file); err == nil {
		if err := r.verify(ctx, h, file); err == nil {
			return file, nil
		}
		tasks.Logf(ctx, "%s is another file than the configuration names; fetching it again", file)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: cacheDir}); err != nil {
		return "", err
	}
	part := file + ".part"
	err := download(ctx, h, r.URL, part)
	if err == nil {
		err = r.verify(ctx, h, part)
	}
	if err != nil {
		return "", errors.Join(err, h.Write(context.WithoutCancel(ctx), tasks.Edit{Verb: tasks.VerbRemove, Path: part}))
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"mv", "-T", part, file}})
	if err == nil {
		err = r.verify(ctx, h, file)
	}
	return file, err
}

// download fetches with curl, or with wget where there is none: a Proxmox host need not
// have both.
func download(ctx context.Context, h tasks.Host, url, to string) error {
	_, curl := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"curl", "--fail", "--location", "--silent", "--show-error", "--retry", "3", "--output", to, "--", url}})
	if !errors.Is(curl, fs.ErrNotExist) {
		return curl
	}
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"wget", "--no-verbose", "--tries=3", "--output-document=" + to, "--", url}})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; %w", curl, err)
	}
	return err
}

// verify compares the checksum. The file has some hundred megabytes, so that a program
// reads it.
func (r *Runfile) verify(ctx context.Context, h tasks.Host, file string) error {
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"sha256sum", "--", file}, ReadOnly: true})
	if err != nil {
		return err
	}
	sum, _, _ := strings.Cut(string(out.Stdout), " ")
	if !strings.EqualFold(strings.TrimPrefix(sum, `\`), r.SHA256) {
		return fmt.Errorf("verify %s: its SHA-256 is %s, not %s", file, sum, r.SHA256)
	}
	return nil
}
