// Package dns keeps the name servers and search domains of a host in
// /etc/resolv.conf.
//
// It changes the lines that it manages and keeps every other: options, sortlist,
// comments. A file that another program makes (a link to systemd-resolved's, one that
// NetworkManager, resolvconf or Tailscale generated) is never written, because that
// program would write it again. Start reading at Spec; resolv.go has the file.
package dns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Name of the family in steps and in step IDs.
const Name = "dns"

// Path of the file.
const Path = "/etc/resolv.conf"

// The C library reads no more of either (resolv.conf(5)).
const (
	maxNameservers = 3
	maxSearch      = 6
)

var domainName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	for i, n := range s.Nameservers {
		// An interface behind % may be anything to the parser.
		if _, err := netip.ParseAddr(n); err != nil || strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' }) {
			out.Add(fmt.Sprintf("nameservers.%d", i), fmt.Sprintf("%q is no IP address", n), "such as 10.0.0.1")
		} else if slices.Contains(s.Nameservers[:i], n) {
			out.Add(fmt.Sprintf("nameservers.%d", i), n+" is listed twice", "")
		}
	}
	if len(s.Nameservers) > maxNameservers {
		out.Add("nameservers", fmt.Sprintf("%d are listed, and only the first %d would be used", len(s.Nameservers), maxNameservers), "")
	}
	for i, d := range s.Search {
		if !validDomain(d) {
			out.Add(fmt.Sprintf("search.%d", i), fmt.Sprintf("%q is no domain", d), "such as lab.example.org")
		}
	}
	if len(s.Search) > maxSearch {
		out.Add("search", fmt.Sprintf("%d are listed, and only %d can be relied on", len(s.Search), maxSearch), "")
	}
	switch {
	case s.Domain != "" && len(s.Search) > 0:
		out.Add("domain", "excludes search: of the two, the last line of the file counts", "put it first in search")
	case s.Domain != "" && !validDomain(s.Domain):
		out.Add("domain", fmt.Sprintf("%q is no domain", s.Domain), "such as lab.example.org")
	}
	if len(s.Nameservers)+len(s.Search)+len(s.Domain) == 0 {
		out.Add("", "says nothing about names", "set nameservers, search or both")
	}
	return out
}

func validDomain(s string) bool { return len(s) <= 253 && domainName.MatchString(s) }

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check reads the file. Programs look at it anew, so what is written is in effect.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	data, _, err := tasks.ReadIfExists(h, Path)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	for _, w := range t.wanted() {
		d.Add(w.name, strings.Join(found(data, w.keys), " "), strings.Join(w.values, " "), tasks.EffectLive)
	}
	if len(d) == 0 {
		return nil, nil
	}
	refused, err := foreign(h, data)
	if err != nil || refused == nil {
		return d, err
	}
	for i := range d {
		d[i].Note = refused.Note()
	}
	return d, nil
}

// Apply rewrites the lines that differ.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	data, _, err := tasks.ReadIfExists(h, Path)
	if err != nil {
		return err
	}
	refused, err := foreign(h, data)
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: Path, Update: func(old []byte) ([]byte, error) {
		for _, w := range t.wanted() {
			if d.Has(w.name) {
				old = replace(old, w)
			}
		}
		return old, nil
	}})
}

// foreign is the refusal to write a file that another program makes.
func foreign(h tasks.Host, data []byte) (*tasks.RefusedError, error) {
	info, err := h.Stat(Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("see who makes %s: %w", Path, err)
	}
	who := maker(data)
	if info.Mode&fs.ModeSymlink != 0 {
		who = "the owner of " + info.Target
		if strings.Contains(info.Target, "systemd/resolve") {
			who = "systemd-resolved"
		}
	}
	if who == "" {
		return nil, nil
	}
	return &tasks.RefusedError{
		What:    fmt.Sprintf("writing %s, which %s makes,", Path, who),
		Instead: "set the name servers there, or make the file an ordinary one and run again",
	}, nil
}
