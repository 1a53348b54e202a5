package inventory

import "strings"

// neighbours names the other hosts of the host's cluster by their nodes, so that the
// host can say where a container belongs that has moved. Without a cluster there are none.
func neighbours(h *hostEntry, hosts []*hostEntry) map[string]string {
	out := make(map[string]string)
	for _, other := range hosts {
		if h.Cluster != "" && other != h && other.Cluster == h.Cluster {
			out[other.nodeName()] = other.Name
		}
	}
	return out
}

// nodeName is the name of the Proxmox node that the host is: what the configuration calls
// it, or else the first part of its name in the inventory.
func (h *Host) nodeName() string {
	if v := h.Hypervisor; v != nil && v.System != nil && v.System.Hostname != "" {
		return v.System.Hostname
	}
	name, _, _ := strings.Cut(h.Name, ".")
	return name
}
