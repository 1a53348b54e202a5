// Package cfslock runs Proxmox's programs that change cluster-wide files, again while
// another writer holds the lock.
//
// The programs wait ten seconds for the lock and then fail; in a cluster that is at
// work that happens. The package never takes the lock itself. See Run.
package cfslock

import (
	"context"
	"errors"
	"strings"

	"phoenix/tasks"
)

// attempts bounds how often a program is started; each waits about ten seconds.
const attempts = 6

// Run starts a program of Proxmox, once more each time that it gave up waiting for the
// lock of a cluster-wide file. What it reports is not to be believed: a second check
// reads the file.
func Run(ctx context.Context, h tasks.Host, c tasks.Cmd) error {
	var err error
	for range attempts {
		_, err = tasks.Succeed(ctx, h, c)
		var ce *tasks.CommandError
		if !errors.As(err, &ce) || !strings.Contains(ce.Stderr, "got lock request timeout") {
			return err
		}
		tasks.Logf(ctx, "another writer holds the lock of the cluster's file; trying again")
	}
	return err
}
