// Package deploy puts the helper on a host, starts it, and speaks with it.
//
// A helper lies on the host under the SHA-256 of its bytes, so there is no version
// to compare: the warm path is a single command that executes it where it lies, with
// the job already on its way, and only a command that could not be executed, or that
// did not answer as the helper does, leads to an upload. What is uploaded goes to a
// temporary name, is unpacked, synced and hashed on the host, and only then gets its
// name. Everything that runs on the host before the helper does is one of the five
// shell scripts in scripts.go, constant texts that take their arguments by position.
//
// The package never dials, never decides what a host is asked to do, and never runs
// a helper that is not of this build. Start reading at Start; PutGPUProbe puts a second
// program beside the helper, which needs it on hosts with a card, and Clean takes
// everything off a host again.
package deploy
