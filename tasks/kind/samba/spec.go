package samba

import (
	"phoenix/tasks/secret"
	"phoenix/tasks/sharedir"
)

// Spec is what Samba gives to others of this machine, as far as it is ours.
type Spec struct {
	// Workgroup is the name of the workgroup; empty is not managed.
	Workgroup string `json:"workgroup,omitempty"`
	// Shares by name. Those of smb.conf itself are left alone.
	Shares map[string]Share `json:"shares,omitempty"`
	// Users of Samba by name; each is a Linux user as well. Others are left alone.
	Users map[string]User `json:"users,omitempty"`
}

// Share is one share.
type Share struct {
	// Path of the directory, absolute.
	Path string `json:"path"`
	// Comment is shown beside the name; empty for none.
	Comment string `json:"comment,omitempty"`
	// ReadOnly is Samba's "read only", GuestOK its "guest ok", Browseable its
	// "browseable". Nil is Samba's default: yes, no, yes.
	ReadOnly   *bool `json:"read_only,omitempty"`
	GuestOK    *bool `json:"guest_ok,omitempty"`
	Browseable *bool `json:"browseable,omitempty"`
	// ValidUsers may use the share, and nobody else; @NAME is a group. Empty is
	// everybody.
	ValidUsers []string `json:"valid_users,omitempty"`
	// WriteList may write though the share is read only.
	WriteList []string `json:"write_list,omitempty"`
	// ForceUser and ForceGroup own what is written, and are whose rights count.
	ForceUser  string `json:"force_user,omitempty"`
	ForceGroup string `json:"force_group,omitempty"`
	// CreateMask and DirectoryMask bound the modes of new files and directories: "0660".
	CreateMask    string `json:"create_mask,omitempty"`
	DirectoryMask string `json:"directory_mask,omitempty"`
	// Options are others, by the names of smb.conf(5).
	Options map[string]string `json:"options,omitempty"`

	sharedir.Spec `json:",inline"`
}

// User is one user of Samba.
type User struct {
	// Password by reference.
	Password *secret.Ref `json:"password"`
}
