// Package inventory reads which Proxmox VE hosts there are and what is wanted of
// them: hosts.yaml, phoenix_hypervisor_config.json and phoenix_lxc_configs.json.
//
// Load finds every fault of every file in one go, each with its place, and gives a
// Fleet only when there is none: what did not validate cannot be contacted. The
// package reads files and, for a dynamic inventory, runs a program; it never talks
// to a network and never resolves a secret. What a container or a storage may look
// like is the business of the families under tasks/kind, whose Specs validate
// themselves; this package knows documents, merging, places, and the rules between
// hosts. Start reading at Load and Fleet.
package inventory

import (
	"context"
	"io"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/inventory/gpulock"
	"phoenix/inventory/secrets"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/arc"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/kind/dns"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/kind/guestfirewall"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/kind/network"
	"phoenix/tasks/kind/nfs"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/kind/samba"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/template"
	"phoenix/tasks/kind/upgrade"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/kind/zpool"
)

// DefaultSource is read when no source is named.
const DefaultSource = "hosts.yaml"

// Options say what is read, and stand for the world around the process.
type Options struct {
	// Sources are files, directories, executables, or "-" for Stdin. Several are
	// merged. None means DefaultSource in the working directory.
	Sources []string
	// Stdin is read for the source "-".
	Stdin io.Reader
	// Home replaces a leading ~ in paths.
	Home string
	// UID is the operator's user ID: files that belong to anybody else but root are
	// refused. The zero value accepts files of root only.
	UID int
	// Run starts an executable source and returns what it printed; nil runs it for
	// real. The context ends it after 30 s.
	Run func(ctx context.Context, argv []string) (stdout []byte, err error)
}

// Fleet is all hosts and what is wanted of them. After Load, only Host.Pin and Host.Unmet
// change it.
type Fleet struct {
	// Hosts in the order of the files.
	Hosts []*Host
	// Secrets says where values come from, by name.
	Secrets map[string]secrets.Source
	// Warnings were found while loading; they stop nothing.
	Warnings diag.List

	groups []group
}

// Host is one hypervisor: how to reach it and what is wanted of it. An empty field
// leaves the matter to the user's ssh configuration.
type Host struct {
	// Name in the inventory.
	Name string
	// Address to connect to, the Name when the inventory has none.
	Address string
	// Port, or 0.
	Port int
	// User to log in as, or "".
	User string
	// Jump lists the hosts to go through, first hop first.
	Jump []string
	// IdentityFiles are private keys, as paths from the working directory.
	IdentityFiles []string
	// HostKey pins the public key.
	HostKey string
	// Become is "" or "sudo".
	Become string
	// BecomePassword is the name of the secret that sudo asks for, or "".
	BecomePassword string
	// Cluster is the name of the Proxmox cluster; CTIDs are unique in it.
	Cluster string
	// MaxWorkers is how many containers are worked on at the same time, and
	// MaxWorkersPerStorage how many of those that have volumes on one storage; 0 for the
	// defaults.
	MaxWorkers, MaxWorkersPerStorage int
	// QuietAfterS is how long a step may say nothing before that is said, in seconds; 0
	// means for ever.
	QuietAfterS int
	// Groups that the host is in, those of least precedence first.
	Groups []string
	// Vars are the variables, with references in them expanded.
	Vars map[string]any
	// LXC is the file that says what containers there are, or "".
	LXC string
	// CTIDs of the containers that live on the host, ascending.
	CTIDs []int

	// Hypervisor is what is wanted of the host itself; nil when it is not managed.
	Hypervisor *Hypervisor
	// Containers that live on the host, by ascending CTID.
	Containers []Container

	settings []Setting
	lock     *LockFile
}

// Hypervisor is a phoenix_hypervisor_config.json as one host sees it. What is nil
// or empty is not managed.
type Hypervisor struct {
	System *system.Spec
	Apt    *apt.Spec
	// Repositories and Upgrade are the other parts of the section apt.
	Repositories *repository.Spec
	Upgrade      *upgrade.Spec
	Kernel       *kernel.Spec
	// NVIDIA is the driver, Cards what is said of who may have which card, MIG how they
	// are divided.
	NVIDIA *nvidia.Spec
	Cards  *Cards
	MIG    *mig.Spec
	// Network and DNS are the parts of the section network.
	Network *network.Spec
	DNS     *dns.Spec
	// Pools, Datasets and Arc are the parts of the section zfs.
	Pools    []zpool.Spec
	Datasets []dataset.Spec
	Arc      *arc.Spec
	NFS      *nfs.Spec
	Samba    *samba.Spec
	// Firewall is that of the cluster and that of the host.
	Firewall *firewall.Spec
	// Storages, Files and Services are in the order of the file.
	Storages  []storage.Spec
	Templates []template.Spec
	Files     []file.Spec
	Services  []service.Spec
	// Users are those of the machine, PVEUsers those of Proxmox.
	Users    []user.Spec
	PVEUsers []pveuser.Spec
	// Scripts are the operator's own steps.
	Scripts []Script
	// Features are those of the folder features, each with its parameters.
	Features     []Script
	HealthChecks []HealthCheck
}

// Container is an entry of a phoenix_lxc_configs.json, merged from the defaults, its
// profiles and itself.
type Container struct {
	Spec lxc.Spec
	// Request is the GPU assignment that names no card; nil where it names some.
	Request *gpulock.Request
	// GPUMemoryGB is what the container takes of the memory of each of its cards, in units
	// of 10^9 bytes; 0 is not said.
	GPUMemoryGB float64
	// Firewall is what Proxmox's firewall does for the container; nil is not managed.
	Firewall *guestfirewall.Spec
	// HealthChecks are asked inside it, while it is to run.
	HealthChecks []HealthCheck
	// Inside is what is made in it, in this order; it has what a clone inherits.
	Inside []Inside
	// Profiles that were applied, in order.
	Profiles []string
	// Origin is where the entry is written: "phoenix_lxc_configs.json:12".
	Origin string

	node *document.Node
}

// Load reads and validates everything. The list holds every fault and warning,
// sorted by place; the Fleet is nil when the list has errors.
func Load(ctx context.Context, o Options) (*Fleet, diag.List) {
	l := newLoader(ctx, o)
	fleet := l.load()
	l.found.Sort()
	if l.found.HasErrors() {
		return nil, l.found
	}
	fleet.Warnings = l.found.Warnings()
	return fleet, l.found
}

// Host returns the host of that name, or nil.
func (f *Fleet) Host(name string) *Host {
	for _, h := range f.Hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}
