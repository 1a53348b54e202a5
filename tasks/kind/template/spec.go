package template

// Spec is one container template that must be on a storage.
type Spec struct {
	// Name is a series, "debian-12-standard", of which the newest in the index is
	// wanted unless one of the series is there, or an exact file name,
	// "debian-12-standard_12.7-1_amd64.tar.zst".
	Name string `json:"name"`
	// Storage that keeps it; it must allow content vztmpl.
	Storage string `json:"storage"`
	// SHA512 is the checksum of an exact name, in hexadecimal; without it the one of
	// Proxmox's signed index is used.
	SHA512 string `json:"sha512,omitempty"`
	// Latest wants the newest of the series even when an older one is there.
	Latest bool `json:"latest,omitempty"`
}
