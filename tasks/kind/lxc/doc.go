// Package lxc manages one LXC container of Proxmox VE: that it exists, every
// property of its configuration, and whether it runs.
//
// Check reads files only: the container's configuration, the cluster's list of
// guests and the kernel's table of sockets. Changes go through pct, which locks and
// validates, with only the properties that differ; raw lxc.* lines, which pct cannot
// set, are edited in the file under Proxmox's own lock. The exit status of pct is
// never believed: what it was to do is read back.
//
// The package never unlocks a container, never takes away what the Spec does not
// mention (an interface, a mount point, an unused volume), never shrinks a volume,
// and never destroys or replaces a container unless the job names its CTID. Facts
// are from pve-container 5.3.5 and hold for Proxmox VE 8 and 9.
//
// Start reading at Spec, then field (what is compared), task.Check and task.Apply.
package lxc
