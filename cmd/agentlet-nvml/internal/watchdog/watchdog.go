// Package watchdog has the driver's library asked by a process of its own, and keeps
// what that one learned when it hangs or dies.
//
// A call into the library cannot be broken off, and a fault in it ends the process. So
// the reader (package library) runs as a child that notes each step before it takes it.
// Where it falls silent or ends, the card that it was at is given up, its facts so far
// are kept, and another reader does the rest. The package never calls the library, and
// waits for a child that cannot be killed no longer than its deadline. Start reading at
// Watchdog.Sample.
package watchdog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"phoenix/tasks/gpufacts"
)

// maxCards bounds what a broken library can make of a document.
const maxCards = 256

// Watchdog takes samples. It is used by one goroutine.
type Watchdog struct {
	// Start begins a reader that leaves out the cards with the indexes.
	Start func(without []int) (Reader, error)
	// Deadline of one sample. A single group of facts may take a quarter of it.
	Deadline time.Duration

	reader   Reader
	doc      gpufacts.Document
	given    map[int]givenUp
	whole    int // cards before it were read to their end
	position *Place
}

// givenUp is a card that is asked no more.
type givenUp struct {
	card gpufacts.GPU // what tells it from the others
	why  gpufacts.Fault
}

// Reader is a process that asks the library.
type Reader interface {
	// Ask has it take one sample.
	Ask() error
	// Notes is closed when the reader ends.
	Notes() <-chan Note
	// Kill ends it, without waiting. It may be called again.
	Kill()
	// Last waits a moment for its end and says what it left behind.
	Last() string
}

// Sample returns what is known now. The document has an Error where not even the number
// of cards could be told. A card that was given up is asked no more: a driver that hangs
// over it would cost each sample a wait.
func (w *Watchdog) Sample() gpufacts.Document {
	w.doc, w.whole = gpufacts.Document{}, 0
	over := time.Now().Add(w.Deadline)
	for {
		fault := w.pass(over)
		if fault == nil {
			w.settle(nil)
			return w.doc
		}
		w.Close()
		switch {
		case w.doc.GPUs == nil:
			return gpufacts.Document{Error: fault}
		case w.position == nil || !time.Now().Before(over):
			w.settle(fault) // there is no more time, or no more library
			return w.doc
		}
		fault.Text += " (at its " + w.position.Group + ")"
		if w.given == nil {
			w.given = map[int]givenUp{}
		}
		w.given[w.position.GPU] = givenUp{card(w.doc.GPUs, w.position.GPU), *fault}
	}
}

// Close ends the reader.
func (w *Watchdog) Close() {
	if w.reader != nil {
		w.reader.Kill()
		w.reader = nil
	}
}

// pass has a reader go through the cards. It returns nil at the end of the sample, else
// why the reader did not come there; the position is then where it was.
func (w *Watchdog) pass(over time.Time) *gpufacts.Fault {
	w.position = nil
	if w.reader == nil {
		reader, err := w.Start(slices.Sorted(maps.Keys(w.given)))
		if err != nil {
			return &gpufacts.Fault{Kind: gpufacts.KindOther, Text: "start reader: " + err.Error()}
		}
		w.reader = reader
	}
	if err := w.reader.Ask(); err != nil {
		return w.died()
	}
	late := time.NewTimer(time.Until(over))
	defer late.Stop()
	// Before the first note the library looks for its cards, which takes it seconds
	// where no other program keeps them awake.
	patience := time.NewTimer(w.Deadline)
	patience.Stop()
	for {
		select {
		case n, ok := <-w.reader.Notes():
			switch {
			case !ok:
				return w.died()
			case n.Error != nil:
				w.position = nil
				return n.Error
			case n.End:
				return nil
			}
			w.take(n)
			patience.Reset(w.Deadline / 4)
		case <-patience.C:
			return silent(w.Deadline / 4)
		case <-late.C:
			return silent(w.Deadline)
		}
	}
}

// silent is the fault of a reader that did not answer in time.
func silent(after time.Duration) *gpufacts.Fault {
	return &gpufacts.Fault{Kind: gpufacts.KindTimeout, Text: fmt.Sprintf("the driver did not answer within %v", after)}
}

// died is the fault of a reader that ended by itself.
func (w *Watchdog) died() *gpufacts.Fault {
	f := &gpufacts.Fault{Kind: gpufacts.KindCrash, Text: "the driver's library ended the probe: " + cmp.Or(w.reader.Last(), "it left no word")}
	if w.position == nil {
		f.Kind = gpufacts.KindOther
	}
	return f
}

// take adds a note to the document.
func (w *Watchdog) take(n Note) {
	switch {
	case n.System != nil:
		cards := w.doc.GPUs
		w.doc = n.System.Document
		w.doc.Source = gpufacts.SourceNVML
		if w.doc.GPUs = cards; cards == nil {
			w.doc.GPUs = make([]gpufacts.GPU, min(max(n.System.Count, 0), maxCards))
		}
		for i := range w.doc.GPUs {
			w.doc.GPUs[i].Index = i
		}
	case n.At != nil:
		w.position = n.At
		w.whole = max(w.whole, n.At.GPU)
	case n.GPU != nil && n.GPU.Index >= 0 && n.GPU.Index < len(w.doc.GPUs):
		merge(&w.doc.GPUs[n.GPU.Index], *n.GPU)
	}
}

// merge adds the facts of one group. Of a group that is read again, after a reader that
// did not come to the end, the later fault counts.
func merge(to *gpufacts.GPU, group gpufacts.GPU) {
	faults := to.GroupErrors
	for _, f := range group.GroupErrors {
		faults = append(slices.DeleteFunc(faults, func(old gpufacts.GroupFault) bool { return old.Group == f.Group }), f)
	}
	group.GroupErrors = nil
	data, err := json.Marshal(group)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		to.Error = &gpufacts.Fault{Kind: gpufacts.KindOther, Text: err.Error()}
	}
	to.GroupErrors = faults
}

// settle gives each card that was not read to its end its reason: its own, or the one
// for which the rest of the sample was left.
func (w *Watchdog) settle(rest *gpufacts.Fault) {
	for i := range w.doc.GPUs {
		old, given := w.given[i]
		switch {
		case given:
			if w.doc.GPUs[i].UUID == "" {
				w.doc.GPUs[i] = old.card
			}
			w.doc.GPUs[i].Error = &old.why
		case rest != nil && i >= w.whole && w.doc.GPUs[i].Error == nil:
			w.doc.GPUs[i].Error = rest
		}
	}
}

// card is what stays true of a card that is asked no more.
func card(all []gpufacts.GPU, index int) gpufacts.GPU {
	if index < 0 || index >= len(all) {
		return gpufacts.GPU{Index: index}
	}
	g := all[index]
	return gpufacts.GPU{Index: g.Index, Minor: g.Minor, UUID: g.UUID, PCIAddress: g.PCIAddress, PCIID: g.PCIID, Serial: g.Serial,
		Name: g.Name, Architecture: g.Architecture, ComputeCapability: g.ComputeCapability, VBIOSVersion: g.VBIOSVersion}
}
