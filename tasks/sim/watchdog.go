package sim

import (
	"context"
	"slices"
	"strings"
	"time"

	"phoenix/tasks/guard"
)

// systemdRun starts one of the transient units that phoenix has: the watchdog of a
// change, which goes on when the call is over for as long as this process lives, and a
// reboot in a moment.
func systemdRun(c *call) int {
	argv, after := c.argv[1:], time.Duration(0)
	for len(argv) > 0 && strings.HasPrefix(argv[0], "-") {
		if text, ok := strings.CutPrefix(argv[0], "--on-active="); ok {
			var err error
			if after, err = time.ParseDuration(text); err != nil {
				c.errorf("Failed to parse timer value: %s\n", argv[0])
				return 1
			}
		}
		argv = argv[1:]
	}
	switch {
	case len(argv) == 0:
		c.errorf("Command line to execute required.\n")
		return 1
	case slices.Equal(argv, []string{"systemctl", "reboot"}):
		c.rebootSoon(after)
		return 0
	case len(argv) == 3 && argv[1] == "guard":
		host := c.m.Host()
		go func() { _ = guard.Watch(context.Background(), host, argv[2]) }() // the change's folder has what went wrong
		return 0
	}
	c.errorf("Failed to find executable %s: No such file or directory\n", argv[0])
	return 1
}
