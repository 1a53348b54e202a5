package network

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guard"
	"phoenix/tasks/ifupdown"
)

// edited is a file with its old and new content.
type edited struct {
	path     string
	old, new []byte
}

// Apply writes the lines that differ and reloads the network, under the guard. The
// new files are read by ifupdown2 before they are installed.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	refused, _, err := pending(h)
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	files, err := t.edits(h, d)
	if err != nil {
		return err
	}
	saved := []string{ifupdown.Main}
	for _, f := range files {
		if err := readable(ctx, h, f); err != nil {
			return err
		}
		if !slices.Contains(saved, f.path) {
			saved = append(saved, f.path)
		}
	}
	change := guard.Change{
		What: Name, Files: saved, Restore: [][]string{{"ifreload", "-a"}},
		Addresses: t.addresses(d), Timeout: t.spec.timeout(),
	}
	return guard.Make(ctx, h, change, func(ctx context.Context) error {
		for _, f := range files {
			if err := install(ctx, h, f); err != nil {
				return err
			}
		}
		return t.reload(ctx, h)
	})
}

// edits are the files that change.
func (t *task) edits(h tasks.Host, d tasks.Diff) ([]edited, error) {
	cfg, err := ifupdown.Read(h)
	if err != nil {
		return nil, err
	}
	var all []edited
	for _, f := range cfg.Files {
		all = append(all, edited{path: f.Path, old: f.Bytes()})
	}
	if err := t.edit(cfg, d); err != nil {
		return nil, err
	}
	for i, f := range cfg.Files {
		all[i].new = f.Bytes()
	}
	return slices.DeleteFunc(all, func(f edited) bool { return bytes.Equal(f.old, f.new) }), nil
}

// readable has ifupdown2 read a file that is not installed yet. It exits with 0
// whatever it finds; lines that it could not read before do not count.
func readable(ctx context.Context, h tasks.Host, f edited) error {
	var before []string
	for i, content := range [][]byte{f.old, f.new} {
		out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"ifquery", "-a", "-i", "-"}, Stdin: content, ReadOnly: true})
		if err != nil {
			return fmt.Errorf("have ifupdown2 read the new %s: %w", f.path, err)
		}
		for _, c := range complaints(out.Stderr) {
			if i == 0 {
				before = append(before, c)
			} else if !slices.Contains(before, c) {
				return fmt.Errorf("have ifupdown2 read the new %s: %s", f.path, c)
			}
		}
	}
	return nil
}

// complaints are the errors that ifupdown2 prints, without the numbers of lines.
func complaints(stderr []byte) []string {
	number := regexp.MustCompile(`\bline[0-9]+: `)
	var out []string
	for _, line := range tasks.Lines(string(stderr)) {
		if text, ok := strings.CutPrefix(line, "error: "); ok {
			out = append(out, strings.TrimSpace(number.ReplaceAllString(text, "")))
		}
	}
	return out
}

// install writes a file, unless somebody has changed it since it was read.
func install(ctx context.Context, h tasks.Host, f edited) error {
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: f.path, Lock: ifupdown.Lock, Update: func(old []byte) ([]byte, error) {
		if !bytes.Equal(old, f.old) {
			return nil, fmt.Errorf("write %s: somebody has changed it meanwhile (run again)", f.path)
		}
		return f.new, nil
	}})
}

// reload puts the files into effect. ifreload does what it can, and its status tells
// of foreign interfaces too, so what counts is whether ours are as wanted.
func (t *task) reload(ctx context.Context, h tasks.Host) error {
	cmd := tasks.Cmd{Argv: []string{"ifreload", "-a"}}
	out, err := h.Run(ctx, cmd)
	if err != nil {
		return err
	}
	rest, err := t.differs(ctx, h)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return nil
	}
	c := rest[0]
	err = fmt.Errorf("reload the network: %s is %q and not %q", c.Path, c.From, c.To)
	if failed := tasks.Failed(cmd, out, nil); failed != nil {
		err = fmt.Errorf("%w: %w", err, failed)
	}
	return err
}
