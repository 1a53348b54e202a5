package service

// Spec is one systemd unit.
type Spec struct {
	// Name of the unit; without a suffix it is a .service.
	Name string `json:"name"`
	// Enabled says whether it starts at boot; nil is not managed.
	Enabled *bool `json:"enabled,omitempty"`
	// Active says whether it runs now; nil is not managed.
	Active *bool `json:"active,omitempty"`
}
