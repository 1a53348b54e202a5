// Package zfs reads what zpool and zfs print, and knows the properties of pools and
// file systems as OpenZFS 2.1 to 2.3 have them (Proxmox VE 8 and 9).
//
// Both programs are small and written in C, so a check may start them. The package
// changes nothing; the families zpool and dataset do. Start reading at Pools and at
// Difference; status.go reads the tree of a pool, property.go knows properties.
package zfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"phoenix/tasks"
)

// Run starts zpool or zfs and says in words what is missing where ZFS is not there
// at all.
func Run(ctx context.Context, h tasks.Host, c tasks.Cmd) (tasks.Output, error) {
	out, err := tasks.Succeed(ctx, h, c)
	var ce *tasks.CommandError
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, fs.ErrNotExist):
		return out, fmt.Errorf("%w (ZFS is not installed: the package zfsutils-linux has its programs, and every Proxmox kernel its module)", err)
	case errors.As(err, &ce) && strings.Contains(ce.Stderr, "ZFS modules"):
		return out, fmt.Errorf("%w (the kernel has no ZFS now: see `modprobe zfs`, and whether the running kernel is one of Proxmox's)", err)
	}
	return out, err
}

// Pools lists the imported pools.
func Pools(ctx context.Context, h tasks.Host) ([]Pool, error) {
	out, err := Run(ctx, h, tasks.Cmd{Argv: []string{"zpool", "status", "-P"}, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("list pools: %w", err)
	}
	return ParseStatus(string(out.Stdout))
}

// PoolProperties reads all properties of an imported pool.
func PoolProperties(ctx context.Context, h tasks.Host, pool string) (Properties, error) {
	return properties(ctx, h, "zpool", pool)
}

// DatasetProperties reads all properties of a dataset; false when there is none of
// that name.
func DatasetProperties(ctx context.Context, h tasks.Host, name string) (Properties, bool, error) {
	p, err := properties(ctx, h, "zfs", name)
	var ce *tasks.CommandError
	if errors.As(err, &ce) && strings.Contains(ce.Stderr, "dataset does not exist") {
		return nil, false, nil
	}
	return p, err == nil, err
}

// Ashift is the sector size of the first group of disks of a pool, as a power of
// two. The pool's own property of that name is only what the next group would get.
// Needs OpenZFS 2.2, which has properties of groups.
func Ashift(ctx context.Context, h tasks.Host, p Pool) (string, error) {
	argv := []string{"zpool", "get", "-Hp", "-o", "name,value", "ashift", p.Name, "all-vdevs"}
	out, err := Run(ctx, h, tasks.Cmd{Argv: argv, ReadOnly: true})
	if err != nil {
		return "", fmt.Errorf("read ashift of %s: %w", p.Name, err)
	}
	for _, line := range tasks.Lines(string(out.Stdout)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		// A lone disk is shown by the last part of its path, a whole one without the
		// partition that ZFS made on it.
		if lone := path.Base(p.Data[0].Name); name != "" && (name == lone || name == strings.TrimSuffix(lone, "-part1")) {
			return value, nil
		}
	}
	return "", fmt.Errorf("read ashift of %s: zpool says nothing of %s", p.Name, p.Data[0].Name)
}

func properties(ctx context.Context, h tasks.Host, program, of string) (Properties, error) {
	argv := []string{program, "get", "-Hp", "-o", "property,value,source", "all", of}
	out, err := Run(ctx, h, tasks.Cmd{Argv: argv, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("read properties of %s: %w", of, err)
	}
	p, err := ParseProperties(string(out.Stdout))
	if err == nil && len(p) == 0 {
		err = fmt.Errorf("read properties of %s: %s printed none", of, program)
	}
	return p, err
}
