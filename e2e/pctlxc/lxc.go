package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"phoenix/tasks/pve"
	"phoenix/tasks/sim"
)

// lxc is sim.Containers by Debian's LXC 5.0.
type lxc struct{}

var _ sim.Containers = lxc{}

// first is the host's number of a container's root where it is not the host's, as
// Proxmox has it, and count how many users it has.
const first, count = 100000, 65536

// shift is that map as lxc-usernsexec takes it.
const shift = "b:0:100000:65536"

// Unpack runs tar as the container's own root, so that every owner comes out right. What
// lies below /dev is made at each start.
func (lxc) Unpack(ctx context.Context, _ int, template, root string, unprivileged bool) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	tar := []string{"tar", "-xp", "--numeric-owner", "-C", root, "--exclude=./dev/*", "-f", "-"}
	if unprivileged {
		if err := os.Chown(root, first, first); err != nil {
			return err
		}
		tar = append([]string{"lxc-usernsexec", "-m", shift, "--"}, tar...)
	}
	unzip, archive := exec.CommandContext(ctx, "zstd", "-dcq", template), exec.CommandContext(ctx, tar[0], tar[1:]...)
	var said bytes.Buffer
	unzip.Stderr, archive.Stderr = &said, &said
	pipe, err := unzip.StdoutPipe()
	if err != nil {
		return err
	}
	archive.Stdin = pipe
	if err := unzip.Start(); err != nil {
		return err
	}
	if err := errors.Join(archive.Run(), unzip.Wait()); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", template, err, said.Bytes())
	}
	return nil
}

// Copy copies a root file system with owners and all.
func (lxc) Copy(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return program("cp", "-a", "--reflink=auto", from, to)
}

// Configure translates the container's configuration.
func (lxc) Configure(id int) error {
	options, raw, err := configuration(id)
	if err != nil {
		return err
	}
	text, err := translate(id, options, raw, lookAt)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir(id), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir(id), "config"), []byte(text), 0o644)
}

// Start gives the container what the books' keeper wrote into it as the host's root, and
// starts it. What LXC says of a start that fails lies where Proxmox keeps it.
func (l lxc) Start(id int) error {
	options, _, err := configuration(id)
	if err != nil {
		return err
	}
	if err := volumes(id, options); err != nil {
		return err
	}
	if options["unprivileged"] == "1" {
		if err := give(filepath.Join(dir(id), "rootfs"), "etc", "root", "proc"); err != nil {
			return err
		}
	}
	if err := makeNodes(id, options); err != nil {
		return err
	}
	if err := l.Configure(id); err != nil {
		return err
	}
	name, log := strconv.Itoa(id), fmt.Sprintf("/run/pve/ct-%d.stderr", id)
	_ = os.Remove(log) // of an earlier start
	if err := program("lxc-start", "-n", name, "-l", "ERROR", "-o", log); err != nil {
		return fmt.Errorf("startup for container '%d' failed: %w", id, err)
	}
	return program("lxc-wait", "-n", name, "-s", "RUNNING", "-t", "10")
}

// Stop ends the container with lxc-stop.
func (lxc) Stop(id int, wait time.Duration, kill bool) error {
	name := strconv.Itoa(id)
	if wait == 0 {
		return program("lxc-stop", "-n", name, "--kill")
	}
	args := []string{"-n", name, "--timeout", strconv.Itoa(int(wait / time.Second))}
	if !kill {
		args = append(args, "--nokill")
	}
	return program("lxc-stop", args...)
}

func dir(id int) string { return fmt.Sprintf("/var/lib/lxc/%d", id) }

// configuration reads what the container is like, in Proxmox's grammar.
func configuration(id int) (map[string]string, []pve.RawOption, error) {
	data, err := os.ReadFile(fmt.Sprintf("/etc/pve/lxc/%d.conf", id))
	if err != nil {
		return nil, nil, err
	}
	head := pve.ParseConfig(data).Head()
	return head.Values(), head.Raw(), nil
}

// volumes makes the folders that stand for further volumes of a container.
func volumes(id int, options map[string]string) error {
	for _, key := range pve.IndexedKeys(options, "mp") {
		p, err := pve.ParsePropertyString(options[key], "volume")
		if err != nil {
			return err
		}
		if source, _ := p.Get("volume"); filepath.IsAbs(source) {
			continue // a folder of the host
		}
		where := filepath.Join(dir(id), key)
		if err := os.MkdirAll(where, 0o755); err != nil {
			return err
		}
		if options["unprivileged"] == "1" {
			if err := os.Chown(where, first, first); err != nil {
				return err
			}
		}
	}
	return nil
}

// give makes the container's root the owner of what belongs to the host's root below
// some folders of an unprivileged container.
func give(root string, names ...string) error {
	args := []string{"-h", "-R", "-P", "--from=0:0", fmt.Sprintf("%d:%d", first, first)}
	for _, name := range names {
		args = append(args, filepath.Join(root, name))
	}
	return program("chown", args...)
}

// program runs a program whose end nobody but it decides.
func program(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
