package system

// Spec is the time settings of one machine.
type Spec struct {
	// Timezone is a name below /usr/share/zoneinfo: "Europe/Berlin".
	Timezone string `json:"timezone,omitempty"`
	// NTP says whether a time service keeps the clock (chrony or systemd-timesyncd,
	// whichever the machine has); nil is not managed.
	NTP *bool `json:"ntp,omitempty"`
}
