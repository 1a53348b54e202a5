// Package wire is the protocol between the workstation and the helper: what can be
// said (Message), and how it travels over a stream of bytes (Reader, Writer).
//
// Each direction begins with a greeting that no login banner can be mistaken for,
// because it holds NUL bytes and a nonce drawn for this one session; whatever comes
// before it is noise, up to MaxNoise bytes, and is quoted when the greeting never
// comes. After the greeting come frames: a length of 4 bytes, big-endian, and that
// many bytes of JSON, one Message each, at most MaxMessage bytes. Both ends decode
// strictly and validate what they send and what they get, because neither trusts
// the other: a hostile host must not be able to make the workstation allocate what
// it claims to send, only what it has sent.
//
// The package never opens a connection, has no deadlines of its own and knows
// nothing of what a step does. Start reading at Message, then Reader.
package wire
