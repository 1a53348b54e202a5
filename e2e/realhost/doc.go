// Package realhost starts real OpenSSH servers on loopback addresses, each in a
// root file system of its own: an overlay above the machine's, in a private mount
// namespace, in which the simulated Proxmox programs stand where Proxmox's would.
// A client that logs in there cannot tell it from a Proxmox host.
//
// With Options.Wire each host has a network of its own as well, so that a change of it
// really cuts the connection; the machine's own network is not touched.
//
// With Options.Cards a host has NVIDIA cards, as far as a machine can have them without a
// driver: see layCards.
//
// With Options.Template a host runs real containers as well, by Debian's LXC: those of
// e2e/pctlxc. They have the machine's kernel, memory for a disk, and a way out through
// a process of slirp4netns. What no namespace takes away, the control groups, a process
// does that outlives the test.
//
// It needs root, overlayfs and sshd, and says so when one is missing. Everything
// it mounts lives in the namespaces of the servers and goes with them, even when
// the test is killed. Start reading at Start.
package realhost
