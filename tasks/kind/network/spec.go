package network

import "time"

// Spec is the bridges of a host.
type Spec struct {
	// Bridges by name. Others are left alone.
	Bridges map[string]Bridge `json:"bridges,omitempty"`
	// ConfirmTimeoutS is how long the new network may go without a new connection
	// from the operator before the old one is put back, in seconds; 0 means 60.
	ConfirmTimeoutS int `json:"confirm_timeout_s,omitempty"`
}

// Bridge is one Linux bridge in /etc/network/interfaces.
type Bridge struct {
	// Ports are the interfaces in the bridge, compared as a set; those of guests come
	// and go by themselves. Empty is a bridge without ports, nil is not managed.
	Ports []string `json:"ports,omitzero"`
	// Address is an IPv4 address with its prefix, "10.0.0.2/24"; empty is not managed.
	Address string `json:"address,omitempty"`
	// Gateway is the IPv4 default gateway; empty is not managed.
	Gateway string `json:"gateway,omitempty"`
	// Address6 and Gateway6 are the same of IPv6.
	Address6 string `json:"address6,omitempty"`
	Gateway6 string `json:"gateway6,omitempty"`
	// VLANAware lets guests have a VLAN tag each; nil is not managed.
	VLANAware *bool `json:"vlan_aware,omitempty"`
	// VIDs are the VLANs that its ports carry, "2-4094" or "20"; nil is not managed.
	VIDs []string `json:"vids,omitempty"`
	// MTU in bytes; 0 is not managed.
	MTU int `json:"mtu,omitempty"`
	// Comment is what Proxmox shows beside the bridge; empty is not managed.
	Comment string `json:"comment,omitempty"`
	// Autostart brings it up at boot and on every reload; nil means true.
	Autostart *bool `json:"autostart,omitempty"`
	// NAT hides a subnet behind another interface's address; nil is not managed.
	NAT *NAT `json:"nat,omitempty"`
}

// NAT is masquerading of what leaves a bridge's subnet.
type NAT struct {
	// Subnet in the bridge: "10.10.0.0/24".
	Subnet string `json:"subnet"`
	// Out is the interface that the packets leave by: "vmbr0".
	Out string `json:"out"`
}

// autostart is whether ifreload cares for the bridge.
func (b Bridge) autostart() bool { return b.Autostart == nil || *b.Autostart }

func (s Spec) timeout() time.Duration {
	if s.ConfirmTimeoutS == 0 {
		return time.Minute
	}
	return time.Duration(s.ConfirmTimeoutS) * time.Second
}
