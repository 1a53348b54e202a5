package watchdog

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks/gpufacts"
)

// scripted is a reader that writes notes and then falls silent, or ends.
type scripted struct {
	notes   chan Note
	killed  bool
	refuses bool
}

func (s *scripted) Ask() error {
	if s.refuses {
		return errors.New("broken pipe")
	}
	return nil
}
func (s *scripted) Notes() <-chan Note { return s.notes }
func (s *scripted) Kill()              { s.killed = true }
func (s *scripted) Last() string       { return "SIGSEGV" }

func script(ends bool, notes ...Note) *scripted {
	s := &scripted{notes: make(chan Note, len(notes))}
	for _, n := range notes {
		s.notes <- n
	}
	if ends {
		close(s.notes)
	}
	return s
}

func system(cards int) Note {
	return Note{System: &System{Document: gpufacts.Document{DriverVersion: "550"}, Count: cards}}
}

func at(gpu int, group string) Note { return Note{At: &Place{gpu, group}} }

// read notes the two groups of a card.
func read(i int) []Note {
	return []Note{at(i, "identity"), {GPU: &gpufacts.GPU{Index: i, UUID: "GPU-" + string(rune('a'+i))}}, at(i, "modes"), {GPU: &gpufacts.GPU{Index: i, ComputeMode: "default"}}}
}

func all(parts ...[]Note) []Note { return slices.Concat(parts...) }

func one(n Note) []Note { return []Note{n} }

// watch takes one sample with readers that are started in turn, and returns what each
// was told to leave out.
func watch(t *testing.T, readers ...*scripted) (gpufacts.Document, [][]int) {
	t.Helper()
	var left [][]int
	w := &Watchdog{Deadline: 8 * time.Second, Start: func(without []int) (Reader, error) {
		if len(left) == len(readers) {
			return nil, errors.New("no more processes")
		}
		left = append(left, without)
		return readers[len(left)-1], nil
	}}
	return w.Sample(), left
}

// kinds lists the faults of the cards.
func kinds(d gpufacts.Document) string {
	var words []string
	for _, g := range d.GPUs {
		word := "whole"
		if g.Error != nil {
			word = g.Error.Kind
		}
		if g.ComputeMode == "" && g.Error == nil {
			word = "empty"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestSample(t *testing.T) {
	end := one(Note{End: true})
	for _, c := range []struct {
		name    string
		readers func() []*scripted
		want    string
		took    time.Duration
	}{
		{"a good driver", func() []*scripted { return []*scripted{script(false, all(one(system(2)), read(0), read(1), end)...)} }, "whole whole", 0},
		{"a reader that dies at a card", func() []*scripted {
			return []*scripted{
				script(true, all(one(system(3)), read(0), read(1)[:3])...), script(false, all(one(system(3)), read(0), read(2), end)...)}
		}, "whole crash whole", 0},
		{"a reader that hangs at a card", func() []*scripted {
			return []*scripted{
				script(false, all(one(system(3)), read(0), read(1)[:3])...), script(false, all(one(system(3)), read(0), read(2), end)...)}
		}, "whole timeout whole", 2 * time.Second},
		{"a second reader that cannot open the library", func() []*scripted {
			return []*scripted{
				script(true, all(one(system(3)), read(0), read(1)[:3])...), script(true)}
		}, "whole crash other", 0},
		{"a second reader that hangs as it opens the library", func() []*scripted {
			return []*scripted{
				script(false, all(one(system(3)), read(0), read(1)[:3])...), script(false)}
		}, "whole timeout timeout", 8 * time.Second},
		{"a second reader that cannot be started", func() []*scripted {
			return []*scripted{
				script(true, all(one(system(3)), read(0), read(1)[:3])...)}
		}, "whole crash other", 0},
		{"a card beyond the last", func() []*scripted { return []*scripted{script(false, all(one(system(1)), read(0), read(7), end)...)} }, "whole", 0},
		{"a driver with a thousand cards", func() []*scripted { return []*scripted{script(false, all(one(system(1000)), end)...)} }, strings.TrimSpace(strings.Repeat("empty ", maxCards)), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				readers := c.readers()
				start := time.Now()
				doc, left := watch(t, readers...)
				if got := kinds(doc); got != c.want || doc.Error != nil || doc.DriverVersion != "550" || doc.Source != gpufacts.SourceNVML {
					t.Errorf("got %s, %+v, want %s", got, doc.Error, c.want)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if len(left) > 1 && !slices.Equal(left[1], []int{1}) {
					t.Errorf("the second reader left out %v", left[1])
				}
				if len(readers) > 1 && !readers[0].killed {
					t.Error("the first reader was not killed")
				}
			})
		})
	}
}

func TestSample_withoutAnyCardHasTheErrorOnly(t *testing.T) {
	for _, c := range []struct {
		name, kind, text string
		readers          func() []*scripted
	}{
		{"the library is missing", gpufacts.KindLibraryMissing, "none", func() []*scripted {
			return []*scripted{script(true, Note{Error: &gpufacts.Fault{Kind: gpufacts.KindLibraryMissing, Text: "none"}})}
		}},
		{"the reader dies", gpufacts.KindOther, "the driver's library ended the probe: SIGSEGV", func() []*scripted { return []*scripted{script(true)} }},
		{"the reader cannot be asked", gpufacts.KindOther, "the driver's library ended the probe: SIGSEGV", func() []*scripted { d := script(false); d.refuses = true; return []*scripted{d} }},
		{"the reader hangs", gpufacts.KindTimeout, "the driver did not answer within 8s", func() []*scripted { return []*scripted{script(false)} }},
		{"no reader can be started", gpufacts.KindOther, "start reader: no more processes", func() []*scripted { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				doc, _ := watch(t, c.readers()...)
				if doc.Error == nil || doc.Error.Kind != c.kind || !strings.HasPrefix(doc.Error.Text, c.text) || doc.GPUs != nil {
					t.Errorf("got %+v, want %s: %s", doc.Error, c.kind, c.text)
				}
			})
		})
	}
}

func TestMerge_keepsTheLaterFaultOfAGroup(t *testing.T) {
	to := gpufacts.GPU{UUID: "GPU-a", GroupErrors: []gpufacts.GroupFault{{Group: "ecc", Fault: gpufacts.Fault{Text: "old"}}, {Group: "power"}}}
	merge(&to, gpufacts.GPU{Name: "L4", GroupErrors: []gpufacts.GroupFault{{Group: "ecc", Fault: gpufacts.Fault{Text: "new"}}}})
	if to.UUID != "GPU-a" || to.Name != "L4" || len(to.GroupErrors) != 2 || to.GroupErrors[1].Text != "new" {
		t.Errorf("got %+v", to)
	}
}

func TestFirstLine_isOneLineThatATerminalShows(t *testing.T) {
	if got := firstLine("\n\n\x1b[2J./probe: symbol lookup error\nmore"); got != " [2J./probe: symbol lookup error" {
		t.Errorf("got %q", got)
	}
	if got := firstLine(strings.Repeat("é", 400)); got != strings.Repeat("é", 300)+"…" {
		t.Errorf("got %q", got)
	}
}
