package apt

// Spec is the packages of one machine.
type Spec struct {
	// Packages wanted. A name that starts with "-" is to be absent: it is removed,
	// not purged.
	Packages []string `json:"packages,omitempty"`
	// Hold lists packages to be kept at their version; a held package that is not
	// listed is left alone.
	Hold []string `json:"hold,omitempty"`
	// CacheMaxAgeS is the age of the package lists, in seconds, beyond which they
	// are fetched before something is installed; 0 means a day.
	CacheMaxAgeS int `json:"cache_max_age_s,omitempty"`
	// LockTimeoutS bounds the wait for another package manager, in seconds; 0 means
	// five minutes. A lock is never deleted.
	LockTimeoutS int `json:"lock_timeout_s,omitempty"`
}
