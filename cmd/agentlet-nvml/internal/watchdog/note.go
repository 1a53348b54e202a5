package watchdog

import "phoenix/tasks/gpufacts"

// Note is one line that the reader writes: what it is about to ask, or what it learned.
// Exactly one field is set.
type Note struct {
	// System comes first in a sample: all but the cards.
	System *System `json:"system,omitempty"`
	// At comes before each group of facts is asked for.
	At *Place `json:"at,omitempty"`
	// GPU holds the facts of the group that was read, and no others but the index.
	GPU *gpufacts.GPU `json:"gpu,omitempty"`
	// Error ends the reader: there is nothing to be had.
	Error *gpufacts.Fault `json:"error,omitempty"`
	// End is the end of a sample.
	End bool `json:"end,omitempty"`
}

// System is what the driver says of itself, and how many cards it has.
type System struct {
	gpufacts.Document
	Count int `json:"count"`
}

// Place is where the reader is.
type Place struct {
	GPU   int    `json:"gpu"`
	Group string `json:"group"`
}
