package nvidia

// Spec is the NVIDIA driver of one machine. On a machine without NVIDIA cards of its own
// it asks for nothing.
type Spec struct {
	// Driver is the exact version: "570.86.15". Empty is not managed.
	Driver string `json:"driver,omitempty"`
	// Install is how it comes: "apt", "runfile" or "none" (also when empty), which
	// installs nothing and tells when another version is there.
	Install string `json:"install,omitempty"`
	// Runfile is NVIDIA's own installer, for install "runfile".
	Runfile *Runfile `json:"runfile,omitempty"`
	// Open chooses the kernel module: "open", "closed", or "auto" (also when empty),
	// by the generation of the cards.
	Open string `json:"open,omitempty"`
	// Persistence says whether nvidia-persistenced keeps the cards initialised; nil is
	// not managed.
	Persistence *bool `json:"persistence,omitempty"`
	// DeviceNodes says whether /dev/nvidia* are made at boot before guests start; nil
	// means yes, false is not managed.
	DeviceNodes *bool `json:"device_nodes,omitempty"`
}

// Runfile is where NVIDIA's installer comes from.
type Runfile struct {
	// URL to fetch it from, once for each machine.
	URL string `json:"url,omitempty"`
	// Path of a file on the machine, instead of a URL.
	Path string `json:"path,omitempty"`
	// SHA256 of the file, in hexadecimal.
	SHA256 string `json:"sha256"`
}

// The ways to install; empty is InstallNone.
const (
	InstallAPT     = "apt"
	InstallRunfile = "runfile"
	InstallNone    = "none"
)

// The choices of a kernel module; empty is OpenAuto.
const (
	OpenAuto   = "auto"
	OpenOpen   = "open"
	OpenClosed = "closed"
)
