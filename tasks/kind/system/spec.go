package system

// Spec is the clock, the language and the name of one machine.
type Spec struct {
	// Timezone is a name below /usr/share/zoneinfo: "Europe/Berlin".
	Timezone string `json:"timezone,omitempty"`
	// NTP says whether a time service keeps the clock (chrony or systemd-timesyncd,
	// whichever the machine has); nil is not managed.
	NTP *bool `json:"ntp,omitempty"`
	// Locale is the default of all programs, as /usr/share/i18n/SUPPORTED has it:
	// "en_US.UTF-8".
	Locale string `json:"locale,omitempty"`
	// Hostname is the machine's name without its domain.
	Hostname string `json:"hostname,omitempty"`
}
