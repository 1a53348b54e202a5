package user

import "phoenix/tasks/secret"

// Spec is one user of the machine itself.
type Spec struct {
	// Name to log in with: lower-case letters, digits and _ . -
	Name string `json:"name"`
	// State is "present" (the default) or "absent". Of a user that is to be absent
	// nothing else can be said, and the home directory stays.
	State string `json:"state,omitempty"`
	// UID is the user's number; nil is not managed.
	UID *int `json:"uid,omitempty"`
	// Comment is the GECOS field, usually the full name; empty is not managed.
	Comment string `json:"comment,omitempty"`
	// Home is the home directory, absolute; empty is not managed. What lies in the
	// old one stays there.
	Home string `json:"home,omitempty"`
	// Shell is the login shell, absolute; empty is not managed.
	Shell string `json:"shell,omitempty"`
	// System makes a new user one of the system's, with a low number and no home
	// directory. It says nothing about one that exists.
	System bool `json:"system,omitempty"`
	// Groups that the user must be in, beside others. Missing ones are made.
	Groups []string `json:"groups,omitempty"`
	// PasswordHash refers to a crypt(3) hash; nil is not managed.
	PasswordHash *secret.Ref `json:"password_hash,omitempty"`
	// Locked says whether logging in with the password is switched off; nil is not
	// managed. Keys are not concerned.
	Locked *bool `json:"locked,omitempty"`
	// AuthorizedKeys are lines of ~/.ssh/authorized_keys that must be there. Keys are
	// told apart by the key itself; options are compared, comments are not.
	AuthorizedKeys []string `json:"authorized_keys,omitempty"`
	// ExclusiveKeys takes away every line that is not among AuthorizedKeys.
	ExclusiveKeys bool `json:"exclusive_keys,omitempty"`
	// Sudo are rules without the user's name: "ALL=(ALL:ALL) NOPASSWD: ALL". Nil is
	// not managed, an empty list takes those away that phoenix has written.
	Sudo []string `json:"sudo,omitzero"`
}
