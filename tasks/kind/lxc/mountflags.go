package lxc

import (
	"context"
	"fmt"

	"phoenix/tasks"
)

// mountFlags are the properties of a mount. Without its own word of access lists a
// volume has what its file system does, which is neither of the two.
func (l *fieldList) mountFlags(at, key string, m MountFlags) {
	l.boolean(at+"read_only", key, "ro", m.ReadOnly, false, tasks.EffectRestart)
	if m.ACL != nil {
		l.boolean(at+"acl", key, "acl", m.ACL, false, tasks.EffectRestart)
		(*l)[len(*l)-1].def = ""
	}
	l.boolean(at+"quota", key, "quota", m.Quota, false, tasks.EffectRestart)
	l.boolean(at+"replicate", key, "replicate", m.Replicate, true, tasks.EffectRestart)
	l.words(at+"mount_options", key, "mountoptions", m.MountOptions)
}

// validateFlags refuses what Proxmox would find out when the container starts.
func (s *Spec) validateFlags(p *problems, at string, m MountFlags) {
	privileged := s.Unprivileged != nil && !*s.Unprivileged
	p.require(m.Quota == nil || !*m.Quota || privileged, at+"quota", `set "unprivileged": false, or take it out`, "an unprivileged container has no quotas")
	mountOptions(p, at+"mount_options", m.MountOptions)
}

func mountOptions(p *problems, at string, options []string) {
	for i, o := range options {
		oneOf(p, fmt.Sprintf("%s.%d", at, i), orElse(o, " "), "discard", "lazytime", "noatime", "nodev", "noexec", "nosuid")
	}
}

// stageSize writes the new size of the root volume into what is staged for it, too: at
// the next start Proxmox takes that as it is (vmconfig_apply_pending, pve-container
// 5.3.5), while it measures other volumes anew.
func (a *applier) stageSize(ctx context.Context, key string) error {
	f, _, err := a.read()
	if err != nil {
		return err
	}
	if _, staged := f.conf.Pending().Get(key); key != "rootfs" || !staged {
		return nil
	}
	_, err = a.task.pct(ctx, a.host, "set", fmt.Sprint(a.task.spec.CTID), "--rootfs", f.next[key])
	if err != nil {
		return fmt.Errorf("stage the size of %s of container %d: %w", key, a.task.spec.CTID, err)
	}
	return nil
}
