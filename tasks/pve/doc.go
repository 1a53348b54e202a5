// Package pve reads the files in which Proxmox VE keeps its state: the
// configuration of containers, the list of guests, the storages, the property
// strings that all of them use.
//
// Reading a file takes microseconds where Proxmox's own programs take a second to
// start, so checks are made of these. The package never writes to a machine and
// never starts a program; it only makes the texts that others write. Facts are from
// pve-container 5.3.5, pve-cluster 8.1.3 and pve-storage 8.3.8, and hold for Proxmox
// VE 8 and 9. Start reading at Config and PropertyString.
package pve
