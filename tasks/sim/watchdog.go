package sim

import (
	"context"
	"slices"
	"strings"

	"phoenix/tasks/guard"
)

// systemdRun starts the watchdog of a change, the one transient unit that phoenix has.
// It goes on when the call is over, for as long as this process lives.
func systemdRun(c *call) int {
	command := slices.IndexFunc(c.argv[1:], func(word string) bool { return !strings.HasPrefix(word, "-") })
	if command < 0 {
		c.errorf("Command line to execute required.\n")
		return 1
	}
	argv := c.argv[1+command:]
	if len(argv) != 3 || argv[1] != "guard" {
		c.errorf("Failed to find executable %s: No such file or directory\n", argv[0])
		return 1
	}
	host := c.m.Host()
	go func() { _ = guard.Watch(context.Background(), host, argv[2]) }() // the change's folder has what went wrong
	return 0
}
