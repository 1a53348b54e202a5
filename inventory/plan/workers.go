package plan

import (
	"cmp"
	"fmt"

	"phoenix/inventory"
	"phoenix/tasks/kind/lxc"
)

// How many containers are worked on at the same time where the inventory says nothing.
// Four is how many workers Proxmox itself starts on a node (max_workers of
// datacenter.cfg). Two on one storage keep its disks busy; more only wait for each other
// and for Proxmox's lock of the storage.
const (
	defaultWorkers           = 4
	defaultWorkersPerStorage = 2
)

// useNode is what all containers of a host use.
const useNode = "node"

func useStorage(id string) string { return "storage:" + id }

// useContainer is used by a container itself and by its clones: Proxmox locks the parent
// of a clone until that is made (PVE::API2::LXC clone_vm, pve-container 5.3.5).
func useContainer(ctid int) string { return fmt.Sprintf("ct:%d", ctid) }

// containerUses is what working on a container takes.
func containerUses(h *inventory.Host, c *lxc.Spec) []string {
	out := []string{useNode, useContainer(c.CTID)}
	if c.CloneFromCTID != 0 {
		out = append(out, useContainer(c.CloneFromCTID))
	}
	if pool := h.StoragePool(c); pool != "" {
		out = append(out, useStorage(pool))
	}
	for _, v := range c.Volumes {
		out = append(out, useStorage(v.Storage))
	}
	return unique(out)
}

// limits is how often each of these things is used at a time. A container is worked on
// by one.
func limits(h *inventory.Host) map[string]int {
	if len(h.Containers) == 0 {
		return nil
	}
	workers := cmp.Or(h.MaxWorkers, defaultWorkers)
	out := map[string]int{useNode: workers, useInside: workers}
	for i := range h.Containers {
		c := &h.Containers[i].Spec
		if pool := h.StoragePool(c); pool != "" {
			out[useStorage(pool)] = cmp.Or(h.MaxWorkersPerStorage, defaultWorkersPerStorage)
		}
		for _, v := range c.Volumes {
			out[useStorage(v.Storage)] = cmp.Or(h.MaxWorkersPerStorage, defaultWorkersPerStorage)
		}
	}
	return out
}
