package guest

import (
	"fmt"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// attachPath is where programs are looked for inside a container.
const attachPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Attach is the beginning of a command line that runs what follows in a container, with
// nothing of the machine's environment.
func Attach(ctid int) []string {
	return []string{"lxc-attach", "-n", strconv.Itoa(ctid), "--clear-env", "--set-var", attachPath, "--"}
}

// receipt begins a line of the description: what was made inside a container that is not
// running any more, and so cannot be looked into.
func receipt(ctid int) string { return fmt.Sprintf("<!-- phoenix: ctid=%d inside=", ctid) }

// ReceiptLine is the line of a description for what was made inside; see Receipt.
func ReceiptLine(ctid int, digest string) string { return receipt(ctid) + digest + " -->" }

// Receipt is the digest of what was last made inside the container before it was stopped
// or became a template; empty where the description does not tell.
func (g *Guest) Receipt() string { return Receipt(g.Config.Head().Description(), g.CTID) }

// Receipt reads what ReceiptLine has written. A line of another container, whose
// description was copied into a clone, says nothing.
func Receipt(description string, ctid int) string {
	for _, line := range tasks.Lines(description) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), receipt(ctid)); ok {
			if digest, whole := strings.CutSuffix(rest, " -->"); whole {
				return digest
			}
		}
	}
	return ""
}
