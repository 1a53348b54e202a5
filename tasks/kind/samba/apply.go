package samba

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/account"
	"phoenix/tasks/dpkg"
)

// Apply makes the directories, the file with the shares, and the users.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	status, err := dpkg.Read(h)
	if err != nil {
		return err
	}
	if p, ok := status.Find("samba"); !ok || !p.Installed() {
		return errors.New("share directories: the package samba is not installed (add it to apt.packages)")
	}
	for _, name := range tasks.Keys(t.spec.Shares) {
		s := t.spec.Shares[name]
		if err := s.Spec.Apply(ctx, h, s.Path); err != nil {
			return err
		}
	}
	now, err := t.files(h)
	if err != nil {
		return err
	}
	if len(now) > 0 {
		if err := t.install(ctx, h, now.Has("workgroup")); err != nil {
			return err
		}
	}
	return t.setPasswords(ctx, h, d)
}

// install has the file checked, puts it into place, and tells Samba.
func (t *task) install(ctx context.Context, h tasks.Host, renamed bool) error {
	text := []byte(t.spec.text())
	out, err := h.Run(ctx, tasks.Cmd{Argv: []string{"testparm", "-s", "/dev/stdin"}, Stdin: text, ReadOnly: true})
	if err != nil {
		return err
	}
	if said := complaints(string(out.Stderr)); len(said) > 0 {
		return fmt.Errorf("check the shares: testparm does not understand them: %s", strings.Join(said, "; "))
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: ownFile, Data: text}); err != nil {
		return err
	}
	err = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: mainFile, Update: func(old []byte) ([]byte, error) {
		if placement(string(old)) == "last line" {
			return old, nil
		}
		return []byte(withInclude(string(old))), nil
	}})
	if err != nil {
		return err
	}
	tell := [][]string{{"smbcontrol", "all", "reload-config"}}
	if renamed {
		tell = append(tell, []string{"systemctl", "try-restart", "nmbd.service"}) // it reads the name only when it starts
	}
	for _, argv := range tell {
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv}); err != nil {
			if ctx.Err() != nil {
				return err
			}
			tasks.Logf(ctx, "%v", err)
		}
	}
	return nil
}

// complaints are the lines in which testparm says that it does not take something. Its
// exit status is 0 for most of them, and 1 for things that are none of the file's.
func complaints(stderr string) []string {
	var out []string
	for _, line := range tasks.Lines(stderr) {
		line = strings.TrimSpace(line)
		for _, sign := range []string{
			"Unknown parameter", "Ignoring", "found in service section", "Error loading", "is not boolean",
			"Badly formed", "is not a valid", "value is not", "Invalid",
		} {
			if strings.Contains(line, sign) {
				out = append(out, line)
				break
			}
		}
	}
	return out
}

func (t *task) setPasswords(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	for _, name := range tasks.Keys(t.spec.Users) {
		if !d.Has("users."+name) && !d.Has("users."+name+".password") {
			continue
		}
		password, err := tasks.SecretValue(ctx, t.spec.Users[name].Password.Name)
		if err != nil {
			return err
		}
		if password == "" || strings.ContainsAny(password, "\r\n\x00") {
			return fmt.Errorf("set the password of %s: the secret %s is empty or has a line break", name, t.spec.Users[name].Password.Name)
		}
		_, err = tasks.Succeed(ctx, h, tasks.Cmd{
			Argv: []string{"smbpasswd", "-s", "-a", name}, Stdin: []byte(password + "\n" + password + "\n"),
		})
		if err == nil {
			continue
		}
		if _, known, lookErr := account.FindUser(h, name); lookErr == nil && !known {
			return fmt.Errorf("%w (there is no Linux user %s; add it to users)", err, name)
		}
		return err
	}
	return nil
}
