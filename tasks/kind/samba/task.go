// Package samba keeps shares and users of Samba: the shares in our own file
// /etc/samba/phoenix.conf, which smb.conf reads by a line at its very end.
//
// A check parses both files; where users are managed and Samba has any, it asks
// pdbedit, whose hash tells whether a password is the wanted one. A change is read by
// testparm before it is installed. That program reports success for nearly
// everything, so what it says is looked at. Then smbd is told; one that cannot be told
// reads changed files by itself within a minute, so that is no failure. Our file is
// ours as a whole: a share that left the configuration leaves it, too. It never
// changes smb.conf but for that line, never removes a user, and makes no Linux user.
// Passwords go to smbpasswd on its standard input.
// Start reading at Spec; conf.go has the grammar, task.go compares, apply.go changes.
package samba

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/nthash"
)

// Name of the family in steps and in step IDs.
const Name = "samba"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check compares the files, then the directories, then the users.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	d, err := t.files(h)
	if err != nil {
		return nil, err
	}
	for _, name := range tasks.Keys(t.spec.Shares) {
		s := t.spec.Shares[name]
		more, err := s.Spec.Check(ctx, h, "shares."+name+".", s.Path)
		if err != nil {
			return nil, err
		}
		d = append(d, more...)
	}
	users, err := t.users(ctx, h)
	return append(d, users...), err
}

// files compares smb.conf and ours.
func (t *task) files(h tasks.Host) (tasks.Diff, error) {
	data, _, err := tasks.ReadIfExists(h, mainFile)
	if err != nil {
		return nil, err
	}
	own, _, err := tasks.ReadIfExists(h, ownFile)
	if err != nil {
		return nil, err
	}
	theirs := parse(string(data))
	if err := t.others(h, mainFile, theirs, 0); err != nil {
		return nil, err
	}
	var d tasks.Diff
	if t.spec.Workgroup != "" || len(t.spec.Shares) > 0 || len(own) > 0 {
		d.Add("include", placement(string(data)), "last line", tasks.EffectLive)
	}
	ours := parse(string(own))
	if w := t.spec.Workgroup; w != "" {
		have := "WORKGROUP"
		for _, all := range [][]conf{theirs, ours} {
			global, _ := section(all, "global")
			if v, ok := global.get("workgroup"); ok {
				have = v
			}
		}
		if !strings.EqualFold(have, w) {
			d.Add("workgroup", have, w, tasks.EffectLive)
		}
	}
	for _, name := range tasks.Keys(t.spec.Shares) {
		d = append(d, shareDiff(name, t.spec.Shares[name], ours)...)
	}
	for _, c := range ours {
		if _, wanted := t.spec.Shares[c.name]; !wanted && c.name != "global" && !d.Has("shares."+c.name) {
			from, _ := c.get("path")
			d.Add("shares."+c.name, "share of "+from, "", tasks.EffectLive)
		}
	}
	return d, nil
}

func shareDiff(name string, s Share, ours []conf) tasks.Diff {
	var d tasks.Diff
	at := "shares." + name
	have, ok := section(ours, name)
	if !ok {
		var lines []string
		for _, p := range s.settings() {
			lines = append(lines, p.name+" = "+p.value)
		}
		return tasks.Diff{{Path: at, To: "share of " + s.Path, Effect: tasks.EffectLive, Note: strings.Join(lines, "\n")}}
	}
	wanted := make(map[string]bool)
	for _, p := range s.settings() {
		wanted[p.name] = true
		v, _ := have.get(p.name)
		d.Add(at+"."+p.key, canonicalValue(p.name, v), canonicalValue(p.name, p.value), tasks.EffectLive)
	}
	for _, p := range have.params {
		if !wanted[p.name] {
			wanted[p.name] = true
			d.Add(at+"."+key(p.name), p.value, "", tasks.EffectLive)
		}
	}
	return d
}

// canonicalValue writes the values that Samba reads in several ways in one.
func canonicalValue(name, v string) string {
	switch name {
	case "read only", "guest ok", "browseable":
		switch strings.ToLower(v) {
		case "yes", "true", "on", "1":
			return "yes"
		case "no", "false", "off", "0":
			return "no"
		}
	case "valid users", "write list":
		list := strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(", \t;", r) })
		slices.Sort(list)
		return strings.Join(slices.Compact(list), ", ")
	case "create mask", "directory mask":
		if maskValue.MatchString(v) {
			return strings.Repeat("0", 4-len(v)) + v
		}
	}
	return v
}

// others finds a share of ours in the files of somebody else, of which Samba would
// make one with the parameters of both.
func (t *task) others(h tasks.Host, file string, all []conf, depth int) error {
	for _, c := range all {
		for name := range t.spec.Shares {
			if strings.EqualFold(name, c.name) {
				return fmt.Errorf("compare shares: %s:%d has a share %s, too (take it out of there, or choose another name)", file, c.line, c.name)
			}
		}
		for _, p := range c.params {
			if p.name != "include" || p.value == ownFile || strings.Contains(p.value, "%") || !path.IsAbs(p.value) || depth > 8 {
				continue
			}
			data, _, err := tasks.ReadIfExists(h, p.value)
			if err != nil {
				return err
			}
			if err := t.others(h, p.value, parse(string(data)), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// login is a user of Samba.
type login struct {
	hash     string
	disabled bool
}

// users compares the users. A user whose password is not the wanted one, and one that
// is switched off, is given the password.
func (t *task) users(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if len(t.spec.Users) == 0 {
		return nil, nil
	}
	now, err := accounts(ctx, h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	for _, name := range tasks.Keys(t.spec.Users) {
		ref := t.spec.Users[name].Password
		password, err := tasks.SecretValue(ctx, ref.Name)
		if err != nil {
			return nil, err
		}
		a, exists := now[strings.ToLower(name)]
		switch {
		case !exists:
			d.Add("users."+name, "", "user with the password of secret "+ref.Name, tasks.EffectLive)
		case a.disabled:
			d.Add("users."+name, "disabled", "enabled", tasks.EffectLive)
		case a.hash != nthash.Sum(password):
			d.Add("users."+name+".password", "another password", "secret "+ref.Name, tasks.EffectLive)
		}
	}
	return d, nil
}

// accounts asks pdbedit, which would make the database where there is none.
func accounts(ctx context.Context, h tasks.Host) (map[string]login, error) {
	if _, err := h.Stat(passdb); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"pdbedit", "-L", "-w"}, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	all := make(map[string]login)
	for _, line := range tasks.Lines(string(out.Stdout)) {
		// smbpasswd(5): name, number, two hashes, flags in brackets.
		if f := strings.Split(line, ":"); len(f) >= 5 {
			all[strings.ToLower(f[0])] = login{f[3], strings.Contains(f[4], "D")}
		}
	}
	return all, nil
}
