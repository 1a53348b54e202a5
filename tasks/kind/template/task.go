// Package template keeps a container template on a storage.
//
// It reads Proxmox's index of templates and the storage's directory itself, and
// fetches through pveam, whose exit status means nothing: the file is there
// afterwards, with the right checksum, or the step fails and leaves no file.
//
// A check compares existence only. Reading some hundred megabytes for a checksum on
// every check would cost more than everything else together, and pveam installs a
// file under its name only once it is complete (pve-common, PVE::Tools
// download_file_from_url), so the checksum is verified when a file arrives.
//
// It never removes a template that it did not fetch in the same step. Start reading
// at Spec; index.go reads the index, apply.go fetches.
package template

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "template"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]*$`).MatchString(s.Name) {
		out.Add("name", fmt.Sprintf("%q is no template", s.Name), "a series such as debian-12-standard, or a file name such as debian-12-standard_12.7-1_amd64.tar.zst")
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_.-]*[a-z0-9]$`).MatchString(s.Storage) {
		out.Add("storage", fmt.Sprintf("%q is no storage ID", s.Storage), "such as local")
	}
	if s.SHA512 != "" {
		switch {
		case !regexp.MustCompile(`^[0-9a-fA-F]{128}$`).MatchString(s.SHA512):
			out.Add("sha512", "is not 128 hexadecimal digits", "")
		case !exact(s.Name):
			out.Add("sha512", "can only belong to an exact file name", "name the file, or leave sha512 out")
		}
	}
	if s.Latest && exact(s.Name) {
		out.Add("latest", "an exact file name has no newer one", "name the series, or leave latest out")
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// exact tells whether the name is one file's rather than a series.
func exact(name string) bool { return archive().MatchString(name) }

func archive() *regexp.Regexp { return regexp.MustCompile(`\.tar(\.(gz|xz|zst|bz2))?$`) }

// Check looks into the storage's directory. A storage that is not there yet, or
// does not take templates yet, differs, since a step before this one may mend it.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	dir, err := t.dir(h)
	if notYet, ok := errors.AsType[*unusableError](err); ok {
		return tasks.Diff{{Path: "exists", To: t.spec.Name, Effect: tasks.EffectLive, Note: notYet.note()}}, nil
	}
	if err != nil {
		return nil, err
	}
	have, err := t.present(h, dir)
	if err != nil {
		return nil, err
	}
	if !t.spec.Latest {
		if len(have) > 0 {
			return nil, nil
		}
		return tasks.Diff{{Path: "exists", To: t.spec.Name, Effect: tasks.EffectLive}}, nil
	}
	return t.checkLatest(h, have)
}

func (t *task) checkLatest(h tasks.Host, have []string) (tasks.Diff, error) {
	index, err := readIndex(h)
	if err != nil {
		return nil, err
	}
	from := ""
	if len(have) > 0 {
		from = have[len(have)-1]
	}
	newest, ok := index.newest(t.spec.Name)
	if !ok {
		return tasks.Diff{{Path: "exists", From: from, To: "newest of " + t.spec.Name, Effect: tasks.EffectLive,
			Note: "the index of templates does not have the series; it will be fetched"}}, nil
	}
	if slices.Contains(have, newest.File) {
		return nil, nil
	}
	return tasks.Diff{{Path: "exists", From: from, To: newest.File, Effect: tasks.EffectLive}}, nil
}

// unusableError says why a storage cannot keep templates as it is now.
type unusableError struct {
	storage, why string
	// missing tells that there is no such storage.
	missing bool
}

// note is the same where a step before this one may mend it.
func (e *unusableError) note() string {
	if e.missing {
		return "storage " + e.storage + " is not there yet"
	}
	return "storage " + e.storage + " takes no templates yet: " + e.why
}

func (e *unusableError) Error() string { return "use storage " + e.storage + ": " + e.why }

// dir is the storage's directory of templates.
func (t *task) dir(h tasks.Host) (string, error) {
	if _, err := pve.Node(h); err != nil {
		return "", err
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return "", err
	}
	s, ok := cfg.Find(t.spec.Storage)
	switch {
	case !ok:
		return "", &unusableError{t.spec.Storage, "there is none of that ID (known: " + strings.Join(cfg.IDs(), ", ") + ")", true}
	case s.Bool("disable"):
		return "", &unusableError{s.ID, "it is disabled", false}
	case !s.Allows("vztmpl"):
		return "", &unusableError{s.ID, "its content does not include vztmpl (it is " + strings.Join(s.Content(), ",") + ")", false}
	case s.ContentDir("vztmpl") == "":
		return "", &unusableError{s.ID, "type " + s.Type + " keeps no template files", false}
	}
	return s.ContentDir("vztmpl"), nil
}

// present lists the files that satisfy the name, oldest first. An empty file is
// none.
func (t *task) present(h tasks.Host, dir string) ([]string, error) {
	names, err := list(h, dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range names {
		if n != t.spec.Name && !inSeries(n, t.spec.Name) {
			continue
		}
		fi, err := h.Stat(path.Join(dir, n))
		if err != nil {
			return nil, err
		}
		if fi.Size > 0 {
			out = append(out, n)
		}
	}
	sort.Slice(out, func(i, j int) bool { return dpkg.CompareVersions(versionOf(out[i]), versionOf(out[j])) < 0 })
	return out, nil
}

// inSeries tells whether a file NAME_VERSION_ARCH.tar.X belongs to the series NAME.
func inSeries(file, series string) bool {
	name, _, ok := strings.Cut(file, "_")
	return ok && name == series && exact(file)
}

func versionOf(file string) string {
	_, rest, _ := strings.Cut(file, "_")
	version, _, _ := strings.Cut(rest, "_")
	return version
}
