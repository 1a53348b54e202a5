package storage

import "phoenix/tasks/secret"

// Spec is one Proxmox storage. What its type does not know must be left out.
type Spec struct {
	// ID of the storage, unique in the cluster.
	ID string `json:"id"`
	// Type is dir, zfspool, lvmthin, btrfs, nfs or cifs. It is fixed once the storage
	// exists.
	Type string `json:"type"`
	// Path of the directory, absolute: of dir and btrfs; of nfs and cifs, where it is
	// mounted, /mnt/pve/ID when empty. It is fixed once the storage exists.
	Path string `json:"path,omitempty"`

	// Pool is the ZFS pool or dataset of a zfspool. Fixed.
	Pool string `json:"pool,omitempty"`
	// Sparse says that volumes of a zfspool take no space before they are written; nil
	// is not managed.
	Sparse *bool `json:"sparse,omitempty"`
	// Mountpoint is where the pool of a zfspool is mounted, where that is not what ZFS
	// says; empty is not managed.
	Mountpoint string `json:"mountpoint,omitempty"`
	// Blocksize is that of new volumes of a zfspool, "16k"; empty is not managed.
	Blocksize string `json:"blocksize,omitempty"`

	// VGName and ThinPool are the volume group and the thin pool of an lvmthin. Fixed.
	VGName   string `json:"vgname,omitempty"`
	ThinPool string `json:"thinpool,omitempty"`

	// Server is the host of nfs and cifs, by name or address. Fixed.
	Server string `json:"server,omitempty"`
	// Export is the path on the server of nfs. Fixed.
	Export string `json:"export,omitempty"`
	// Share is the name on the server of cifs. Fixed.
	Share string `json:"share,omitempty"`
	// Options are those of the mount of nfs and cifs, "vers=4.2,soft"; empty is not
	// managed.
	Options string `json:"options,omitempty"`
	// Username, Domain and SMBVersion are how to log in to cifs; empty is not managed.
	Username   string `json:"username,omitempty"`
	Domain     string `json:"domain,omitempty"`
	SMBVersion string `json:"smbversion,omitempty"`
	// Password of the Username is a reference to a secret; nil is not managed.
	Password *secret.Ref `json:"password,omitempty"`

	// Content is what may be kept there: images, rootdir, vztmpl, iso, backup,
	// snippets, import, none. Compared as a set; empty is not managed.
	Content []string `json:"content,omitempty"`
	// Nodes limits the storage to nodes of the cluster; empty is not managed.
	Nodes []string `json:"nodes,omitempty"`
	// Shared says that all nodes see the same directory; nil is not managed.
	Shared *bool `json:"shared,omitempty"`
	// Disabled switches the storage off; nil is not managed.
	Disabled *bool `json:"disabled,omitempty"`
	// IsMountpoint refuses the storage while nothing is mounted at Path; nil is not
	// managed.
	IsMountpoint *bool `json:"is_mountpoint,omitempty"`
	// PruneBackups is Proxmox's own property string: "keep-last=3,keep-weekly=2".
	PruneBackups string `json:"prune_backups,omitempty"`
}
