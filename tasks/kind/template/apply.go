package template

import (
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Apply fetches the template, after a fetch of the index where that does not have
// it.
func (t *task) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	dir, err := t.dir(h)
	if err != nil {
		return err
	}
	want, err := t.choose(ctx, h)
	if err != nil {
		return err
	}
	if want.SHA512, err = t.checksum(want); err != nil {
		return err
	}
	file := path.Join(dir, want.File)
	before, err := h.Stat(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	present := err == nil && before.Size > 0
	c := tasks.Cmd{Argv: []string{"pveam", "download", t.spec.Storage, want.File}}
	out, runErr := h.Run(ctx, c)
	if err := verify(ctx, h, file, want, c, out, runErr); err != nil {
		if !present {
			err = errors.Join(err, discard(ctx, h, file))
		}
		return err
	}
	return nil
}

// discard removes what a failed fetch left, also when the step was cancelled.
func discard(ctx context.Context, h tasks.Host, file string) error {
	return h.Write(context.WithoutCancel(ctx), tasks.Edit{Verb: tasks.VerbRemove, Path: file})
}

// choose finds the template in the index.
func (t *task) choose(ctx context.Context, h tasks.Host) (entry, error) {
	x, err := readIndex(h)
	if err != nil {
		return entry{}, err
	}
	if e, ok := t.pick(x); ok {
		return e, nil
	}
	c := tasks.Cmd{Argv: []string{"pveam", "update"}}
	out, err := tasks.Succeed(ctx, h, c)
	if err != nil {
		return entry{}, err
	}
	if x, err = readIndex(h); err != nil {
		return entry{}, err
	}
	if e, ok := t.pick(x); ok {
		return e, nil
	}
	if len(x) == 0 {
		return entry{}, fmt.Errorf("fetch index of templates: pveam update left none: %s", said(out))
	}
	hint := ""
	if near := x.near(t.spec.Name); len(near) > 0 {
		hint = " (it has " + strings.Join(near, ", ") + ")"
	}
	return entry{}, fmt.Errorf("find template %s: the index does not have it%s", t.spec.Name, hint)
}

func (t *task) pick(x index) (entry, bool) {
	if exact(t.spec.Name) {
		return x.find(t.spec.Name)
	}
	return x.newest(t.spec.Name)
}

// checksum is the spec's own, which must not contradict the index: pveam would
// refuse the file that the operator wants.
func (t *task) checksum(want entry) (string, error) {
	own := strings.ToLower(t.spec.SHA512)
	switch {
	case own == "":
		return want.SHA512, nil
	case want.SHA512 != "" && want.SHA512 != own:
		return "", fmt.Errorf("compare checksum of %s: Proxmox's index says %.16s…, the configuration %.16s…", want.File, want.SHA512, own)
	}
	return own, nil
}

// verify believes the file and nothing else.
func verify(ctx context.Context, h tasks.Host, file string, want entry, c tasks.Cmd, out tasks.Output, runErr error) error {
	if runErr != nil {
		return runErr
	}
	fi, err := h.Stat(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || fi.Size == 0 {
		if out.Code != 0 {
			return tasks.Failed(c, out, nil)
		}
		return fmt.Errorf("fetch %s: %s reports success, but there is no file: %s", want.File, strings.Join(c.Argv, " "), said(out))
	}
	have, wanted, err := sums(ctx, h, file, want)
	if err != nil {
		return err
	}
	if have != wanted {
		return fmt.Errorf("verify %s: its checksum is %.16s…, not %.16s… (half or wrong file; fetch it again)", want.File, have, wanted)
	}
	return nil
}

// sums returns the checksum that the file has and the one that it should have. An
// index without any leaves nothing to compare.
func sums(ctx context.Context, h tasks.Host, file string, want entry) (have, wanted string, err error) {
	prog := "sha512sum"
	wanted = want.SHA512
	if wanted == "" {
		prog, wanted = "md5sum", want.MD5
	}
	if wanted == "" {
		return "", "", nil
	}
	out, err := h.Run(ctx, tasks.Cmd{Argv: []string{prog, "--", file}, ReadOnly: true})
	if err == nil && out.Code == 0 {
		if f := strings.Fields(string(out.Stdout)); len(f) > 0 {
			return strings.TrimPrefix(f[0], `\`), wanted, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return "", "", fmt.Errorf("verify %s: %w", file, err)
	}
	data, err := h.ReadFile(file) // no such program: a minimal machine
	if err != nil {
		return "", "", fmt.Errorf("verify template: %w", err)
	}
	if prog == "md5sum" {
		sum := md5.Sum(data)
		return hex.EncodeToString(sum[:]), wanted, nil
	}
	sum := sha512.Sum512(data)
	return hex.EncodeToString(sum[:]), wanted, nil
}

// said is the end of what a program printed.
func said(out tasks.Output) string {
	text := strings.TrimSpace(string(out.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(out.Stdout))
	}
	lines := strings.Split(text, "\n")
	return strings.Join(slices.Clone(lines[max(len(lines)-5, 0):]), "\n")
}
