package dns

// Spec is how the host itself finds names.
type Spec struct {
	// Nameservers are the addresses that are asked, in this order; the C library uses
	// three. Empty is not managed.
	Nameservers []string `json:"nameservers,omitempty"`
	// Search lists the domains that short names are looked up in, in this order;
	// empty is not managed.
	Search []string `json:"search,omitempty"`
	// Domain is the one local domain, an older way to say Search; empty is not
	// managed.
	Domain string `json:"domain,omitempty"`
}
