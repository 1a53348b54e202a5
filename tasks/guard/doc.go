// Package guard makes changes that could lock the operator out: the machine itself
// takes each back unless somebody confirms, over a connection that was opened after
// the change, that they still get in.
//
// What was there before lies below Dir. A watchdog, a process of its own that systemd
// starts, puts it back when the time is over, whatever has become of the helper, the
// connection and the workstation; it does not outlive a reboot. Confirming and taking
// back exclude each other: both have to claim the same file. Start reading at Make.
package guard
