package main

import (
	"fmt"
	"strconv"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/report"
)

// checkCTID refuses a number that no container can have, before anything is read. A
// word that is none is returned as it is: it may be a container's name, which only the inventory
// tells.
func checkCTID(word string) (canonical string, err error) {
	n, err := strconv.Atoi(word)
	if err != nil {
		return word, nil
	}
	if problems := (&lxc.Spec{CTID: n, State: lxc.StateAbsent}).Validate(); len(problems) > 0 {
		return "", &usageError{problems[0].Summary}
	}
	return strconv.Itoa(n), nil
}

const noCTID = "%q is no CTID, which is a number such as 100"

// flagCTID is a CTID in a flag, which a name cannot stand for: what it agrees to is said
// without doubt.
type flagCTID int

// UnmarshalText is called by kong.
func (n *flagCTID) UnmarshalText(text []byte) error {
	id, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf(noCTID, text)
	}
	*n = flagCTID(id)
	return nil
}

func ctids(list []flagCTID) []int {
	var out []int
	for _, n := range list {
		out = append(out, int(n))
	}
	return out
}

// ctid reads the number of a container. Names are not unique over clusters, so they
// only lead to the number, which is what has to be given.
func ctid(all []*inventory.Host, word string) (int, error) {
	n, err := strconv.Atoi(word)
	if err == nil {
		return n, nil
	}
	var found []string
	for _, h := range all {
		for _, c := range h.Containers {
			if c.Spec.Name == word {
				found = append(found, fmt.Sprintf("%d on %s", c.Spec.CTID, h.Name))
			}
		}
	}
	text := fmt.Sprintf(noCTID, word)
	if len(found) > 0 {
		text = fmt.Sprintf("%q is a name, and a CTID is wanted: %s is container %s", word, word, strings.Join(found, " and "))
	}
	return 0, &usageError{text}
}

// missing gathers the containers that were to be destroyed and were not there.
type missing struct{ notes []report.Event }

// Event is report.Sink's.
func (m *missing) Event(e report.Event) {
	if e.Step == nil || e.Step.Result == nil || e.Step.Result.Status != tasks.StatusOK {
		return
	}
	id := strings.TrimPrefix(e.Step.Step, lxc.Name+":")
	m.notes = append(m.notes, report.Event{Host: e.Host, Note: &report.Note{
		Level: report.NoteWarning, Text: "container " + id + " is not there: nothing was destroyed",
	}})
}

// tell puts them into the record.
func (m *missing) tell(stream *report.Stream) {
	for _, e := range m.notes {
		stream.Emit(e)
	}
}
