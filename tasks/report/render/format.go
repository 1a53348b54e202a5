package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// Format is the name of an output format.
type Format string

// The formats. All but NDJSON are written when the run is over.
const (
	FormatText   Format = "text"
	FormatJSON   Format = "json"
	FormatNDJSON Format = "ndjson"
	FormatJUnit  Format = "junit"
)

// Formats lists the names of the formats.
func Formats() []Format { return []Format{FormatText, FormatJSON, FormatNDJSON, FormatJUnit} }

// Output is one value of -o: a format, and the file it goes to.
type Output struct {
	Format Format
	// File is where it goes; empty means standard output.
	File string
}

// ParseOutput reads "FORMAT" or "FORMAT=FILE"; the file "-" is standard output.
func ParseOutput(s string) (Output, error) {
	name, file, named := strings.Cut(s, "=")
	o := Output{Format: Format(name), File: file}
	if !slices.Contains(Formats(), o.Format) {
		return Output{}, fmt.Errorf("parse output %q: unknown format %q (use %s)", s, name, known())
	}
	if named && file == "" {
		return Output{}, fmt.Errorf("parse output %q: no file after the equals sign", s)
	}
	if file == "-" {
		o.File = ""
	}
	return o, nil
}

func known() string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// Options are how a report is written as text.
type Options struct {
	// Style of the stream.
	Style term.Style
	// Verbosity: Quiet leaves out hosts that ended well, Steps shows every step.
	Verbosity term.Verbosity
	// Columns is how wide lines may be; 0 wraps none.
	Columns int
}

// Write writes a finished report in one of the formats. NDJSON is refused: it is the
// stream, not the report (see NDJSON).
func Write(w io.Writer, f Format, r report.Report, o Options) error {
	switch f {
	case FormatText:
		return Text(w, r, o)
	case FormatJSON:
		return report.WriteJSON(w, r)
	case FormatJUnit:
		return JUnit(w, r)
	}
	return fmt.Errorf("write report: %s is not a format of reports", f)
}

// NDJSON is a report.Sink that writes each event as a line of JSON as it comes. A
// reader that went away does not stop the run; the first error is kept.
type NDJSON struct {
	w    io.Writer
	mu   sync.Mutex
	err  error
	line []byte
}

// NewNDJSON returns a sink that writes to w.
func NewNDJSON(w io.Writer) *NDJSON { return &NDJSON{w: w} }

// Event writes one line.
func (n *NDJSON) Event(e report.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return
	}
	if n.line, n.err = report.AppendLine(n.line[:0], e); n.err == nil {
		_, n.err = n.w.Write(n.line)
	}
}

// Err is the first error of writing.
func (n *NDJSON) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}
