// Package agentlet is the far end of a session: it takes one job from a stream,
// runs it with tasks.Runner on the machine it is on, and streams back what happens.
//
// It is made for the connection to break. The end of its input means: finish the
// step under way, start no other, write the journal, leave. A channel that takes no
// more never holds up a step. A job that may change the machine is run under a lock
// that the kernel releases with the process, and recorded in a folder of its own
// below Dirs.State, from which the next run fetches what nobody saw. A job that only
// checks takes no lock and writes nothing at all.
//
// No value of a secret leaves the package: every event is redacted before it is
// written anywhere. The package never listens on a network, never stays behind after
// its session, and uses the standard library only. Start reading at Server.Serve.
package agentlet
