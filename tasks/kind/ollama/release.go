package ollama

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
)

const (
	home = "/opt/ollama"
	// link is what people start.
	link = "/usr/local/bin/ollama"
)

// release is the folder of one version, and the link for people.
type release struct{ *Spec }

// Check looks for the program, which the folder has only when it is whole.
func (r *release) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	var d tasks.Diff
	program := r.folder() + "/bin/ollama"
	if _, err := h.Stat(program); errors.Is(err, fs.ErrNotExist) {
		d.Add("version", "", r.version(), tasks.EffectRestart)
	} else if err != nil {
		return nil, err
	}
	fi, err := h.Stat(link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Add("link", "", program, tasks.EffectLive)
	case err != nil:
		return nil, err
	case fi.Mode&fs.ModeSymlink == 0:
		return nil, fmt.Errorf("link %s: it is there and is no link (another way of installing Ollama left it: move it away)", link)
	default:
		d.Add("link", fi.Target, program, tasks.EffectLive)
	}
	return d, nil
}

// Apply fetches and unpacks the release, and then points the link to it.
func (r *release) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if d.Has("version") {
		if err := r.install(ctx, h); err != nil {
			return err
		}
	}
	if !d.Has("link") {
		return nil
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: path.Dir(link)}); err != nil {
		return err
	}
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"ln", "-sfn", r.folder() + "/bin/ollama", link}})
	return err
}

// install unpacks into a folder beside, which gets its name when all is in it.
func (r *release) install(ctx context.Context, h tasks.Host) error {
	archive, err := r.archive(ctx, h)
	if err != nil {
		return err
	}
	source := "https://github.com/ollama/ollama/releases/download/v" + r.version() + "/"
	file, part := home+"/"+archive, r.folder()+".part"
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: part}); err != nil {
		return err
	}
	fetch := []string{"curl", "--disable", "--fail", "--location", "--proto", "=https", "--silent", "--show-error", "--retry", "3"}
	sum := strings.ToLower(r.SHA256)
	if sum == "" {
		out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: slices.Concat(fetch, []string{source + "sha256sum.txt"}), ReadOnly: true})
		if err != nil {
			return err
		}
		if sum = sumOf(string(out.Stdout), archive); sum == "" {
			return fmt.Errorf("fetch %s: %ssha256sum.txt does not name it", archive, source)
		}
	}
	tasks.Logf(ctx, "fetching %s%s", source, archive)
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: slices.Concat(fetch, []string{"--output", file, source + archive})})
	if err == nil {
		err = verify(ctx, h, file, sum)
	}
	if err == nil {
		_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"tar", "--extract", "--no-same-owner", "--file", file, "--directory", part}})
	}
	// Whatever came of it, it is of no more use, and large.
	err = errors.Join(err, h.Write(context.WithoutCancel(ctx), tasks.Edit{Verb: tasks.VerbRemove, Path: file}))
	if err != nil {
		return err
	}
	if _, err := h.Stat(part + "/bin/ollama"); err != nil {
		return fmt.Errorf("unpack %s: it has no bin/ollama: %w", archive, err)
	}
	// A folder of that name which lost its program is kept beside.
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"mv", "-T", "--backup=numbered", part, r.folder()}})
	return err
}

// archive is the release's file for this machine.
func (r *release) archive(ctx context.Context, h tasks.Host) (string, error) {
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"uname", "-m"}, ReadOnly: true})
	if err != nil {
		return "", err
	}
	machine := strings.TrimSpace(string(out.Stdout))
	name := map[string]string{"x86_64": "ollama-linux-amd64", "aarch64": "ollama-linux-arm64"}[machine]
	if name == "" {
		return "", fmt.Errorf("install ollama: there is no release for %s", machine)
	}
	return name + map[bool]string{true: ".tar.zst", false: ".tgz"}[r.zstd()], nil
}

// sumOf finds a file's checksum in the output of sha256sum, where names may begin with ./
func sumOf(text, name string) string {
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 2 && strings.TrimPrefix(strings.TrimPrefix(f[1], "*"), "./") == name && len(f[0]) == 64 {
			return strings.ToLower(f[0])
		}
	}
	return ""
}

// verify compares the checksum of a file that is too large to read here.
func verify(ctx context.Context, h tasks.Host, file, want string) error {
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"sha256sum", "--", file}, ReadOnly: true})
	if err != nil {
		return err
	}
	have, _, _ := strings.Cut(string(out.Stdout), " ")
	if !strings.EqualFold(strings.TrimPrefix(have, `\`), want) {
		return fmt.Errorf("verify %s: its SHA-256 is %s, not %s", file, have, want)
	}
	return nil
}
