package guest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
)

// A container that is frozen never answers, and one that lies has no end of groups.
const (
	groupsLimit = 30 * time.Second
	maxGroups   = 10_000
)

// Groups reads the IDs of the groups that a running container has, by name. A process
// inside prints the file: from outside, the container could have it lead elsewhere. It is
// for checks as well.
func Groups(ctx context.Context, h tasks.Host, ctid int) (map[string]int, error) {
	argv := []string{"lxc-attach", "-n", strconv.Itoa(ctid), "--clear-env", "--", "cat", "/etc/group"}
	bound, cancel := context.WithTimeout(ctx, groupsLimit)
	defer cancel()
	out, err := tasks.Succeed(bound, h, tasks.Cmd{Argv: argv, ReadOnly: true})
	if err != nil && ctx.Err() == nil && bound.Err() != nil {
		return nil, fmt.Errorf("read the groups of container %d: it has not answered within %s: %w", ctid, groupsLimit, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the groups of container %d: %w", ctid, err)
	}
	groups := make(map[string]int)
	for _, line := range tasks.Lines(string(out.Stdout)) {
		// NAME:PASSWORD:GID:MEMBERS, group(5); the first of a name counts.
		parts := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(parts) < 3 || len(groups) >= maxGroups {
			continue
		}
		gid, err := strconv.ParseUint(parts[2], 10, 31)
		if _, twice := groups[parts[0]]; err == nil && !twice {
			groups[parts[0]] = int(gid)
		}
	}
	return groups, nil
}
