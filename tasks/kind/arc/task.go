// Package arc limits the memory that ZFS uses as its cache, now and after each boot.
//
// It sets the parameter of the loaded module, and keeps the option in phoenix's own
// file for modprobe, which is read last: what the installer or others wrote elsewhere
// stays, and no longer counts. The initial RAM disks are made again, because on a
// machine that boots from ZFS they load the module. Start reading at Spec.
package arc

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/bootimage"
	"phoenix/tasks/modprobe"
)

// Name of the family in steps.
const Name = "arc"

// StepID is the ID of the one step of this family.
const StepID = "zfs:arc"

const (
	parameter = "/sys/module/zfs/parameters/zfs_arc_max"
	arcstats  = "/proc/spl/kstat/zfs/arcstats"
	meminfo   = "/proc/meminfo"
	option    = "zfs_arc_max"
)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// want is the wanted size in bytes.
func (t *task) want() string { return strconv.FormatInt(int64(t.spec.MaxGB*(1<<30)), 10) }

// Check reads the parameter of the loaded module, and what modprobe would give it.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	now, there, err := tasks.ReadIfExists(h, parameter)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("read %s: ZFS is not loaded (see `modprobe zfs`, and whether the package zfsutils-linux is installed)", parameter)
	}
	if err := t.possible(h); err != nil {
		return nil, err
	}
	config, err := modprobe.Read(h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	d.Add("now", strings.TrimSpace(string(now)), t.want(), tasks.EffectLive)
	set, _ := config.Option("zfs", option)
	_, boot, _ := strings.Cut(set.Word, "=")
	d.Add("boot", boot, t.want(), tasks.EffectLive)
	err = bootimage.Check(h, bootimage.Initramfs, &d)
	return d, err
}

// possible refuses a size that ZFS would ignore without a word: not above the least
// size of the cache, or not below the machine's memory (OpenZFS, arc_tuning_update).
func (t *task) possible(h tasks.Host) error {
	want := int64(t.spec.MaxGB * (1 << 30))
	least, err := number(h, arcstats, "c_min", 1)
	if err != nil {
		return err
	}
	memory, err := number(h, meminfo, "MemTotal:", 1<<10)
	switch {
	case err != nil:
		return err
	case want <= least:
		return fmt.Errorf("limit the cache to %d bytes: ZFS ignores what is not above its least size, %d bytes (zfs_arc_min)", want, least)
	case want >= memory:
		return fmt.Errorf("limit the cache to %d bytes: ZFS ignores what is not below the machine's memory, %d bytes", want, memory)
	}
	return nil
}

// number reads the last number of the line that begins with key.
func number(h tasks.Host, file, key string, unit int64) (int64, error) {
	data, err := h.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for _, line := range tasks.Lines(string(data)) {
		f := strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), " kB"))
		if len(f) > 1 && f[0] == key {
			n, err := strconv.ParseInt(f[len(f)-1], 10, 64)
			return n * unit, err
		}
	}
	return 0, fmt.Errorf("read %s: it has no %s", file, key)
}

// Apply sets the parameter of the loaded module, then the option, which also makes the
// initial RAM disks again.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if d.Has("now") {
		// A parameter is no file that could be replaced by rename, and there is no
		// program but tee that writes to one without a shell.
		c := tasks.Cmd{Argv: []string{"tee", parameter}, Stdin: []byte(t.want() + "\n")}
		if _, err := tasks.Succeed(ctx, h, c); err != nil {
			return err
		}
	}
	var edits []tasks.Edit
	if d.Has("boot") {
		w := modprobe.Wanted{Options: map[string][]string{"zfs": {option + "=" + t.want()}}}
		edits = append(edits, tasks.Edit{Verb: tasks.VerbPut, Path: modprobe.Own, Update: w.Add})
	}
	if len(edits) == 0 && !d.Has(string(bootimage.Initramfs)) {
		return nil
	}
	return bootimage.Make(ctx, h, bootimage.Initramfs, edits...)
}
