// Package term puts a run before a person: it decides on colours and glyphs, makes
// remote text harmless, and shows progress on a terminal or line by line.
//
// A Display is a report.Sink. One goroutine owns the screen; nothing else may write
// to it while a Display is open, except inside Suspend
// and Interject. The package never asks the
// operating system anything: whether there is a terminal, its size, the environment
// and the clock are given to it. Start reading at Decide, Style and Display.
package term
