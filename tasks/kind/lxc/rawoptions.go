package lxc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// visible leaves out what Proxmox may have made itself behind the raw options.
func visible(options []pve.RawOption) []pve.RawOption {
	return slices.DeleteFunc(slices.Clone(options), func(o pve.RawOption) bool {
		return strings.HasPrefix(o.Key, "lxc.net.") || strings.HasSuffix(o.Key, ".cpuset.cpus")
	})
}

// startNote is where it is written down which raw options a running container was
// started with, before they are changed. Proxmox knows no pending raw options, and it
// makes its file for LXC anew at every pct set (update_vm, pve-container 5.3.5), so
// after one that file does not tell any more. /run is empty after a reboot, and so are
// the containers' starts.
func startNote(ctid int) string { return fmt.Sprintf("/run/phoenix/lxc-%d.started", ctid) }

// startedWith reads the raw options that a running container has: from the note, when
// it is of this start, and otherwise from the file that Proxmox made for LXC.
func (t *task) startedWith(h tasks.Host, f *found) (options []pve.RawOption, known bool, err error) {
	if !f.running {
		return nil, false, nil
	}
	note, there, err := tasks.ReadIfExists(h, startNote(t.spec.CTID))
	if err != nil {
		return nil, false, fmt.Errorf("read what container %d was started with: %w", t.spec.CTID, err)
	}
	if start, lines, ok := strings.Cut(string(note), "\n"); there && ok && start == f.start {
		return rawLines(lines), true, nil
	}
	data, err := h.ReadFile(fmt.Sprintf("/var/lib/lxc/%d/config", t.spec.CTID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil // it cannot be told; the configuration itself is right
	}
	if err != nil {
		return nil, false, fmt.Errorf("read what container %d was started with: %w", t.spec.CTID, err)
	}
	options, known = generated(string(data))
	return options, known, nil
}

// generated finds the raw options in the file that Proxmox makes for LXC: behind the
// line of the root file system stand the interfaces, the raw options as they are, and
// the processors (update_lxc_config, pve-container 5.3.5).
func generated(data string) ([]pve.RawOption, bool) {
	const root = "lxc.rootfs.path"
	options := rawLines(data)
	i := slices.IndexFunc(options, func(o pve.RawOption) bool { return o.Key == root })
	return options[i+1:], i >= 0
}

func rawLines(text string) []pve.RawOption {
	var out []pve.RawOption
	for _, line := range tasks.Lines(text) {
		if o, err := pve.ParseRawOption(strings.TrimSpace(line)); err == nil {
			out = append(out, o)
		}
	}
	return out
}

// noteStart writes down what a running container was started with.
func (t *task) noteStart(ctx context.Context, h tasks.Host, f *found) error {
	if !f.running {
		return nil
	}
	begun, known, err := t.startedWith(h, f)
	if err != nil {
		return err
	}
	if !known {
		begun = f.conf.Head().Raw()
	}
	lines := []string{f.start}
	for _, o := range begun {
		lines = append(lines, o.String())
	}
	name := startNote(t.spec.CTID)
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: path.Dir(name)}); err != nil {
		return fmt.Errorf("note what container %d was started with: %w", t.spec.CTID, err)
	}
	put := tasks.Edit{Verb: tasks.VerbPut, Path: name, Data: []byte(strings.Join(lines, "\n") + "\n")}
	if err := h.Write(ctx, put); err != nil {
		return fmt.Errorf("note what container %d was started with: %w", t.spec.CTID, err)
	}
	return nil
}

func parseRaw(lines []string) ([]pve.RawOption, error) {
	out := make([]pve.RawOption, 0, len(lines))
	for _, l := range lines {
		o, err := pve.ParseRawOption(l)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func joinRaw(options []pve.RawOption) string {
	parts := make([]string, len(options))
	for i, o := range options {
		parts[i] = o.String()
	}
	return strings.Join(parts, "; ")
}
