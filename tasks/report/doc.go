// Package report is the record of a run: the stream of its events, and the report
// that the stream folds into.
//
// Everything that happens in a run passes through one Stream, which numbers each
// Event and hands it to every Sink: the screen, the NDJSON output, the files of the
// run. The Report is a pure function of that stream (Build), so what the screen
// showed, what was printed and what was kept cannot disagree.
//
// The package never asks a host anything and never decides what happens in a run;
// it writes only below the folder of a Store. Putting a report before a reader is
// the work of report/render and report/term. Start reading at Event, Stream and
// Build.
package report
