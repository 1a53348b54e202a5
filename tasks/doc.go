// Package tasks is the vocabulary that the workstation and the helper share: a
// step, how it is checked and applied, and what it reports.
//
// A family of things (packages, files, containers) lives in tasks/kind/FAMILY
// and brings a Spec, which says what a person may write, and a Task, which reads
// the machine (Check) and changes it (Apply). The Runner takes the steps of one
// Job in dependency order, checks each, applies what differs where the job allows
// it, checks again, and reports every outcome as Events.
//
// The package never talks to a network, never writes to a machine by itself, and
// uses the standard library only, because it is linked into the static helper.
// Start reading at Task, Host and Runner.
package tasks
