package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"

	"phoenix/e2e/floor"
)

// client is the benchmark called as its own floor: `bench client bare` or
// `bench client minimal`, with a clientInput on standard input. It is a process of
// its own, as phoenix is, so that starting and ending count on both sides.
func client(ctx context.Context, args []string) error {
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var in clientInput
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	key, err := os.ReadFile(in.Identity)
	if err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return err
	}
	c := floor.Client{Signer: signer, Parallel: 256}
	switch args[0] {
	case "bare":
		return c.Run(ctx, in.Hosts, "true", nil)
	case "minimal":
		return c.Run(ctx, in.Hosts, "/usr/local/sbin/minimal", in.Wanted)
	}
	return fmt.Errorf("unknown client %q", args[0])
}

// clientInput is what a floor client is told.
type clientInput struct {
	Identity string
	Hosts    []floor.Host
	Wanted   json.RawMessage
}
