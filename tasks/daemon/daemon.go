// Package daemon keeps a program running as a service of systemd: its account, its unit,
// its secret variables, and that what runs is what is configured.
//
// It is what the features of containers with a server of their own are made of. The unit
// is written whole, by a writer that quotes; secrets are in a file that only root can
// read. The service is restarted once when the unit, the variables or what it runs
// changed after its last start, which a record in /var/lib/phoenix tells, and never
// because it does not answer: that may be a model that is being loaded. It never writes
// over a unit of the distribution, and removes no user and no data. Start reading at
// Service; task.go compares and changes, ready.go asks.
package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/distro"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/pve"
	"phoenix/tasks/secret"
)

// Supported fails where the machine has not both apt and systemd.
func Supported(h tasks.Host, what string) error {
	d, err := distro.Read(h)
	if err != nil {
		return err
	}
	_, err = h.Stat("/run/systemd/system")
	switch {
	case !d.Debian():
		return fmt.Errorf("set up %s: this is %s, and it needs apt and systemd (take a template of Debian or Ubuntu)", what, d.Name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("set up %s: systemd does not run here", what)
	}
	return err
}

// own fails where the unit's name is that of one of the distribution's.
func (s *Service) own(h tasks.Host) error {
	for _, dir := range []string{"/usr/lib/systemd/system/", "/lib/systemd/system/"} {
		_, err := h.Stat(dir + s.unitName())
		if err == nil {
			return fmt.Errorf("set up %s: %s is a unit of the distribution (choose another name)", s.Name, dir+s.unitName())
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unitTask is the unit file.
func (s *Service) unitTask() tasks.Task {
	text := s.unit()
	return (&file.Spec{Path: s.unitFile(), Content: &secret.Text{Literal: &text}, Mode: "0644", Owner: root, Group: root}).Task()
}

// secretsTask is the file of the secret variables, or its absence.
func (s *Service) secretsTask(text string) tasks.Task {
	f := &file.Spec{Path: s.secretsFile(), State: file.StateAbsent}
	if text != "" {
		f = &file.Spec{Path: s.secretsFile(), Content: &secret.Text{Literal: &text}, Mode: "0600", Owner: root, Group: root}
	}
	return f.Task()
}

// secrets is the text of that file.
func (s *Service) secrets(ctx context.Context) (string, error) {
	var b strings.Builder
	for _, name := range tasks.Keys(s.Secrets) {
		value, err := tasks.SecretValue(ctx, s.Secrets[name].Name)
		if err != nil {
			return "", err
		}
		if pve.HasControl(value) {
			return "", fmt.Errorf("write %s: the secret %s has a line break or another control character", s.secretsFile(), s.Secrets[name].Name)
		}
		b.WriteString(envLine(name, value))
	}
	return b.String(), nil
}

// records is the folder of what phoenix remembers.
const records = "/var/lib/phoenix"

func startedFile(name string) string { return records + "/started-" + name }

// Forget has the service restarted by whatever is applied next. Who changes what it runs
// calls it first, so that an interruption cannot lose the restart.
func Forget(ctx context.Context, h tasks.Host, name string) error {
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: startedFile(name)})
}

// revision names everything that counts only after a restart. Secrets are in it, so only
// root can read the record.
func (s *Service) revision(h tasks.Host, secrets string) (string, error) {
	sum := sha256.New()
	for _, text := range []string{s.unit(), secrets} {
		fmt.Fprintf(sum, "%d %s", len(text), text)
	}
	if s.Revision != nil {
		text, err := s.Revision(h)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s", text)
	}
	return hex.EncodeToString(sum.Sum(nil)) + "\n", nil
}

// remember records what runs now.
func (s *Service) remember(ctx context.Context, h tasks.Host, revision string) error {
	at, mode := startedFile(s.Name), fs.FileMode(0o600)
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: path.Dir(at)}); err != nil {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: at, Data: []byte(revision), Mode: &mode})
}
