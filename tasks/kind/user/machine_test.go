package user_test

import (
	"encoding/json"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// Keys as ssh-keygen made them; fingerprints as ssh-keygen -l showed them.
const (
	annKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4+1v2nulfEQ9eREAFYTzIwEBuB4LWAkR0flQCy835M ann@laptop"
	annPath = "authorized_keys.SHA256:wPCuCbQi8j3Y0PVJMKM3UkG+8nyFHpYaHcJftGW2BIU"
	ecKey   = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKrixKSyHPQEsOWOUB+z9vP0qgRH0B6MT66qIpKomo0+aAIVMX3ooaCk9SJxijgxMwGj6AnclWzTmU4nOPuQUzU= ann@desk"
	ecPath  = "authorized_keys.SHA256:0nujOGcEMJxpgd7awiDcL3Z97S/28LTECWwcgnAddnA"
	bobKey  = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDTjjnTlNfkdF5y6F+wJjzJTfes51Jgzr8tEef/Mnsno5l1PFTHjWUzMRJav6y/TAyNw5E3OyA3e18T3GfgeHV/bmjj2oiyV11+tibxBflh3WQF9ex+wBhb0RuNi1cz1alxEJfjDRJtsA2IBoClqgMW7OjpGHrEniRoPRHGQxpoJECyuTgZRn6EY0hNedJ0M8V/fMwMEMmqPP/1/hugpAeWN2icaLbDds1IeG73IT/ac/ZXylc7w3EsdrY3zwyFM69PkK3/9bolVeQOGcQB41cYXMSBUES9+44JbACG38VO+xu5kJtVyNLYiU/9BOI0pze2/X2P9MtFCPCAYFF7qumt bob@desk"
	keyFile = "/home/ann/.ssh/authorized_keys"
	sudoers = "/etc/sudoers.d/phoenix-ann"
)

// Hashes of "one" and "two" by openssl passwd -6.
const (
	hash1 = "$6$saltsalt$kiRCEN9h6.zvW9LfVNgSwgm2787.AP2FffCmRoXgfIr6JNAEomr.2TTu4gXSLZC8ktz9QdSO9U53P04XAACMi1"
	hash2 = "$6$othersal$.Jwu860t9WvbbhCi9VbeLe3k1d9STVmS5FqWn6P6/9.YtMFzQEatdo5jCQwVub1F.ba5ZEKaBicr4RuKQfibE1"
)

// everything is ann with every property.
func everything() map[string]any {
	return map[string]any{
		"name": "ann", "uid": 1500, "comment": "Ann Example", "home": "/home/ann", "shell": "/bin/bash",
		"groups": []string{"sudo", "media"}, "password_hash": map[string]string{"secret": "ann_hash"}, "locked": false,
		"authorized_keys": []string{annKey, `from="10.0.0.0/8" ` + ecKey},
		"sudo":            []string{"ALL=(ALL:ALL) NOPASSWD: ALL"},
	}
}

func with(t *testing.T, change map[string]any) string {
	t.Helper()
	s := everything()
	for k, v := range change {
		s[k] = v
		if v == nil {
			delete(s, k)
		}
	}
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func suite(t *testing.T, spec string) taskstest.Suite {
	return taskstest.Suite{
		Kind: user.Kind(), Spec: spec, Secrets: map[string]string{"ann_hash": hash1},
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t).Host()} },
	}
}

// machine is a simulated Proxmox host with sudo.
func machine(t *testing.T) *sim.Machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	command(t, m.Host(), "apt-get", "install", "-y", "sudo")
	return m
}

func command(t *testing.T, h tasks.Host, argv ...string) {
	t.Helper()
	if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
		t.Fatal(err)
	}
}

// converged is a machine on which the spec has run.
func converged(t *testing.T, spec string) tasks.Host {
	t.Helper()
	h := machine(t).Host()
	if res := suite(t, spec).Apply(t, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	return h
}

// line is the line of a user in one of the files of accounts.
func line(t *testing.T, h tasks.Host, file, name string) string {
	t.Helper()
	for l := range strings.Lines(taskstest.Get(t, h, file)) {
		if strings.HasPrefix(l, name+":") {
			return strings.TrimSpace(l)
		}
	}
	return ""
}
