package repository

// Spec is where the packages of one machine come from.
type Spec struct {
	// Repositories chooses Proxmox VE's own archive: "no-subscription", "enterprise",
	// or "keep" (also when empty), which leaves it as it is.
	Repositories string `json:"repositories,omitempty"`
	// Ceph chooses the archive of Ceph that Proxmox packages: "no-subscription",
	// "enterprise", "none", or "keep" (also when empty).
	Ceph string `json:"ceph,omitempty"`
	// ExtraSources are other archives, by the name of their file in
	// /etc/apt/sources.list.d without its suffix.
	ExtraSources map[string]Source `json:"extra_sources,omitempty"`
	// LockTimeoutS bounds the wait for another package manager, in seconds; 0 means
	// five minutes. A lock is never deleted.
	LockTimeoutS int `json:"lock_timeout_s,omitempty"`
}

// Source is one archive beside Debian's and Proxmox's.
type Source struct {
	// Types are "deb" and "deb-src"; none means "deb".
	Types []string `json:"types,omitempty"`
	// URIs of the archive and of its mirrors.
	URIs []string `json:"uris"`
	// Suites of the archive. "release" stands for the host's own release, also at the
	// beginning: "release-backports"; one that ends in "/" is a path.
	Suites []string `json:"suites"`
	// Components of the suites; a path has none.
	Components []string `json:"components,omitempty"`
	// SignedBy is the absolute path of a keyring on the host, or an armoured key. Empty
	// is not managed: apt then trusts the keys in /etc/apt/trusted.gpg.d.
	SignedBy string `json:"signed_by,omitempty"`
	// Architectures to fetch; none is not managed.
	Architectures []string `json:"architectures,omitempty"`
	// Enabled says whether apt uses it; nil means yes.
	Enabled *bool `json:"enabled,omitempty"`
}

// The choices of an archive.
const (
	// Keep leaves it as it is.
	Keep = "keep"
	// NoSubscription is the archive that everybody may use.
	NoSubscription = "no-subscription"
	// Enterprise is the archive for hosts with a subscription.
	Enterprise = "enterprise"
	// None is for Ceph only: no archive of it.
	None = "none"
)
