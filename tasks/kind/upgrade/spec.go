package upgrade

// Spec is how far the installed packages of one machine are kept up to date.
type Spec struct {
	// Upgrade is "never" (also when empty), "security" or "full".
	Upgrade string `json:"upgrade,omitempty"`
	// CacheMaxAgeS is the age of the package lists, in seconds, beyond which they do
	// not tell what there is to upgrade; 0 means a day.
	CacheMaxAgeS int `json:"cache_max_age_s,omitempty"`
	// LockTimeoutS bounds the wait for another package manager, in seconds; 0 means
	// five minutes. A lock is never deleted.
	LockTimeoutS int `json:"lock_timeout_s,omitempty"`
}

// What may be upgraded.
const (
	// Never leaves installed packages at their versions.
	Never = "never"
	// Security upgrades what Debian's security archive has, and what that needs.
	Security = "security"
	// Full upgrades everything, as apt-get dist-upgrade does.
	Full = "full"
)
