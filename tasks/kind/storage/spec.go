package storage

// Spec is one Proxmox storage of type dir.
type Spec struct {
	// ID of the storage, unique in the cluster.
	ID string `json:"id"`
	// Type is "dir".
	Type string `json:"type"`
	// Path of the directory, absolute. It is fixed once the storage exists.
	Path string `json:"path"`
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
