// Package user keeps a user of the machine: the account, its groups, its password, the
// keys that may log in, and its sudo rules.
//
// It reads /etc/passwd, /etc/group, /etc/shadow, ~/.ssh/authorized_keys and
// /etc/sudoers.d, starts nothing in a check, and changes accounts through useradd,
// usermod, gpasswd and chpasswd. It never takes a user out of a group, never moves or
// removes a home directory, never removes root or an account of the base system, and
// never writes sudo rules that visudo has not accepted. A hash travels on standard
// input only. Start reading at Spec; task.go compares accounts, keys.go and sudo.go
// their files, apply.go changes.
package user

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/account"
)

// Name of the family in steps and in step IDs.
const Name = "user"

// The states of a Spec; empty is StatePresent.
const (
	StatePresent = "present"
	StateAbsent  = "absent"
)

// baseUIDs are the numbers that Debian gives out by hand: below are accounts that
// every system has and needs (Debian policy 9.2.2).
const baseUIDs = 100

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check compares everything managed of the user.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	now, exists, err := account.FindUser(h, t.spec.Name)
	if err != nil {
		return nil, err
	}
	if t.spec.State == StateAbsent {
		return t.checkAbsent(h, now, exists)
	}
	var d tasks.Diff
	if !exists {
		d.Add("state", "", StatePresent, tasks.EffectLive)
	}
	t.compare(now, exists, &d)
	for _, check := range []func() error{
		func() error { return t.checkGroups(h, now, exists, &d) },
		func() error { return t.checkPassword(ctx, h, exists, &d) },
		func() error { return t.checkKeys(h, now, exists, &d) },
		func() error { return t.checkSudo(h, &d) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// checkAbsent has the account and the sudo rules go, which another account of the
// same name would inherit.
func (t *task) checkAbsent(h tasks.Host, now account.User, exists bool) (tasks.Diff, error) {
	var d tasks.Diff
	if exists {
		if now.UID < baseUIDs {
			return nil, fmt.Errorf("remove user %s: it has number %d and belongs to the base system (take it out of the configuration)", now.Name, now.UID)
		}
		d.Add("state", StatePresent, StateAbsent, tasks.EffectLive)
		d[0].Note = now.Home + " stays"
	}
	return d, t.compareSudo(h, nil, &d)
}

// compare looks at the fields of /etc/passwd.
func (t *task) compare(now account.User, exists bool, d *tasks.Diff) {
	if want := t.spec.UID; want != nil {
		from := ""
		if exists {
			from = strconv.Itoa(now.UID)
		}
		before := len(*d)
		d.Add("uid", from, strconv.Itoa(*want), tasks.EffectLive)
		if exists && len(*d) > before {
			(*d)[before].Note = "files outside of the home directory keep the number " + from
		}
	}
	for _, f := range []struct{ path, have, want string }{
		{"comment", now.Comment, t.spec.Comment},
		{"home", now.Home, t.spec.Home},
		{"shell", now.Shell, t.spec.Shell},
	} {
		if f.want != "" {
			d.Add(f.path, f.have, f.want, tasks.EffectLive)
		}
	}
}

func (t *task) checkGroups(h tasks.Host, now account.User, exists bool, d *tasks.Diff) error {
	for _, name := range t.spec.Groups {
		g, known, err := account.FindGroup(h, name)
		if err != nil {
			return err
		}
		if known && exists && g.Has(now) {
			continue
		}
		c := tasks.Change{Path: "groups." + name, To: "member", Effect: tasks.EffectLive}
		if !known {
			c.Note = "the group does not exist and is made"
		}
		*d = append(*d, c)
	}
	return nil
}

// checkPassword compares the hash and the lock, which Linux keeps in one field.
func (t *task) checkPassword(ctx context.Context, h tasks.Host, exists bool, d *tasks.Diff) error {
	if t.spec.PasswordHash == nil && t.spec.Locked == nil {
		return nil
	}
	now := password{none: true}
	if exists {
		field, err := account.Password(h, t.spec.Name)
		if err != nil {
			return err
		}
		now = parsePassword(field)
	}
	if ref := t.spec.PasswordHash; ref != nil {
		want, err := t.hash(ctx)
		if err != nil {
			return err
		}
		from := "another password"
		if now.none {
			from = ""
		}
		if now.hash != want {
			d.Add("password_hash", from, "secret "+ref.Name, tasks.EffectLive)
		}
	}
	if want := t.spec.Locked; want != nil {
		from := ""
		if exists {
			from = strconv.FormatBool(now.locked)
		}
		d.Add("locked", from, strconv.FormatBool(*want), tasks.EffectLive)
	}
	return nil
}

// password is the second field of /etc/shadow, taken apart.
type password struct {
	hash string
	// locked tells that the hash, or the absence of one, is behind an exclamation mark.
	locked bool
	// none tells that there is no hash at all.
	none bool
}

func parsePassword(field string) password {
	hash := strings.TrimLeft(field, "!")
	return password{hash: hash, locked: hash != field, none: hash == "" || hash == "*"}
}

// hash is the value of the secret. What is no hash is most likely the password itself,
// and is not shown.
func (t *task) hash(ctx context.Context) (string, error) {
	v, err := tasks.SecretValue(ctx, t.spec.PasswordHash.Name)
	if err != nil {
		return "", err
	}
	if !regexp.MustCompile(`^\$[0-9a-z]+\$[./0-9A-Za-z$=,]+$`).MatchString(v) {
		return "", errors.New("read the hash of " + t.spec.Name + ": secret " + t.spec.PasswordHash.Name +
			" is no crypt(3) hash (make one with `mkpasswd -m yescrypt` or `openssl passwd -6`)")
	}
	return v, nil
}
