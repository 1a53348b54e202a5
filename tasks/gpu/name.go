package gpu

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"phoenix/tasks"
)

// The ways to name a card. The domain of a PCI address has 8 digits in nvidia-smi, 4 in
// Linux (more where they do not fit), and lspci leaves it out.
var (
	cardIndex   = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})$`)
	cardAddress = regexp.MustCompile(`^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$`)
)

// CardName is the one form of a card's name, which is its index in nvidia-smi, its UUID or
// its PCI address; ok is false for what is none.
func CardName(word string) (name string, ok bool) {
	if IsIndex(word) {
		return word, true
	}
	lower := strings.ToLower(word)
	if id, is := strings.CutPrefix(lower, "gpu-"); is {
		return "GPU-" + id, IsUUID("GPU-" + id)
	}
	m := cardAddress.FindStringSubmatch(lower)
	if m == nil {
		return word, false
	}
	return fmt.Sprintf("%04s:%s", strings.TrimLeft(m[1], "0"), m[2]), true
}

// IsIndex tells whether a card's name is its index.
func IsIndex(name string) bool { return cardIndex.MatchString(name) }

// IsUUID tells whether a card's name is its UUID, in the form of CardName.
func IsUUID(name string) bool { return uuid.MatchString(name) }

// DriverAhead tells whether this is a check of a run that has the driver, or its nodes,
// made by then.
func DriverAhead(ctx context.Context) bool {
	for _, id := range tasks.ScopeOf(ctx).Ahead {
		if strings.HasPrefix(id, "nvidia:") || strings.HasPrefix(id, "reboot:") {
			return true
		}
	}
	return false
}
