// Package diag says what is wrong with a file that a person wrote: where, why,
// and how to mend it.
//
// Validators collect Diagnostics into a List, which sorts them by place and
// renders them for people or as JSON. The package never reads a file and never
// decides what is a fault. Whatever a file contains, a rendered list holds no
// control character of it. Start reading at Diagnostic and List.
package diag

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Severity is how bad a Diagnostic is.
type Severity string

// The severities.
const (
	// Error stops everything: nothing is contacted.
	Error Severity = "error"
	// Warning is shown and stops nothing.
	Warning Severity = "warning"
)

// Diagnostic is one fault of one file.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// File is the path as the person gave it; empty for a fault that no file has.
	File string `json:"file,omitempty"`
	// Line and Col count from 1, Col in characters; 0 means unknown.
	Line int `json:"line,omitempty"`
	Col  int `json:"col,omitempty"`
	// Path is the logical path in the document: "lxc_configs.950.memory_mb".
	Path string `json:"path,omitempty"`
	// Summary says what is wrong, in one line.
	Summary string `json:"summary"`
	// Hint says how to mend it; it may be empty.
	Hint string `json:"hint,omitempty"`
	// Source is the text of the line, with plaintext secrets masked.
	Source string `json:"source,omitempty"`
}

// Error is the diagnostic on one line, safe for a terminal.
func (d Diagnostic) Error() string { return Clean(d.head()) }

// Place is "FILE:LINE:COL" or as much of it as is known.
func (d Diagnostic) Place() string {
	switch {
	case d.Line == 0:
		return d.File
	case d.Col == 0:
		return fmt.Sprintf("%s:%d", d.File, d.Line)
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Col)
}

func (d Diagnostic) head() string {
	s := d.Summary
	if d.Severity == Warning {
		s = "warning: " + s
	}
	for _, prefix := range []string{d.Path, d.Place()} {
		if prefix != "" {
			s = prefix + ": " + s
		}
	}
	if d.Hint != "" {
		s += " (" + d.Hint + ")"
	}
	return s
}

// List is any number of diagnostics. The zero value is empty and ready to use.
type List []Diagnostic

// How much is told of a path, a summary and a hint, in characters: a name of a
// megabyte would hide what is wrong with it.
const (
	maxPath    = 200
	maxSummary = 600
	maxHint    = 1500
)

// Add appends diagnostics. Of a text that is too long the middle is left out.
func (l *List) Add(ds ...Diagnostic) {
	for _, d := range ds {
		d.Path, d.Summary, d.Hint = shorten(d.Path, maxPath), shorten(d.Summary, maxSummary), shorten(d.Hint, maxHint)
		*l = append(*l, d)
	}
}

func shorten(text string, longest int) string {
	if len(text) <= longest {
		return text
	}
	runes := []rune(text)
	if len(runes) <= longest {
		return text
	}
	end := longest / 3
	return string(runes[:longest-end-1]) + "…" + string(runes[len(runes)-end:])
}

// Sort orders by file, line and column, then by what is said, and drops exact
// repetitions: a configuration that many hosts share is at fault once.
func (l *List) Sort() {
	slices.SortStableFunc(*l, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Summary, b.Summary))
	})
	*l = slices.CompactFunc(*l, func(a, b Diagnostic) bool {
		return a.File == b.File && a.Line == b.Line && a.Col == b.Col && a.Path == b.Path && a.Summary == b.Summary
	})
}

// HasErrors tells whether anything in the list stops the run.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity != Warning })
}

// Errors returns the diagnostics that are not warnings.
func (l List) Errors() List { return l.only(false) }

// Warnings returns the diagnostics that are warnings.
func (l List) Warnings() List { return l.only(true) }

func (l List) only(warnings bool) List {
	var out List
	for _, d := range l {
		if (d.Severity == Warning) == warnings {
			out = append(out, d)
		}
	}
	return out
}

// Counts is "3 errors, 1 warning"; empty for an empty list.
func (l List) Counts() string {
	e, w := len(l.Errors()), len(l.Warnings())
	switch {
	case e > 0 && w > 0:
		return plural(e, "error") + ", " + plural(w, "warning")
	case e > 0:
		return plural(e, "error")
	case w > 0:
		return plural(w, "warning")
	}
	return ""
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// MarshalJSON writes an array, empty rather than null.
func (l List) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Diagnostic(l))
}
