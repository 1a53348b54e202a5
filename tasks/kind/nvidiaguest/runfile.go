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
	"phoenix/tasks/guest"
	"phoenix/tasks/kind/nvidia"
)

const (
	// workDir is where the installer is in the container, and unpacks itself.
	workDir      = "/var/lib/phoenix/nvidia"
	installerLog = "/var/log/nvidia-installer.log"
)

// runRunfile runs NVIDIA's installer in the container, from a copy that is gone afterwards.
func (s *state) runRunfile(ctx context.Context, h tasks.Host) error {
	file := nvidia.CacheFile(s.loaded)
	if s.runfile != nil {
		var err error
		if file, err = s.runfile.Fetch(ctx, s.machine, s.loaded); err != nil {
			return err
		}
	}
	private := tasks.Edit{Verb: tasks.VerbMkdir, Path: workDir, Mode: new(fs.FileMode(0o700))}
	if err := h.Write(ctx, private); err != nil {
		return err
	}
	to := path.Join(workDir, "installer.run")
	err := s.pour(ctx, h, file, to)
	if err == nil {
		err = s.runInstaller(ctx, h, to)
	}
	// An installer that was ended leaves what it has unpacked.
	_, left := tasks.Succeed(context.WithoutCancel(ctx), h, tasks.Cmd{Argv: []string{"rm", "-rf", "--", workDir}})
	return errors.Join(err, left)
}

// pour copies a file of the host into the container: 300 MB and more, which never are in
// this program's memory. What writes it runs in the container, so that the path leads
// nowhere else. It gets a pipe and not the file itself, which root of a privileged
// container could open for writing through /proc/self/fd.
func (s *state) pour(ctx context.Context, h tasks.Host, file, to string) error {
	argv := append([]string{"sh", "-c", `cat -- "$0" | "$@"`, file}, guest.Attach(s.ctid)...)
	argv = append(argv, "dd", "of="+to, "bs=1M", "status=none")
	if s.ctid == 0 { // on a machine itself
		argv = []string{"cp", "--", file, to}
	}
	if _, err := tasks.Succeed(ctx, s.machine, tasks.Cmd{Argv: argv}); err != nil {
		return fmt.Errorf("copy %s into the container: %w", file, err)
	}
	from, err := s.machine.Stat(file)
	if err != nil {
		return err
	}
	got, err := h.Stat(to)
	if err == nil && got.Size != from.Size {
		err = fmt.Errorf("copy %s into the container: %d of %d bytes are there", file, got.Size, from.Size)
	}
	return err
}

// runInstaller installs everything but kernel modules and what belongs to them.
func (s *state) runInstaller(ctx context.Context, h tasks.Host, file string) error {
	// What an installer understands differs by its age, and it refuses what it does not
	// know. Its own list is printed by its first lines, without unpacking it.
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"sh", file, "--advanced-options"}, ReadOnly: true})
	if err != nil {
		return err
	}
	known := options(string(out.Stdout))
	// The first name is that of installers with several modules, from 560 on.
	modules := "--no-kernel-modules"
	if !slices.Contains(known, modules) {
		modules = "--no-kernel-module"
	}
	argv := []string{"sh", file, "--silent", "--no-questions", "--no-x-check", "--no-nouveau-check", modules, "--tmpdir=" + workDir}
	for _, o := range optional() {
		if slices.Contains(known, o) {
			argv = append(argv, o)
		}
	}
	if _, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv}); err == nil {
		return nil
	}
	if data, readErr := h.ReadFile(installerLog); readErr == nil {
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		for _, line := range lines[max(0, len(lines)-10):] {
			tasks.Logf(ctx, "%s: %s", installerLog, tasks.LogLine([]byte(line)))
		}
	}
	return err
}

// optional are the options for a container that only some installers have: none of what
// goes with a kernel module, and no question about the host's, which a container sees
// loaded.
func optional() []string {
	return []string{
		"--no-kernel-module-source", "--no-nvidia-modprobe", "--no-dkms", "--no-systemd", "--skip-depmod", "--skip-module-load",
		"--allow-installation-with-running-driver", "--no-check-for-alternate-installs", "--no-install-compat32-libs", "--no-backup", "--no-rpms",
	}
}

// options are the long ones that an installer's help names. It shows one that can be
// switched off as "--[no-]NAME", or both ways in full.
func options(help string) []string {
	words := strings.FieldsFunc(help, func(r rune) bool {
		return !(r == '-' || r == '[' || r == ']' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	})
	var out []string
	for _, w := range words {
		if rest, is := strings.CutPrefix(w, "--[no-]"); is {
			out = append(out, "--"+rest, "--no-"+rest)
		} else if strings.HasPrefix(w, "--") {
			out = append(out, strings.Trim(w, "[]"))
		}
	}
	return out
}
