package user

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"phoenix/tasks"
)

const (
	sudoersPath = "/etc/sudoers"
	sudoersDir  = "/etc/sudoers.d"
	// sudoMode is what sudo itself wants of the file.
	sudoMode fs.FileMode = 0o440
)

// sudoHead is the first line of a file that phoenix has written.
const sudoHead = "# Written by phoenix, which undoes changes by hand.\n"

// sudoFile is where the rules of a user are. sudo passes over files with a dot in
// their name, which the name of a user may have.
func sudoFile(name string) string {
	return sudoersDir + "/phoenix-" + strings.ReplaceAll(name, ".", "%2e")
}

// sudoText is the content of the file.
func sudoText(name string, rules []string) []byte {
	var b strings.Builder
	b.WriteString(sudoHead)
	for _, r := range rules {
		b.WriteString(name + " " + r + "\n")
	}
	return []byte(b.String())
}

// sudoRules lists the rules of a file. Only phoenix's own line is taken for a comment:
// sudo has directives that begin with #.
func sudoRules(name string, data []byte) []string {
	var out []string
	for _, line := range tasks.Lines(string(data)) {
		if l := strings.TrimRight(line, "\n"); line != sudoHead && strings.TrimSpace(l) != "" {
			out = append(out, strings.TrimPrefix(l, name+" "))
		}
	}
	return out
}

// checkSudo compares the rules, where they are managed.
func (t *task) checkSudo(h tasks.Host, d *tasks.Diff) error {
	if t.spec.Sudo == nil {
		return nil
	}
	if err := t.compareSudo(h, t.spec.Sudo, d); err != nil || len(t.spec.Sudo) == 0 {
		return err
	}
	main, installed, err := tasks.ReadIfExists(h, sudoersPath)
	if err != nil {
		return err
	}
	if installed && !readsDir(main) {
		return fmt.Errorf("check the sudo rules of %s: %s does not read %s (add the line @includedir %s)", t.spec.Name, sudoersPath, sudoersDir, sudoersDir)
	}
	return nil
}

// readsDir tells whether the main file takes in the folder.
func readsDir(sudoers []byte) bool {
	for _, line := range tasks.Lines(string(sudoers)) {
		f := strings.Fields(line)
		if len(f) == 2 && (f[0] == "@includedir" || f[0] == "#includedir") && strings.TrimRight(f[1], "/") == sudoersDir {
			return true
		}
	}
	return false
}

// compareSudo compares phoenix's own file with the rules; none means no file.
func (t *task) compareSudo(h tasks.Host, want []string, d *tasks.Diff) error {
	at := sudoFile(t.spec.Name)
	data, exists, err := tasks.ReadIfExists(h, at)
	if err != nil {
		return err
	}
	have := strings.Join(sudoRules(t.spec.Name, data), "; ")
	switch {
	case len(want) == 0 && exists && have == "":
		have = "no rule" // an empty file that must go
	case len(want) == 0 && !exists:
		return nil
	}
	d.Add("sudo", have, strings.Join(want, "; "), tasks.EffectLive)
	if !exists || len(want) == 0 {
		return nil
	}
	info, err := h.Stat(at)
	if err != nil {
		return fmt.Errorf("check %s: %w", at, err)
	}
	d.Add("sudo.mode", octal(info.Mode), octal(sudoMode), tasks.EffectLive)
	d.Add("sudo.owner", fmt.Sprintf("%d:%d", info.UID, info.GID), "0:0", tasks.EffectLive)
	return nil
}

// applySudo writes the file, or takes it away. visudo sees the text first: a mistake in
// one file switches sudo off for everybody.
func (t *task) applySudo(ctx context.Context, h tasks.Host) error {
	at := sudoFile(t.spec.Name)
	if t.spec.State == StateAbsent || len(t.spec.Sudo) == 0 {
		return h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: at})
	}
	text := sudoText(t.spec.Name, t.spec.Sudo)
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"visudo", "-c", "-f", "-"}, Stdin: text, ReadOnly: true})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write the sudo rules of %s: sudo is not installed (add it to apt.packages)", t.spec.Name)
	case err != nil:
		return fmt.Errorf("write the sudo rules of %s: visudo does not accept them: %w", t.spec.Name, err)
	}
	mode := sudoMode
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: at, Data: text, Mode: &mode, Owner: &tasks.Owner{}})
}
