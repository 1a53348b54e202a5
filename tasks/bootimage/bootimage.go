// Package bootimage makes again what is made of configuration before the next boot
// reads it: the initial RAM disks (of /etc/modprobe.d) and the boot loader's own files
// (of the kernel command line).
//
// A mark on the disk says that this is due from before the first file changes until the
// program has done its work, so that a run which is killed in between is mended by the
// next. It decides nothing and edits no configuration. Start reading at Make.
package bootimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"phoenix/tasks"
)

// What is to be made again.
type What string

// The things that are made of configuration.
const (
	// Initramfs are the initial RAM disks of all installed kernels.
	Initramfs What = "initramfs"
	// Loader is the boot loader's configuration.
	Loader What = "boot_loader"
)

// dir holds a mark for each thing that is due.
const dir = "/var/lib/phoenix/due"

const uuids = "/etc/kernel/proxmox-boot-uuids"

func (w What) mark() string { return dir + "/" + string(w) }

// Due tells whether an earlier change of configuration has not reached the boot files.
func Due(h tasks.Host, w What) (bool, error) {
	_, err := h.Stat(w.mark())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Check adds a change while the thing is due. Its path is the thing's name.
func Check(h tasks.Host, w What, d *tasks.Diff) error {
	due, err := Due(h, w)
	if err != nil || !due {
		return err
	}
	d.Add(string(w), "not made since the configuration changed", "made", tasks.EffectLive)
	return nil
}

// Make marks the thing as due, makes the edits, and makes the thing again.
func Make(ctx context.Context, h tasks.Host, w What, edits ...tasks.Edit) error {
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: dir}); err != nil {
		return err
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: w.mark(), Data: []byte{}}); err != nil {
		return err
	}
	for _, e := range edits {
		if err := h.Write(ctx, e); err != nil {
			return err
		}
	}
	if err := w.program(ctx, h); err != nil {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: w.mark()})
}

// program runs what makes the thing. Its exit status is not enough: each says what it
// has made, and one that says nothing has made nothing.
func (w What) program(ctx context.Context, h tasks.Host) error {
	argv, made := []string{"update-initramfs", "-u", "-k", "all"}, "Generating /boot/initrd.img-"
	if w == Loader {
		esp, err := ESP(h)
		if err != nil {
			return err
		}
		// With proxmox-boot-tool, update-grub alone writes a file that nobody boots from.
		argv, made = []string{"update-grub"}, "Found linux image"
		if esp {
			argv, made = []string{"proxmox-boot-tool", "refresh"}, "Copying and configuring kernels on"
		}
	}
	c := tasks.Cmd{Argv: argv}
	out, err := tasks.Succeed(ctx, h, c)
	if err != nil {
		return err
	}
	if said := string(out.Stdout) + string(out.Stderr); !strings.Contains(said, made) {
		return fmt.Errorf("run %s: it ended well and did not say %q (%s)", strings.Join(argv, " "), made, strings.TrimSpace(said))
	}
	return nil
}

// ESP tells whether proxmox-boot-tool keeps the kernels on EFI system partitions, which
// this machine then boots from.
func ESP(h tasks.Host) (bool, error) {
	data, _, err := tasks.ReadIfExists(h, uuids)
	return len(strings.TrimSpace(string(data))) > 0, err
}
