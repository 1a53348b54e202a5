package lxc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// defaultShift is where Proxmox puts the users of an unprivileged container that
// says nothing else (pve-container 5.3.5), 65536 of them.
const defaultShift, defaultCount = 100000, 65536

// mapping turns a container's user numbers, or its groups', into the host's.
type mapping []idRange

type idRange struct{ inside, outside, count int }

// idmap reads how a container's users ('u') or groups ('g') are mapped.
func idmap(unprivileged bool, raw []pve.RawOption, kind string) mapping {
	var m mapping
	explicit := false
	for _, o := range raw {
		f := strings.Fields(o.Value)
		if o.Key != "lxc.idmap" || len(f) != 4 {
			continue
		}
		explicit = true
		in, err1 := strconv.Atoi(f[1])
		out, err2 := strconv.Atoi(f[2])
		n, err3 := strconv.Atoi(f[3])
		if (f[0] == kind || f[0] == "b") && errors.Join(err1, err2, err3) == nil {
			m = append(m, idRange{in, out, n})
		}
	}
	if explicit {
		return m
	}
	if unprivileged {
		return mapping{{0, defaultShift, defaultCount}}
	}
	return mapping{{0, 0, 1 << 32}}
}

func (m mapping) host(id int) (int, bool) {
	for _, r := range m {
		if id >= r.inside && id-r.inside < r.count {
			return r.outside + id - r.inside, true
		}
	}
	return 0, false
}

// directories compares the host's directories of mount points with what is wanted, where
// raw are the raw lines that the container is to have.
func (t *task) directories(h tasks.Host, v values, raw []pve.RawOption) ([]finding, error) {
	unprivileged, _ := pve.ParseBool(v["unprivileged"])
	var out []finding
	for _, e := range t.spec.entries() {
		if e.bind == nil || e.bind.OwnerUID == nil && e.bind.OwnerGID == nil && !e.bind.Create {
			continue
		}
		found, err := e.directory(h, idmap(unprivileged, raw, "u"), idmap(unprivileged, raw, "g"))
		if err != nil {
			return nil, fmt.Errorf("look at mount point %s: %w", e.name, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// directory compares one directory of the host.
func (e *entry) directory(h tasks.Host, users, groups mapping) ([]finding, error) {
	m := e.bind
	var out []finding
	uid, gid := "", ""
	info, err := h.Stat(m.HostPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if m.Create {
			c := tasks.Change{Path: e.path + ".create", From: "missing", To: "directory", Effect: tasks.EffectLive}
			out = append(out, finding{Change: c, op: opMkdir, entry: e})
		}
	case err != nil:
		return nil, err
	case !info.Mode.IsDir():
		return nil, fmt.Errorf("%s on the host is not a directory", m.HostPath)
	default:
		uid, gid = strconv.Itoa(info.UID), strconv.Itoa(info.GID)
	}
	for _, o := range []struct {
		name string
		want *int
		have string
		ids  mapping
	}{{"owner_uid", m.OwnerUID, uid, users}, {"owner_gid", m.OwnerGID, gid, groups}} {
		if o.want == nil {
			continue
		}
		id, ok := o.ids.host(*o.want)
		if !ok {
			return nil, fmt.Errorf("%s %d of the container has no number on the host: see its lxc.idmap lines", o.name, *o.want)
		}
		if to := strconv.Itoa(id); to != o.have {
			c := tasks.Change{Path: e.path + "." + o.name, From: o.have, To: to, Effect: tasks.EffectLive}
			c.Note = fmt.Sprintf("numbers of the host; in the container it is %d", *o.want)
			out = append(out, finding{Change: c, op: opOwner, entry: e})
		}
	}
	return out, nil
}

// directoriesThere refuses a directory that is missing and not to be made, where pct
// would only fail at the next start.
func directoriesThere(h tasks.Host, fs []finding) error {
	for _, f := range fs {
		if f.entry == nil || f.entry.bind == nil || toBeMade(fs, f.entry.bind.HostPath) {
			continue
		}
		dir := f.entry.bind.HostPath
		if _, err := h.Stat(dir); err != nil {
			return fmt.Errorf("look at mount point %s: %s is not there on the host (set create to make it): %w", f.entry.name, dir, err)
		}
	}
	return nil
}

// toBeMade tells whether one of the differences makes a directory.
func toBeMade(fs []finding, dir string) bool {
	return slices.ContainsFunc(fs, func(f finding) bool {
		return f.op == opMkdir && strings.HasPrefix(f.entry.bind.HostPath+"/", dir+"/")
	})
}

// prepare makes the wanted directories of the host and gives them their owners.
func (t *task) prepare(ctx context.Context, h tasks.Host, fs []finding) error {
	if err := directoriesThere(h, fs); err != nil {
		return err
	}
	for _, f := range fs {
		if f.op == opMkdir {
			if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: f.entry.bind.HostPath}); err != nil {
				return fmt.Errorf("make directory of mount point %s: %w", f.entry.name, err)
			}
		}
	}
	for _, f := range fs {
		if f.op == opOwner {
			if err := chown(ctx, h, f); err != nil {
				return fmt.Errorf("set owner of mount point %s: %w", f.entry.name, err)
			}
		}
	}
	return nil
}

// chown sets the one number of the finding and keeps the other.
func chown(ctx context.Context, h tasks.Host, f finding) error {
	info, err := h.Stat(f.entry.bind.HostPath)
	if err != nil {
		return err
	}
	id, err := strconv.Atoi(f.To)
	if err != nil {
		return err
	}
	owner := tasks.Owner{UID: id, GID: info.GID}
	if strings.HasSuffix(f.Path, ".owner_gid") {
		owner = tasks.Owner{UID: info.UID, GID: id}
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbAttr, Path: f.entry.bind.HostPath, Owner: &owner})
}
