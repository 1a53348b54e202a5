package inventory

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks/kind/lxc"
)

// storages finds what a container wants of storages that the same host's file says they
// do not give. Storages that no file mentions are looked for on the host.
func (l *loader) storages(h *hostEntry, c *Container) {
	s := &c.Spec
	if h.Hypervisor == nil || s.State == lxc.StateAbsent {
		return
	}
	l.storage(h, c, s.StoragePool, "rootdir", "storage_pool")
	for i, v := range s.Volumes {
		l.storage(h, c, v.Storage, "rootdir", "volumes", fmt.Sprint(i), "storage")
	}
	if s.CloneFromCTID == 0 {
		l.storage(h, c, s.TemplateStorage, "vztmpl", "template_storage")
	}
}

// storage looks at one of them, which the container names at the given path and which
// has to take content.
func (l *loader) storage(h *hostEntry, c *Container, id, content string, path ...string) {
	for i := range h.Hypervisor.Storages {
		st := &h.Hypervisor.Storages[i]
		if st.ID != id {
			continue
		}
		n, _ := c.node.Find(path)
		switch {
		case st.Disabled != nil && *st.Disabled:
			l.found.Add(n.Fault(fmt.Sprintf("storage %s is disabled on host %s", id, h.Name), "see its disabled in the section storage, or take another storage"))
		case len(st.Content) > 0 && !slices.Contains(st.Content, content):
			l.found.Add(n.Fault(fmt.Sprintf("storage %s of host %s has the content %s, without %s", id, h.Name, strings.Join(st.Content, ", "), content),
				"add it to its content in the section storage, or take another storage"))
		}
	}
}
