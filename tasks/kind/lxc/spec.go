package lxc

// Spec is one container. Its keys are those of phoenix_lxc_configs.json; what is
// absent is not managed, except where a default is named.
type Spec struct {
	// CTID is Proxmox's number of the container, unique over all guests of a cluster.
	CTID int `json:"ctid"`
	// Nodes names the inventory's hosts of the cluster by their nodes, for whoever looks
	// for a container that has moved to another.
	Nodes map[string]string `json:"nodes,omitempty"`
	// Stage says which part of the container's making the step is about, where something
	// is made inside between the two: StageBegin or StageFinish. Inside is the digest of
	// all of that.
	Stage  string `json:"stage,omitempty"`
	Inside string `json:"inside,omitempty"`
	// State is "running" (the default), "stopped" or "absent".
	State string `json:"state,omitempty"`
	// Name is the container's host name.
	Name string `json:"name,omitempty"`
	// Description is shown in Proxmox's summary; it may have several lines. A line that
	// tells where the container came from is kept behind it.
	Description *string `json:"description,omitempty"`
	// Tags, compared as a set in lower case. An empty list takes all away.
	Tags []string `json:"tags,omitzero"`
	// Template to create from: a series, an exact file name, or a volume id.
	Template string `json:"template,omitempty"`
	// TemplateStorage keeps the template; "local" when absent.
	TemplateStorage string `json:"template_storage,omitempty"`
	// CloneFromCTID is the container of the same host that this one is made a clone of,
	// in place of a template; 0 for none. Where a container that exists came from is
	// compared where its volume or its description tells.
	CloneFromCTID int `json:"clone_from_ctid,omitempty"`
	// CloneMode is "linked" or "full". When absent it is linked where the parent is a
	// template and the storages can, and full otherwise.
	CloneMode string `json:"clone_mode,omitempty"`
	// CloneFromSnapshot is the snapshot of the parent that is cloned; its present state
	// when absent.
	CloneFromSnapshot string `json:"clone_from_snapshot,omitempty"`
	// IsTemplate makes the container a template of Proxmox in the end, which never runs.
	// nil leaves it as it is.
	IsTemplate *bool `json:"is_template,omitempty"`
	// TemplateSnapshotName is a snapshot that is made of the finished container, once.
	TemplateSnapshotName string `json:"template_snapshot_name,omitempty"`
	// StoragePool takes the root volume.
	StoragePool string `json:"storage_pool,omitempty"`
	// StorageSizeGB is the size of the root volume in GiB; it can only grow.
	StorageSizeGB float64 `json:"storage_size_gb,omitempty"`
	// Rootfs says how the root volume is mounted.
	Rootfs *MountFlags `json:"rootfs,omitempty"`
	// MemoryMB and SwapMB are limits in MiB; swap may be 0.
	MemoryMB int  `json:"memory_mb,omitempty"`
	SwapMB   *int `json:"swap_mb,omitempty"`
	// Cores is the number of processors visible, 1 to 8192; 0 is not managed.
	Cores int `json:"cores,omitempty"`
	// CPULimit is in processors, 0 for none; CPUUnits is a relative weight.
	CPULimit *float64 `json:"cpu_limit,omitempty"`
	CPUUnits *int     `json:"cpu_units,omitempty"`
	// Unprivileged is fixed when the container is made. nil makes an unprivileged one,
	// and leaves a container that exists as it is; a clone has that of its parent.
	Unprivileged *bool `json:"unprivileged,omitempty"`
	// OSType and Arch override what Proxmox detects from the template.
	OSType string `json:"os_type,omitempty"`
	Arch   string `json:"arch,omitempty"`
	// PctOptions are Proxmox's features.
	PctOptions *Features `json:"pct_options,omitempty"`
	// NetworkConfig lists the interfaces, net0 first.
	NetworkConfig Interfaces `json:"network_config,omitempty"`
	// Nameserver and Searchdomain are lists separated by blanks.
	Nameserver   string `json:"nameserver,omitempty"`
	Searchdomain string `json:"searchdomain,omitempty"`
	// MountPoints bind directories of the host; Volumes are allocated on a storage.
	// Both are known by their container path, never by an index.
	MountPoints []MountPoint `json:"mount_points,omitempty"`
	Volumes     []Volume     `json:"volumes,omitempty"`
	// Devices of the host that are passed through, known by their path.
	Devices []Device `json:"devices,omitempty"`
	// GPUAssignment gives NVIDIA cards of the host, with the nodes that go with them.
	// Cards that it does not name are taken away; nil leaves all as they are.
	GPUAssignment Assignment `json:"gpu_assignment,omitzero"`
	// GPULedger is what is kept of the cards beside the configuration; nil is nothing.
	GPULedger *GPULedger `json:"gpu_ledger,omitempty"`
	// StartAtBoot, BootOrder, BootDelayS and ShutdownTimeoutS say how the host
	// starts and stops the container.
	StartAtBoot      *bool `json:"start_at_boot,omitempty"`
	BootOrder        *int  `json:"boot_order,omitempty"`
	BootDelayS       *int  `json:"boot_delay_s,omitempty"`
	ShutdownTimeoutS *int  `json:"shutdown_timeout_s,omitempty"`
	// Protection refuses destroying the container or its volumes.
	Protection *bool `json:"protection,omitempty"`
	// Timezone inside the container: a zone name or "host".
	Timezone string `json:"timezone,omitempty"`
	// Console, ConsoleMode ("tty", "console", "shell") and TTYCount set its terminals.
	Console     *bool  `json:"console,omitempty"`
	ConsoleMode string `json:"console_mode,omitempty"`
	TTYCount    *int   `json:"tty_count,omitempty"`
	// Hookscript is a volume id: "local:snippets/hook.sh".
	Hookscript string `json:"hookscript,omitempty"`
	// LXCOptions are raw lines, "lxc.KEY: VALUE", that Proxmox's own options cannot
	// express. The list replaces all raw lines when it is present, even if empty.
	LXCOptions *[]string `json:"lxc_options,omitempty"`
	// AppArmorProfile is "generated", with which Proxmox makes one after the features,
	// "unconfined", or the name of a profile of the host.
	AppArmorProfile string `json:"apparmor_profile,omitempty"`
	// IDMap maps the users and groups of an unprivileged container. An empty list is
	// Proxmox's own map: 65536 of each, from 100000 on the host.
	IDMap []IDRange `json:"idmap,omitzero"`
	// DependsOn lists CTIDs that are finished first.
	DependsOn []int `json:"depends_on,omitempty"`
	// Restart is "allowed" (the default) or "never".
	Restart string `json:"restart,omitempty"`
	// SnapshotBeforeChange takes a snapshot of a container that exists before it is changed.
	SnapshotBeforeChange Taking `json:"snapshot_before_change,omitempty"`
	// RollbackOnFailure puts the container back to that snapshot when its changes, or the
	// start after them, fail.
	RollbackOnFailure bool `json:"rollback_on_failure,omitempty"`
	// EnableLifecycleSnapshots takes a snapshot of the container once it is made, and after
	// each run that changed it.
	EnableLifecycleSnapshots Taking `json:"enable_lifecycle_snapshots,omitempty"`
	// SnapshotRetention is how many of each sort of phoenix's own snapshots are kept; 3 when 0.
	SnapshotRetention int `json:"snapshot_retention,omitempty"`
	// RemoveFailed destroys a container again that a run has made and could not finish.
	RemoveFailed bool `json:"remove_failed,omitempty"`

	// passed is what GPUAssignment comes to on the host, once that was looked at.
	passed *passed
}

// Features are the switches of Proxmox's `features` option. nil is not managed.
type Features struct {
	Nesting *bool `json:"nesting,omitempty"`
	Keyctl  *bool `json:"keyctl,omitempty"`
	Fuse    *bool `json:"fuse,omitempty"`
	Mknod   *bool `json:"mknod,omitempty"`
	// ForceRWSys lets an unprivileged container write to all of /sys that it may.
	ForceRWSys *bool `json:"force_rw_sys,omitempty"`
	// Mount lists file system types that may be mounted: ["nfs", "cifs"].
	Mount []string `json:"mount,omitzero"`
}

// Interfaces is a list of interfaces; a single object in JSON is a list of one.
type Interfaces []Interface

// Interface is one network interface.
type Interface struct {
	Name   string `json:"name"`
	Bridge string `json:"bridge,omitempty"`
	// IP is "ADDRESS/PREFIX", "dhcp" or "manual"; IP6 also "auto".
	IP  string `json:"ip,omitempty"`
	GW  string `json:"gw,omitempty"`
	IP6 string `json:"ip6,omitempty"`
	GW6 string `json:"gw6,omitempty"`
	// MACAddress is kept as found when absent.
	MACAddress string `json:"mac_address,omitempty"`
	VLAN       int    `json:"vlan,omitempty"`
	// Trunks are VLANs that are let through with their tags. An empty list is all.
	Trunks []int `json:"trunks,omitzero"`
	MTU    int   `json:"mtu,omitempty"`
	// RateMBs limits the traffic, in MB/s.
	RateMBs  float64 `json:"rate_mbs,omitempty"`
	Firewall *bool   `json:"firewall,omitempty"`
	LinkDown *bool   `json:"link_down,omitempty"`
}

// MountPoint is a directory of the host seen in the container.
type MountPoint struct {
	HostPath      string `json:"host_path"`
	ContainerPath string `json:"container_path"`
	// OwnerUID and OwnerGID are the owner of HostPath as seen in the container;
	// they are mapped, applied to the directory itself and never recursive.
	OwnerUID *int  `json:"owner_uid,omitempty"`
	OwnerGID *int  `json:"owner_gid,omitempty"`
	ReadOnly *bool `json:"read_only,omitempty"`
	// MountOptions are those of MountFlags.
	MountOptions []string `json:"mount_options,omitzero"`
	// Shared says that every node of the cluster has HostPath, so that the container can
	// be migrated; Replicate false lets the container's volumes be replicated without it.
	Shared    *bool `json:"shared,omitempty"`
	Replicate *bool `json:"replicate,omitempty"`
	// Create makes HostPath when it is missing; otherwise that is an error.
	Create bool `json:"create,omitempty"`
}

// Volume is allocated on a storage.
type Volume struct {
	Storage       string  `json:"storage"`
	SizeGB        float64 `json:"size_gb"`
	ContainerPath string  `json:"container_path"`
	ReadOnly      *bool   `json:"read_only,omitempty"`
	Backup        *bool   `json:"backup,omitempty"`
	// ACL, Quota, Replicate and MountOptions are those of MountFlags.
	ACL          *bool    `json:"acl,omitempty"`
	Quota        *bool    `json:"quota,omitempty"`
	Replicate    *bool    `json:"replicate,omitempty"`
	MountOptions []string `json:"mount_options,omitzero"`
}

// MountFlags say how a volume is mounted. nil is not managed.
type MountFlags struct {
	ReadOnly *bool `json:"read_only,omitempty"`
	// ACL switches POSIX access lists on or off; without, that is up to the file system.
	ACL *bool `json:"acl,omitempty"`
	// Quota lets a privileged container set quotas of its users.
	Quota *bool `json:"quota,omitempty"`
	// Replicate says whether storage replication includes the volume.
	Replicate *bool `json:"replicate,omitempty"`
	// MountOptions are of discard, lazytime, noatime, nodev, noexec, nosuid.
	MountOptions []string `json:"mount_options,omitzero"`
}

// IDRange maps users or groups of a container to those of the host.
type IDRange struct {
	// Type is "uid", "gid" or "both" (the default).
	Type string `json:"type,omitempty"`
	// ContainerID and HostID are the first of Count numbers.
	ContainerID int `json:"container_id"`
	HostID      int `json:"host_id"`
	Count       int `json:"count"`
}

// Device is a device node of the host.
type Device struct {
	Path string `json:"path"`
	// Mode is octal: "0660".
	Mode string `json:"mode,omitempty"`
	UID  *int   `json:"uid,omitempty"`
	GID  *int   `json:"gid,omitempty"`
	// Group is the name of the container's own group that the node gets in place of GID.
	// It is looked up inside, while the container runs.
	Group     string `json:"group,omitempty"`
	DenyWrite *bool  `json:"deny_write,omitempty"`
}
