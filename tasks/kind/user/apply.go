package user

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/account"
	"phoenix/tasks/pve"
)

// Apply makes the account first, then what belongs to it.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if t.spec.State == StateAbsent {
		return t.remove(ctx, h, d)
	}
	all := len(d)
	d = slices.DeleteFunc(slices.Clone(d), tasks.Change.Held)
	for _, step := range []struct {
		needed bool
		do     func() error
	}{
		{d.Has("shell"), func() error { return t.shellExists(h) }},
		{below(d, "groups."), func() error { return t.makeGroups(ctx, h, d) }},
		{true, func() error { return t.account(ctx, h, d) }},
		{d.Has("password_hash") || d.Has("locked"), func() error { return t.setPassword(ctx, h, d) }},
		{below(d, "authorized_keys."), func() error { return t.writeKeys(ctx, h, d) }},
		{d.Has("sudo") || below(d, "sudo."), func() error { return t.applySudo(ctx, h) }},
	} {
		if !step.needed {
			continue
		}
		if err := step.do(); err != nil {
			return err
		}
	}
	if held := all - len(d); held > 0 {
		return refusal(held)
	}
	return nil
}

// below tells whether a property below the path differs.
func below(d tasks.Diff, prefix string) bool {
	for _, c := range d {
		if strings.HasPrefix(c.Path, prefix) {
			return true
		}
	}
	return false
}

// remove takes the rules away first: without the account nobody would look for them.
func (t *task) remove(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if d.Has("sudo") {
		if err := t.applySudo(ctx, h); err != nil {
			return err
		}
	}
	if !d.Has("state") {
		return nil
	}
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"userdel", t.spec.Name}})
	return err
}

// shellExists refuses a shell that nobody could log in with; useradd and usermod only
// warn of it.
func (t *task) shellExists(h tasks.Host) error {
	if _, err := h.Stat(t.spec.Shell); err != nil {
		return fmt.Errorf("set the shell of %s: %w (add the package that has it, in a step before this one)", t.spec.Name, err)
	}
	return nil
}

func (t *task) makeGroups(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	for _, name := range t.spec.Groups {
		if !d.Has("groups." + name) {
			continue
		}
		_, known, err := account.FindGroup(h, name)
		if err == nil && !known {
			_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"groupadd", name}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// account makes the user in one call, or sets what differs of one that exists.
func (t *task) account(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	fields := t.fields(d)
	if d.Has("state") {
		argv := append([]string{"useradd"}, fields...)
		if t.spec.System {
			argv = append(argv, "--system")
		} else {
			argv = append(argv, "--create-home")
		}
		if len(t.spec.Groups) > 0 {
			argv = append(argv, "--groups", strings.Join(t.spec.Groups, ","))
		}
		// Another user may have needed the group first; useradd makes no second one.
		_, known, err := account.FindGroup(h, t.spec.Name)
		if known {
			argv = append(argv, "--gid", t.spec.Name)
		}
		if err == nil {
			_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: append(argv, t.spec.Name)})
		}
		return err
	}
	if len(fields) > 0 {
		argv := append(append([]string{"usermod"}, fields...), t.spec.Name)
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv}); err != nil {
			return err
		}
	}
	for _, name := range t.spec.Groups {
		if !d.Has("groups." + name) {
			continue
		}
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"gpasswd", "--add", t.spec.Name, name}}); err != nil {
			return err
		}
	}
	return nil
}

// fields are the options of useradd and usermod for what differs.
func (t *task) fields(d tasks.Diff) []string {
	var out []string
	if t.spec.UID != nil && d.Has("uid") {
		out = append(out, "--uid", strconv.Itoa(*t.spec.UID))
	}
	for _, f := range []struct{ path, option, value string }{
		{"comment", "--comment", t.spec.Comment},
		{"home", "--home", t.spec.Home},
		{"shell", "--shell", t.spec.Shell},
	} {
		if d.Has(f.path) {
			out = append(out, f.option, f.value)
		}
	}
	return out
}

// setPassword writes the whole field at once, lock and hash, so that a locked account
// is at no time open. Only the hash that is written comes from a secret or was there.
func (t *task) setPassword(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	field, err := account.Password(h, t.spec.Name)
	if err != nil {
		return err
	}
	now := parsePassword(field)
	hash := now.hash
	if d.Has("password_hash") {
		if hash, err = t.hash(ctx); err != nil {
			return err
		}
	}
	locked := now.locked && !now.none // the mark of an account that never had a password is no lock
	if t.spec.Locked != nil {
		locked = *t.spec.Locked
	}
	if !locked && (hash == "" || hash == "*") {
		return fmt.Errorf("unlock %s: the account has no password (add password_hash)", t.spec.Name)
	}
	if locked {
		hash = "!" + hash
	}
	if hash == field {
		return nil
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"chpasswd", "--encrypted"}, Stdin: []byte(t.spec.Name + ":" + hash + "\n")})
	return err
}

// writeKeys edits the file with everything else in it, and gives it and its folder to
// the user.
func (t *task) writeKeys(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	now, exists, err := account.FindUser(h, t.spec.Name)
	if err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("write the keys of %s: there is no such user", t.spec.Name)
	}
	f, err := t.keyFile(h, now)
	if err != nil {
		return err
	}
	if f.shared {
		if err := pve.Writable(h); err != nil {
			return err
		}
	}
	s, err := t.keys(h, f)
	if err != nil {
		return err
	}
	if err := t.keyDir(ctx, h, f, now); err != nil {
		return err
	}
	if f.shared && !below(d, "authorized_keys.SHA256:") && !below(d, "authorized_keys.line ") {
		return nil
	}
	mode := keyFileMode
	put := tasks.Edit{
		Verb: tasks.VerbPut, Path: f.link, Mode: &mode, Owner: &tasks.Owner{UID: now.UID, GID: now.GID},
		Update: func(old []byte) ([]byte, error) { return s.edit(old), nil },
	}
	if err := h.Write(ctx, put); err != nil {
		return err
	}
	if f.shared || !d.Has("authorized_keys.file_mode") && !d.Has("authorized_keys.file_owner") {
		return nil
	}
	put.Verb, put.Update = tasks.VerbAttr, nil // a put of equal content does nothing
	return h.Write(ctx, put)
}

// keyDir makes the folder, and sets its mode and owner.
func (t *task) keyDir(ctx context.Context, h tasks.Host, f keyFile, now account.User) error {
	home, dir := path.Dir(path.Dir(f.link)), path.Dir(f.link)
	owner := &tasks.Owner{UID: now.UID, GID: now.GID}
	for _, at := range []string{home, dir} {
		info, err := h.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("write the keys of %s: %w", t.spec.Name, err)
		case at == home || info.Mode&fs.ModeSymlink != 0 || info.Mode.Perm() == keyDirMode && info.UID == now.UID && info.GID == now.GID:
			continue // whose home directory it is, is not managed
		}
		mode := keyDirMode
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: at, Mode: &mode, Owner: owner}); err != nil {
			return err
		}
	}
	return nil
}
