package pveuser

// Spec is one user of Proxmox VE.
type Spec struct {
	// Name without the realm.
	Name string `json:"name"`
	// Realm that the user comes from: "pam" (the default) for a user of the machine,
	// "pve" for one of Proxmox's own, or a directory.
	Realm string `json:"realm,omitempty"`
	// Enabled says whether the user may log in; nil is not managed.
	Enabled *bool `json:"enabled,omitempty"`
	// Comment about the user; empty is not managed.
	Comment string `json:"comment,omitempty"`
	// Email address; empty is not managed.
	Email string `json:"email,omitempty"`
	// Groups of Proxmox that the user must be in, beside others. Missing ones are made.
	Groups []string `json:"groups,omitempty"`
	// ACL are rights that the user must have, beside others.
	ACL []Right `json:"acl,omitempty"`
}

// Right is one role at one path.
type Right struct {
	// Path is "/", "/vms/900", "/storage/local", "/pool/lab", …
	Path string `json:"path"`
	// Role is one of Proxmox's own, or one that was made with pveum.
	Role string `json:"role"`
	// Propagate says whether it also holds below the path; nil means yes.
	Propagate *bool `json:"propagate,omitempty"`
}
