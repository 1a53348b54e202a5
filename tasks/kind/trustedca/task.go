package trustedca

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/distro"
)

// Where update-ca-certificates reads and writes: update-ca-certificates(8) of Debian;
// Alpine's does the same.
const (
	localDir = "/usr/local/share/ca-certificates"
	linkDir  = "/etc/ssl/certs"
	bundle   = linkDir + "/ca-certificates.crt"
	prefix   = "phoenix-"
	suffix   = ".crt"
	packaged = "ca-certificates"
)

func file(name string) string { return path.Join(localDir, prefix+name+suffix) }

type task struct{ spec Spec }

// certificates reads those that are wanted, by name.
func (t *task) certificates(ctx context.Context) (map[string]certificate, error) {
	out := make(map[string]certificate)
	for name, text := range t.spec.Certificates {
		var content string
		if text.Ref != nil {
			value, err := tasks.SecretValue(ctx, text.Ref.Name)
			if err != nil {
				return nil, err
			}
			content = value
		} else {
			content = *text.Literal
		}
		cert, wrong := parse([]byte(content))
		if wrong != nil {
			return nil, fmt.Errorf("read certificates.%s: %w", name, wrong)
		}
		out[name] = cert
	}
	return out, nil
}

// Check compares the package, the files, and what the bundle made of them holds.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	want, err := t.certificates(ctx)
	if err != nil {
		return nil, err
	}
	packages, err := manager(h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	switch _, there, err := packages.Version(h, packaged); {
	case err != nil:
		return nil, err
	case !there:
		d.Add("packages."+packaged, "", "installed", tasks.EffectLive)
	}
	trusted, _, err := tasks.ReadIfExists(h, bundle)
	if err != nil {
		return nil, err
	}
	for _, name := range tasks.Keys(want) {
		if err := compare(h, &d, name, want[name]); err != nil {
			return nil, err
		}
		if !bytes.Contains(trusted, want[name].pem) {
			d.Add("trusted."+name, "", want[name].print, tasks.EffectLive)
		}
	}
	if t.spec.Exclusive {
		err = t.others(h, &d)
	}
	return d, err
}

// manager is the machine's package manager.
func manager(h tasks.Host) (distro.Packages, error) {
	of, err := distro.Read(h)
	if err != nil {
		return nil, err
	}
	return of.Packages()
}

// compare adds what of the file of one certificate is not as wanted.
func compare(h tasks.Host, d *tasks.Diff, name string, want certificate) error {
	at := "certificates." + name
	data, there, err := tasks.ReadIfExists(h, file(name))
	if err != nil {
		return err
	}
	if !bytes.Equal(data, want.pem) {
		from := ""
		if there {
			from = held(data, want)
		}
		d.Add(at, from, want.print, tasks.EffectLive)
		return nil
	}
	fi, err := h.Stat(file(name))
	if err != nil {
		return err
	}
	// Programs that do not run as root read it through the link in /etc/ssl/certs.
	if mode := fi.Mode.Perm(); mode != 0o644 && fi.Mode.IsRegular() {
		d.Add(at+".mode", fmt.Sprintf("%04o", mode), "0644", tasks.EffectLive)
	}
	return nil
}

// held says what a file of ours holds instead of what is wanted.
func held(data []byte, want certificate) string {
	block, _ := pem.Decode(data)
	switch {
	case block == nil || block.Type != "CERTIFICATE":
		return "no certificate"
	case printOf(block.Bytes) == want.print:
		return want.print + " and other text"
	}
	return printOf(block.Bytes)
}

// others adds the certificates of ours that nothing names any more: their files, and the
// links that say that the bundle still has them.
func (t *task) others(h tasks.Host, d *tasks.Diff) error {
	for _, place := range []struct{ dir, suffix, change string }{{localDir, suffix, "certificates."}, {linkDir, ".pem", "trusted."}} {
		names, err := h.ReadDir(place.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("list %s: %w", place.dir, err)
		}
		for _, n := range names {
			// Alpine puts ca-cert- before the name of a link.
			n, ours := strings.CutPrefix(strings.TrimPrefix(n, "ca-cert-"), prefix)
			n, link := strings.CutSuffix(n, place.suffix)
			if _, named := t.spec.Certificates[n]; ours && link && !named {
				d.Add(place.change+n, "trusted", "", tasks.EffectLive)
			}
		}
	}
	return nil
}

// Apply writes and removes files, and has the bundle made anew.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	want, err := t.certificates(ctx)
	if err != nil {
		return err
	}
	if d.Has("packages." + packaged) {
		packages, err := manager(h)
		if err == nil {
			err = packages.Install(ctx, h, packaged)
		}
		if err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o644)
	for _, c := range d {
		name, ours := strings.CutPrefix(c.Path, "certificates.")
		e := tasks.Edit{Verb: tasks.VerbPut, Path: file(name), Data: want[name].pem, Mode: &mode}
		switch {
		case !ours:
			continue
		case c.To == "":
			e = tasks.Edit{Verb: tasks.VerbRemove, Path: file(name)}
		case c.To == "0644":
			e = tasks.Edit{Verb: tasks.VerbAttr, Path: file(strings.TrimSuffix(name, ".mode")), Mode: &mode}
		default:
			if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: localDir}); err != nil {
				return err
			}
		}
		if err := h.Write(ctx, e); err != nil {
			return err
		}
	}
	// Debian's program looks at the links anew only where a file came or went: without
	// --fresh, OpenSSL would go on finding what a file held before. Alpine's does so always,
	// and ignores what it is told.
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"update-ca-certificates", "--fresh"}})
	return err
}
