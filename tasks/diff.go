package tasks

import (
	"slices"
	"strings"
)

// Effect says what making a Change costs the thing that is changed. For containers
// it comes from Proxmox's own hot-plug rules.
type Effect string

// The effects, from harmless to drastic.
const (
	// EffectLive changes take effect at once and disturb nothing.
	EffectLive Effect = "live"
	// EffectRestart changes need a restart of the container or the service.
	EffectRestart Effect = "restart"
	// EffectReboot changes need a reboot of the machine.
	EffectReboot Effect = "reboot"
	// EffectPending changes are already written on the host and wait for a restart.
	EffectPending Effect = "pending"
	// EffectReplace changes can only be had by destroying and creating anew.
	EffectReplace Effect = "replace"
	// EffectDestroy changes take the thing away, with all that is in it.
	EffectDestroy Effect = "destroy"
	// EffectRollback changes put the thing back to what it was: what it got since is lost.
	EffectRollback Effect = "rollback"
)

// Change is one property that differs.
type Change struct {
	// Path is the property, relative to the step: "memory_mb", "packages.curl".
	Path string `json:"path"`
	// From is the value found, in canonical form; empty when there is none.
	From string `json:"from,omitempty"`
	// To is the value wanted, in canonical form; empty when the thing is to go.
	To string `json:"to,omitempty"`
	// Effect is what making the change costs.
	Effect Effect `json:"effect,omitempty"`
	// Note is shown beside the change: a text diff of a file, a reason. It may
	// have several lines.
	Note string `json:"note,omitempty"`
}

// What the notes of changes that a run leaves as they are begin with, each on a line
// of its own.
const (
	noteRefused = "would be refused"
	// NoteNoRestart: it waits for a restart that the configuration leaves to people.
	NoteNoRestart = "a run does not restart it"
	// NoteNoReboot: it waits for a reboot that the operator has not agreed to.
	NoteNoReboot = "a run does not reboot without --allow-reboot"
	// NoteByHand: only people can mend it.
	NoteByHand = "a run does not mend it"
	// NoteCannot: a run would make everything else and then fail, and why.
	NoteCannot = "cannot be made: "
)

// cannot is why a run would fail over one of the changes; empty where nothing tells.
func (d Diff) cannot() string {
	for _, c := range d {
		for _, l := range Lines(c.Note) {
			if why, ok := strings.CutPrefix(l, NoteCannot); ok {
				return c.Path + " " + c.To + ": " + strings.TrimSpace(why)
			}
		}
	}
	return ""
}

// byHand is why people have to come first; empty where nothing tells.
func (d Diff) byHand() string {
	for _, c := range d {
		for _, l := range Lines(c.Note) {
			if strings.HasPrefix(l, NoteByHand) {
				return strings.TrimSpace(l)
			}
		}
	}
	return ""
}

// Held tells whether a run that agrees to nothing would leave the change as it is.
func (c Change) Held() bool {
	for _, l := range Lines(c.Note) {
		if strings.HasPrefix(l, noteRefused) || strings.HasPrefix(l, NoteNoRestart) || strings.HasPrefix(l, NoteNoReboot) || strings.HasPrefix(l, NoteByHand) {
			return true
		}
	}
	return false
}

// held tells whether a run that agrees to nothing would leave all of it as it is.
func (d Diff) held() bool { return !slices.ContainsFunc(d, func(c Change) bool { return !c.Held() }) }

// waits tells whether the change is written, and not in effect yet.
func (c Change) waits() bool { return c.Effect == EffectPending || c.Effect == EffectReboot }

// Reasons is the note without the lines that say that a run would refuse the change.
func (c Change) Reasons() string {
	var out []string
	for _, l := range Lines(c.Note) {
		if !strings.HasPrefix(l, noteRefused) {
			out = append(out, strings.TrimSuffix(l, "\n"))
		}
	}
	return strings.Join(out, "\n")
}

// Diff is every managed property that is not as wanted, in a stable order.
type Diff []Change

// Add appends a change unless both values are equal.
func (d *Diff) Add(path, from, to string, effect Effect) {
	if from != to {
		*d = append(*d, Change{Path: path, From: from, To: to, Effect: effect})
	}
}

// Has tells whether the property at path differs.
func (d Diff) Has(path string) bool {
	return slices.ContainsFunc(d, func(c Change) bool { return c.Path == path })
}

// With returns the changes that have the given effect.
func (d Diff) With(effect Effect) Diff {
	var out Diff
	for _, c := range d {
		if c.Effect == effect {
			out = append(out, c)
		}
	}
	return out
}

// Only tells whether the diff is not empty and every change has the given effect.
func (d Diff) Only(effect Effect) bool {
	return len(d) > 0 && len(d.With(effect)) == len(d)
}
