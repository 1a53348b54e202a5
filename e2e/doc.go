// Package e2e drives the built programs against real parts: OpenSSH servers, the
// simulated Proxmox programs as executables on a path, proxies that cut and count.
// It also holds the project's conventions: which package may import which, how
// long a file may be, what the helper may be made of.
//
// It imports no package of the product but test support. Start reading at
// TestConventions and at the Fleet that the other tests share.
package e2e
