package render

import (
	"bytes"
	"encoding/json"
	"fmt"

	"phoenix/tasks"
	"phoenix/tasks/report/term"
)

// ran is the data of a step that ran a program for its output; the output itself may
// be in the step's log instead.
type ran struct {
	Stdout *string `json:"stdout"`
	Stderr *string `json:"stderr"`
	Code   *int    `json:"code"`
}

// notes is the data of a step that has something to say that is no difference.
type notes struct {
	Notes []string `json:"notes"`
}

// data shows what a step was asked to find out: the output of a program as it is, notes
// a line each, anything else as indented JSON.
func (t *text) data(raw json.RawMessage) []string {
	if len(raw) == 0 {
		return nil
	}
	var out ran
	if err := tasks.UnmarshalStrict(raw, &out); err == nil && (out.Stdout != nil || out.Code != nil) {
		return t.output(out)
	}
	var said notes
	if err := tasks.UnmarshalStrict(raw, &said); err == nil && said.Notes != nil {
		var lines []string
		for _, n := range said.Notes {
			lines = append(lines, "    "+t.s.Paint(term.Change, "note: ")+t.s.Clean(n))
		}
		return lines
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil
	}
	return indented(t.s.Lines(b.String()))
}

func (t *text) output(r ran) []string {
	var lines []string
	if r.Stdout != nil {
		lines = indented(t.s.Lines(*r.Stdout))
	}
	if r.Stderr != nil {
		for _, l := range t.s.Lines(*r.Stderr) {
			lines = append(lines, "    "+t.s.Paint(term.Change, "stderr | "+l))
		}
	}
	if r.Code != nil && *r.Code != 0 {
		lines = append(lines, "    "+t.s.Paint(term.Bad, fmt.Sprintf("exit status %d", *r.Code)))
	}
	return lines
}

func indented(lines []string) []string {
	for i, l := range lines {
		lines[i] = "    " + l
	}
	return lines
}
