package lxc

import (
	"maps"
	"math"
	"slices"
	"strconv"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// op is how a difference is mended.
type op int

const (
	opSet      op = iota // an option, or a key inside one: pct set
	opAdd                // a whole new option: pct set with the next free number
	opResize             // pct resize
	opRevert             // pct set --revert: takes back what is staged
	opStaged             // a restart
	opRaw                // an edit of the file
	opMkdir              // a directory of the host
	opOwner              // its owner
	opState              // pct start, pct shutdown
	opTemplate           // pct template
	opSnapshot           // pct snapshot
	opReplace            // destroying and creating anew
	opGPU                // nothing: the host has no such card
	opStray              // taking lines out of a snapshot
	opReceipt            // a line of the description
	opByHand             // nothing: people have to decide
	opKept               // nothing of its own: it is refused, or done when all else is
)

// noteStaged is the note of an opStaged; task.awaits tells it in full.
const noteStaged = "written, and waits for the next start"

// finding is a difference and what mends it.
type finding struct {
	tasks.Change
	op    op
	key   string // option of the configuration
	sub   string // key inside it
	value string // to write; empty takes the key away
	entry *entry // where the property belongs to one
	bytes int64  // of opResize
	// refused is why it is left as it is, where Proxmox would not do it.
	refused *tasks.RefusedError
}

// compare lists the properties in which v differs from the spec. Whether the
// container runs, its raw options and the directories of the host are not seen here.
func (s *Spec) compare(v values) []finding {
	var out []finding
	for _, f := range s.scalars() {
		out = appendField(out, f, v)
	}
	if _, exists := v["rootfs"]; exists {
		out = append(out, s.compareRoot(v)...)
	}
	for _, e := range s.entries() {
		key := e.locate(v)
		if key == "" {
			out = append(out, finding{
				Change: tasks.Change{Path: e.path, To: e.label(), Effect: e.effect, Note: e.note},
				op:     opAdd, entry: &e,
			})
			continue
		}
		out = append(out, e.compare(key, v)...)
	}
	return append(out, s.passed.surplus(v)...)
}

// appendField adds the difference of one property, if there is one.
func appendField(out []finding, f field, v values) []finding {
	have := f.present(v)
	if have == f.want {
		return out
	}
	value := f.written()
	if f.sub != "" && f.want == f.def {
		value = ""
	}
	return append(out, finding{
		Change: tasks.Change{Path: f.path, From: have, To: f.want, Effect: f.effect, Note: f.note},
		key:    f.key, sub: f.sub, value: value,
	})
}

// compareRoot looks at what is fixed or grows: the privilege, what the container is
// and comes from, and the root volume.
func (s *Spec) compareRoot(v values) []finding {
	var out []finding
	if s.Unprivileged != nil {
		have := (&field{key: "unprivileged", def: "false", canon: canonBool}).present(v)
		if want := strconv.FormatBool(*s.Unprivileged); have != want {
			out = append(out, replacing("unprivileged", have, want))
		}
	}
	p, ok := mounted(v["rootfs"])
	if !ok {
		return out // never a reason to destroy what there may be
	}
	volume, _ := p.Get("volume")
	id, _ := pve.ParseVolumeID(volume)
	out = append(out, s.compareOrigin(v, id)...)
	if s.StoragePool != "" && id.Storage != s.StoragePool {
		out = append(out, replacing("storage_pool", id.Storage, s.StoragePool))
	}
	return append(out, compareSize("storage_size_gb", "rootfs", p, s.StorageSizeGB)...)
}

// extent is what LVM gives out at a time by default. Proxmox writes down the size that
// was asked for, and measures the volume anew when it is mounted again: it has grown
// by up to an extent then. Sizes that differ by less are the same.
const extent = 4 << 20

// compareSize lets a volume grow; a smaller one could only be had anew.
func compareSize(path, key string, p pve.PropertyString, wantGB float64) []finding {
	text, ok := p.Get("size")
	have, err := pve.ParseSize(text)
	want := pve.GiB(wantGB)
	if !ok || err != nil || wantGB == 0 || max(have, want)-min(have, want) < extent {
		return nil
	}
	from, to := roundGB(float64(have)/(1<<30)), roundGB(wantGB)
	if have > want {
		return []finding{replacing(path, from, to)}
	}
	return []finding{{
		Change: tasks.Change{Path: path, From: from, To: to, Effect: tasks.EffectLive},
		op:     opResize, key: key, bytes: want,
	}}
}

// roundGB is a size for people, to a thousandth.
func roundGB(gb float64) string { return formatGB(math.Round(gb*1000) / 1000) }

func replacing(path, from, to string) finding {
	return finding{Change: tasks.Change{Path: path, From: from, To: to, Effect: tasks.EffectReplace}, op: opReplace}
}

// compare lists the differences of an entry that exists as the given option.
func (e *entry) compare(key string, v values) []finding {
	def, _ := shape(key)
	p, err := pve.ParsePropertyString(v[key], def)
	if err != nil {
		return nil // locate has read it
	}
	volume, _ := p.Get("volume")
	id, allocated := pve.ParseVolumeID(volume)
	var out []finding
	switch {
	case e.bind != nil && allocated:
		return []finding{replacing(e.path+".host_path", volume, e.bind.HostPath)}
	case e.volume != nil && id.Storage != e.volume.Storage:
		from := volume
		if allocated {
			from = id.Storage
		}
		return []finding{replacing(e.path+".storage", from, e.volume.Storage)}
	case e.volume != nil:
		out = compareSize(e.path+".size_gb", key, p, e.volume.SizeGB)
	}
	for _, f := range e.fields {
		f.key = key
		out = appendField(out, f, v)
	}
	for i := range out {
		out[i].entry = e
	}
	return out
}

// staged weighs what holds now against what will hold after the next start. Of a
// property that is right only then, nothing but the start is missing; one that is
// right only now will be wrong, and what is staged has to be taken back.
func (s *Spec) staged(now, next values) []finding {
	out := s.compare(now)
	if maps.Equal(now, next) { // nothing waits, as for nearly all
		return out
	}
	later := s.compare(next)
	touched := make(map[string]bool)
	for i := range out {
		f := &out[i]
		touched[f.key] = true
		if f.op == opAdd {
			touched[f.entry.locate(next)] = true
		}
		j := indexPath(later, f.Path)
		switch {
		case j < 0:
			f.op, f.Effect, f.Note = opStaged, tasks.EffectPending, noteStaged
		case later[j].From != f.From:
			f.Note = "another value is staged for the next start: " + orNothing(later[j].From)
		}
	}
	for _, l := range later {
		if indexPath(out, l.Path) >= 0 {
			continue
		}
		l.Note = "the value on the left is staged for the next start"
		switch {
		case l.op == opAdd: // its removal is staged
			l.op, l.key, l.From = opRevert, l.entry.locate(now), "(to be removed)"
		case !touched[l.key]:
			l.op = opRevert
		}
		l.Effect = tasks.EffectLive
		out = append(out, l)
	}
	return out
}

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}

func indexPath(fs []finding, path string) int {
	return slices.IndexFunc(fs, func(f finding) bool { return f.Path == path })
}
