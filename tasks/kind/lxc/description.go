package lxc

import (
	"fmt"
	"strconv"
	"strings"
)

// ownLine begins the line of a description that is phoenix's own: a comment in
// Markdown, as which Proxmox shows descriptions. It records what a container was made
// from, which can be read nowhere else, and is written when the container is made. It
// names its container: Proxmox copies descriptions into clones.
const ownLine = "<!-- phoenix:"

// splitDescription takes the lines of phoenix out of a description, whatever people
// have made of them.
func splitDescription(text string) (rest string, own []string) {
	if !strings.Contains(text, ownLine) {
		return strings.TrimRight(text, "\n"), nil
	}
	var lines []string
	for _, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(l), ownLine) {
			own = append(own, l)
		} else {
			lines = append(lines, l)
		}
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n"), own
}

func canonDescription(text string) string {
	rest, _ := splitDescription(text)
	return rest
}

// joinDescription puts the lines of phoenix behind a text, as far as Proxmox has room.
func joinDescription(text string, own ...string) string {
	for _, l := range own {
		switch {
		case len(text)+1+len(l) > maxDescription:
		case text == "":
			text = l
		default:
			text += "\n" + l
		}
	}
	return text
}

// madeFrom is the line for a container that is made now.
func (s *Spec) madeFrom(origin string) string {
	return fmt.Sprintf("%s ctid=%d %s -->", ownLine, s.CTID, origin)
}

// recordedParent reads which container this one was cloned from. A line of another
// container, or one that people have changed, says nothing.
func recordedParent(description string, ctid int) (parent int, ok bool) {
	_, own := splitDescription(description)
	for _, l := range own {
		words, whole := strings.CutSuffix(strings.TrimPrefix(l, ownLine), " -->")
		f := strings.Fields(words)
		if !whole || len(f) < 2 || f[0] != fmt.Sprintf("ctid=%d", ctid) {
			continue
		}
		if digits, clone := strings.CutPrefix(f[1], "clone="); clone {
			n, err := strconv.Atoi(digits)
			return n, err == nil
		}
	}
	return 0, false
}
