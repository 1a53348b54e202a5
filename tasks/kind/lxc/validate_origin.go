package lxc

import "phoenix/tasks/pve"

// validateOrigin looks at where the container comes from and what comes from it.
func (s *Spec) validateOrigin(p *problems) {
	oneOf(p, "clone_mode", s.CloneMode, CloneLinked, CloneFull)
	if id := s.CloneFromCTID; id != 0 {
		p.require(id >= minCTID && id <= maxCTID, "clone_from_ctid", "", "%d is not a CTID: they go from %d to %d", id, minCTID, maxCTID)
		p.require(id != s.CTID, "clone_from_ctid", "", "container %d cannot be a clone of itself", id)
		p.require(s.Template == "", "clone_from_ctid", "take one of the two out",
			"a container comes from a template or from another container, not from both")
	} else {
		p.require(s.CloneMode == "", "clone_mode", "say clone_from_ctid, too", "only a clone has a mode")
		p.require(s.CloneFromSnapshot == "", "clone_from_snapshot", "say clone_from_ctid, too", "only a clone comes from a snapshot")
	}
	for _, f := range []struct{ at, name string }{{"clone_from_snapshot", s.CloneFromSnapshot}, {"template_snapshot_name", s.TemplateSnapshotName}} {
		p.require(f.name == "" || pve.IsSnapshotName(f.name), f.at, "a letter, then letters, digits, _ and -, 2 to 40 in all",
			"%q is not the name of a snapshot", f.name)
	}
	p.require(s.CloneMode != CloneLinked || s.CloneFromSnapshot == "", "clone_from_snapshot", "take it out, or set clone_mode to full",
		"a linked clone comes from a template, which has no snapshots")
	s.validateTemplate(p)
	p.require(s.TemplateSnapshotName == "" || len(s.MountPoints) == 0, "template_snapshot_name", "use volumes in place of mount_points",
		"Proxmox takes no snapshot of a container with directories of the host")
}

// validateTemplate refuses what a template of Proxmox cannot have.
func (s *Spec) validateTemplate(p *problems) {
	if !s.template() {
		return
	}
	p.require(s.State != StateRunning, "state", "leave state out, or set it to stopped", "a template cannot run")
	p.require(s.StartAtBoot == nil || !*s.StartAtBoot, "start_at_boot", "leave it out, or set it to false", "a template is never started")
	p.require(s.TemplateSnapshotName == "", "template_snapshot_name", "take one of the two out; a template is cloned without a snapshot",
		"Proxmox makes no template of a container with snapshots")
	p.require(len(s.MountPoints) == 0, "mount_points", "give them to its clones",
		"Proxmox makes no template of a container with directories of the host")
}
