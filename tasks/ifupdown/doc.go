// Package ifupdown reads and edits /etc/network/interfaces and the files that it
// sources, as ifupdown2 3.0 reads them, which is what Proxmox VE has.
//
// Every byte that is not edited stays: comments, order, indentation, foreign
// stanzas, options that nobody here knows, lines that are errors. Proxmox's own
// writer keeps none of this. The package starts no program and puts nothing into
// effect. Start reading at Read, File and Stanza.
package ifupdown
