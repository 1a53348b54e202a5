package lxc

import (
	"context"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// createNote lists what a new container will have, a line each. Of a clone, the rest
// is that of its parent.
func (t *task) createNote(ctx context.Context, h tasks.Host) string {
	if t.spec.CloneFromCTID != 0 {
		return t.cloneNote(ctx, h)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rootfs: %s:%s\n", orElse(t.spec.StoragePool, "(no storage_pool is given)"), formatGB(t.spec.sizeGB()))
	fresh := t.spec.compare(values{})
	if indexPath(fresh, "memory_mb") < 0 {
		fmt.Fprintf(&b, "memory_mb: %d\n", defaultMemoryMB) // wanted so or not, it gets that
	}
	for _, f := range fresh {
		fmt.Fprintf(&b, "%s: %s\n", f.Path, f.To)
	}
	fmt.Fprintf(&b, "unprivileged: %t\n%s%sstate: %s", t.spec.unprivileged(), t.restNote(h, t.spec.unprivileged(), nil), t.spec.endNote(), t.spec.state())
	return b.String()
}

// restNote lists what a new container gets beside its options: raw lines, where raw are
// those of its parent, directories of the host, and groups of devices.
func (t *task) restNote(h tasks.Host, unprivileged bool, raw []pve.RawOption) string {
	var b strings.Builder
	if list := t.spec.LXCOptions; list != nil {
		fmt.Fprintf(&b, "%s: %s\n", pathRaw, orNothing(strings.Join(*list, "; ")))
	}
	for _, p := range t.spec.rawProperties() {
		fmt.Fprintf(&b, "%s: %s\n", p.path, p.canon(p.want))
	}
	raw, err := t.spec.wantRaw(raw, func(string) bool { return true })
	if err != nil {
		return b.String() // told by what looks for its parts
	}
	dirs, _ := t.directories(h, values{"unprivileged": written(unprivileged)}, raw) // likewise
	for _, x := range dirs {
		fmt.Fprintf(&b, "%s: %s%s\n", x.Path, x.To, inBrackets(x.Note))
	}
	for _, d := range t.grouped() {
		fmt.Fprintf(&b, "%s: %s\n", groupPath(d), d.Group)
	}
	return b.String()
}

func inBrackets(note string) string {
	if note == "" {
		return ""
	}
	return " (" + note + ")"
}

// endNote is what is made of the container in the end.
func (s *Spec) endNote() string {
	out := ""
	switch {
	case s.template():
		out = "is_template: true\n"
	case s.TemplateSnapshotName != "":
		out = "template_snapshot_name: " + s.TemplateSnapshotName + "\n"
	}
	if s.nets(s.EnableLifecycleSnapshots) {
		out += "enable_lifecycle_snapshots: " + guest.Created + "\n"
	}
	return out
}
