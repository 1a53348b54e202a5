// Package sim is a Proxmox VE host that lies in a folder: its files and the
// programs that change them (pct, pvesm, pveam, pvesh, apt-get, systemctl and some
// more), made to behave, print and fail as the real ones were recorded to.
//
// It serves tests, demonstrations and the lab, which puts an SSH server in front
// of it. All state is in files below Machine.Root, so that several processes can
// serve one machine; nothing on the real machine outside Root is read or changed,
// and no real program is started. Machine.Containers can make its containers real ones.
//
// The behaviour comes from 364 recorded calls of pve-container 5.3.5 and
// pve-manager 8.4.21, kept in testdata/pct-catalogue.json and played back by the
// package's replay test, which also lists where the simulation differs and why.
//
// Start reading at Machine, New and Exec; Machine.Host gives the tasks.Host.
package sim
