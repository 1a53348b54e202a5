// Package lxc manages one LXC container of Proxmox VE: that it exists, every
// property of its configuration, and whether it runs.
//
// Check reads files only: the container's configuration, the cluster's list of
// guests, the kernel's table of sockets and, for a GPU assignment, what NVIDIA's driver
// says of its cards. Changes go through pct, which locks and
// validates, with only the properties that differ; raw lxc.* lines, which pct cannot
// set, are edited in the file under Proxmox's own lock. The exit status of pct is
// never believed: what it was to do is read back.
//
// A container comes from a template or from another container. pct clone takes nearly
// no properties, so a clone is made first and then changed like any container that
// exists; what a container is made for, a template or a snapshot, comes last.
//
// The package never unlocks a container, never takes away what the Spec does not
// mention (an interface, a mount point, an unused volume), never shrinks a volume,
// and never destroys or replaces a container unless the job names its CTID. Facts
// are from pve-container 5.3.5 and hold for Proxmox VE 8 and 9.
//
// Start reading at Spec, then field (what is compared), task.Check and task.Apply.
package lxc
