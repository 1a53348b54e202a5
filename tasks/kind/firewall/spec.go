package firewall

import "phoenix/tasks/ruleset"

// Spec is Proxmox's firewall of the cluster, of the host, or of both.
type Spec struct {
	// Cluster is /etc/pve/firewall/cluster.fw; nil is not managed.
	Cluster *Cluster `json:"cluster,omitempty"`
	// Host is the host.fw of the node that the step runs on; nil is not managed.
	Host *Host `json:"host,omitempty"`
	// KeepManagementOpen puts a rule before all others that lets SSH and the web
	// interface in; nil means true.
	KeepManagementOpen *bool `json:"keep_management_open,omitempty"`
	// ManagementFrom lists the addresses and networks that the rule is for. Empty means
	// the address that the operator comes from, beside those that the rule has already.
	ManagementFrom []string `json:"management_from,omitempty"`
	// ConfirmTimeoutS is how long a change waits for somebody who still gets in before
	// it is taken back, in seconds; 0 means 60.
	ConfirmTimeoutS int `json:"confirm_timeout_s,omitempty"`
}

// Cluster is what the nodes of a cluster share.
type Cluster struct {
	// Enabled switches the firewall of the whole cluster on or off; nil is not managed.
	Enabled *bool `json:"enabled,omitempty"`
	// PolicyIn, PolicyOut and PolicyForward are ACCEPT, DROP or REJECT, for packets
	// that no rule is for; empty is not managed. A host cannot reject what it forwards.
	PolicyIn      string `json:"policy_in,omitempty"`
	PolicyOut     string `json:"policy_out,omitempty"`
	PolicyForward string `json:"policy_forward,omitempty"`
	// Options are others, by Proxmox's own names. What is not named is not managed.
	Options map[string]string `json:"options,omitempty"`
	// Aliases are names for addresses and networks. Others are left alone.
	Aliases map[string]string `json:"aliases,omitempty"`
	// IPSets are sets of addresses, by name, compared as sets. Others are left alone.
	IPSets map[string][]string `json:"ipsets,omitempty"`
	// Groups are security groups, by name. Others are left alone.
	Groups map[string][]ruleset.Rule `json:"groups,omitempty"`
	// Rules stand before all others of the file, in this order.
	Rules []ruleset.Rule `json:"rules,omitempty"`
}

// Host is what one node has for itself.
type Host struct {
	// Options by Proxmox's own names. What is not named is not managed.
	Options map[string]string `json:"options,omitempty"`
	// Rules stand before all others of the file, in this order.
	Rules []ruleset.Rule `json:"rules,omitempty"`
}
