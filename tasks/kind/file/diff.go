package file

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what is drawn: a diff is for people.
const (
	maxDiffInput = 256 << 10 // bytes of either side
	maxDiffCells = 1 << 20   // lines times lines compared
	maxDiffLines = 200       // lines drawn
	contextLines = 3
)

// unified draws the difference of two texts as `diff -u` does, without the header.
// What is no text, or too much of it, is only counted.
func unified(old, new []byte) string {
	if !text(old) || !text(new) {
		return "binary content"
	}
	if len(old) > maxDiffInput || len(new) > maxDiffInput {
		return fmt.Sprintf("%d lines become %d lines", bytes.Count(old, []byte("\n")), bytes.Count(new, []byte("\n")))
	}
	a, b := lines(old), lines(new)
	ops, ok := compare(a, b)
	if !ok {
		return fmt.Sprintf("%d lines become %d lines", len(a), len(b))
	}
	return draw(ops)
}

func text(data []byte) bool {
	return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0
}

// lines splits a text; a last line without its line break says so, as in diff.
func lines(data []byte) []string {
	if len(data) == 0 {
		return nil
	}
	s := strings.Split(string(data), "\n")
	if s[len(s)-1] == "" {
		return s[:len(s)-1]
	}
	s[len(s)-1] += "\n\\ No newline at end of file"
	return s
}

// op is one line of the difference: ' ', '-' or '+'.
type op struct {
	kind byte
	line string
}

// compare finds the longest common subsequence between equal ends.
func compare(a, b []string) ([]op, bool) {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	midA, midB := a[head:len(a)-tail], b[head:len(b)-tail]
	if len(midA)*len(midB) > maxDiffCells {
		return nil, false
	}
	var ops []op
	for _, l := range a[:head] {
		ops = append(ops, op{' ', l})
	}
	ops = append(ops, subsequence(midA, midB)...)
	for _, l := range a[len(a)-tail:] {
		ops = append(ops, op{' ', l})
	}
	return ops, true
}

// subsequence is the textbook table: longest[i][j] is the length for a[i:], b[j:].
func subsequence(a, b []string) []op {
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var ops []op
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			ops = append(ops, op{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || longest[i+1][j] >= longest[i][j+1]):
			ops = append(ops, op{'-', a[i]})
			i++
		default:
			ops = append(ops, op{'+', b[j]})
			j++
		}
	}
	return ops
}

// draw writes hunks with their line numbers.
func draw(ops []op) string {
	var out []string
	near := changedNear(ops)
	oldLine, newLine := 1, 1
	for i := 0; i < len(ops); {
		if !near[i] {
			oldLine, newLine, i = oldLine+1, newLine+1, i+1
			continue
		}
		end := i
		for end < len(ops) && near[end] {
			end++
		}
		oldN, newN := count(ops[i:end])
		out = append(out, fmt.Sprintf("@@ -%s +%s @@", span(oldLine, oldN), span(newLine, newN)))
		for _, o := range ops[i:end] {
			out = append(out, string(o.kind)+o.line)
		}
		oldLine, newLine, i = oldLine+oldN, newLine+newN, end
	}
	if len(out) > maxDiffLines {
		out = append(out[:maxDiffLines], fmt.Sprintf("… %d more lines", len(out)-maxDiffLines))
	}
	return strings.Join(out, "\n")
}

// changedNear marks the lines that changed and those around them.
func changedNear(ops []op) []bool {
	near := make([]bool, len(ops))
	for i, o := range ops {
		if o.kind == ' ' {
			continue
		}
		for j := max(i-contextLines, 0); j <= min(i+contextLines, len(ops)-1); j++ {
			near[j] = true
		}
	}
	return near
}

func count(ops []op) (oldN, newN int) {
	for _, o := range ops {
		if o.kind != '+' {
			oldN++
		}
		if o.kind != '-' {
			newN++
		}
	}
	return oldN, newN
}

// span is a range in diff's notation; an empty one begins before its line.
func span(from, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", from-1)
	case 1:
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d,%d", from, n)
}
