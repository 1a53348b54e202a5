// Package pveuser keeps a user of Proxmox VE: whether it may log in, its groups, and
// the rights that it must have.
//
// It reads /etc/pve/user.cfg itself and changes it through pveum, which locks and
// validates. The file is the cluster's, so one change holds on every node. It never
// takes a right or a group away, never sets a password, never makes a role, a token or
// a realm, and never removes a user. Start reading at Spec.
package pveuser

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/cfslock"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "pveuser"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// ID is NAME@REALM.
func (s *Spec) ID() string {
	if s.Realm == "" {
		return s.Name + "@pam"
	}
	return s.Name + "@" + s.Realm
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check compares everything managed with user.cfg.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	if _, err := pve.Node(h); err != nil {
		return nil, err
	}
	cfg, err := pve.ReadUserCfg(h)
	if err != nil {
		return nil, err
	}
	if err := t.realmExists(h); err != nil {
		return nil, err
	}
	var d tasks.Diff
	now, exists := cfg.Accounts[t.spec.ID()]
	if !exists {
		d.Add("exists", "", t.spec.ID(), tasks.EffectLive)
	}
	if want := t.spec.Enabled; want != nil {
		from := ""
		if exists {
			from = strconv.FormatBool(now.Enabled)
		}
		d.Add("enabled", from, strconv.FormatBool(*want), tasks.EffectLive)
	}
	if t.spec.Comment != "" {
		d.Add("comment", now.Comment, t.spec.Comment, tasks.EffectLive)
	}
	if t.spec.Email != "" {
		d.Add("email", now.Email, t.spec.Email, tasks.EffectLive)
	}
	for _, g := range t.spec.Groups {
		members, known := cfg.Groups[g]
		if slices.Contains(members, t.spec.ID()) {
			continue
		}
		c := tasks.Change{Path: "groups." + g, To: "member", Effect: tasks.EffectLive}
		if !known {
			c.Note = "the group does not exist and is made"
		}
		d = append(d, c)
	}
	return d, t.checkRights(cfg, &d)
}

// realmExists finds a misspelt realm, which pveum takes without a word.
func (t *task) realmExists(h tasks.Host) error {
	realms, err := pve.ReadRealms(h)
	if err != nil {
		return err
	}
	if _, realm, _ := strings.Cut(t.spec.ID(), "@"); !slices.Contains(realms, realm) {
		return fmt.Errorf("check user %s: there is no realm %s (there are %s; make it with pveum realm add)", t.spec.ID(), realm, strings.Join(realms, ", "))
	}
	return nil
}

func (t *task) checkRights(cfg pve.UserCfg, d *tasks.Diff) error {
	for _, r := range t.spec.ACL {
		if !cfg.KnowsRole(r.Role) {
			return fmt.Errorf("check user %s: there is no role %s (make it with pveum role add)", t.spec.ID(), r.Role)
		}
		have, found := cfg.Right(r.Path, t.spec.ID(), r.Role)
		from := ""
		if found {
			from = reach(have.Propagate)
		}
		d.Add(r.change(), from, reach(r.propagates()), tasks.EffectLive)
	}
	return nil
}

// change is the path of a right in a Diff.
func (r Right) change() string { return "acl." + r.Path + "." + r.Role }

func (r Right) propagates() bool { return r.Propagate == nil || *r.Propagate }

func reach(propagates bool) string {
	if propagates {
		return "there and below"
	}
	return "there only"
}

// Apply makes the groups, the user, and then the rights, which pveum wants to know
// somebody for.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := pve.Writable(h); err != nil {
		return err
	}
	cfg, err := pve.ReadUserCfg(h)
	if err != nil {
		return err
	}
	var join []string
	for _, g := range t.spec.Groups {
		if !d.Has("groups." + g) {
			continue
		}
		join = append(join, g)
		if _, known := cfg.Groups[g]; !known {
			if err := cfslock.Run(ctx, h, pveum("group", "add", g)); err != nil {
				return err
			}
		}
	}
	if err := t.account(ctx, h, d, join); err != nil {
		return err
	}
	for _, r := range t.spec.ACL {
		if !d.Has(r.change()) {
			continue
		}
		propagate := map[bool]string{true: "1", false: "0"}[r.propagates()]
		if err := cfslock.Run(ctx, h, pveum("acl", "modify", r.Path, "--users", t.spec.ID(), "--roles", r.Role, "--propagate", propagate)); err != nil {
			return err
		}
	}
	return nil
}

// account adds the user with all that is said of it, or sets what differs.
func (t *task) account(ctx context.Context, h tasks.Host, d tasks.Diff, join []string) error {
	var options []string
	if t.spec.Enabled != nil && d.Has("enabled") {
		options = append(options, "--enable", map[bool]string{true: "1", false: "0"}[*t.spec.Enabled])
	}
	if d.Has("comment") {
		options = append(options, "--comment", t.spec.Comment)
	}
	if d.Has("email") {
		options = append(options, "--email", t.spec.Email)
	}
	if len(join) > 0 {
		options = append(options, "--groups", strings.Join(join, ","))
	}
	if d.Has("exists") {
		return cfslock.Run(ctx, h, pveum(append([]string{"user", "add", t.spec.ID()}, options...)...))
	}
	if len(options) == 0 {
		return nil
	}
	if len(join) > 0 {
		options = append(options, "--append", "1") // without it, --groups replaces
	}
	return cfslock.Run(ctx, h, pveum(append([]string{"user", "modify", t.spec.ID()}, options...)...))
}

func pveum(args ...string) tasks.Cmd { return tasks.Cmd{Argv: append([]string{"pveum"}, args...)} }
