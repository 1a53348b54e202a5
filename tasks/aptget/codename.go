package aptget

import (
	"fmt"
	"regexp"
	"strings"

	"phoenix/tasks"
)

// Codename is the name of the machine's Debian release, after which suites are named:
// "bookworm".
func Codename(h tasks.Host) (string, error) {
	const file = "/etc/os-release"
	data, err := h.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("find Debian's release: %w", err)
	}
	for _, line := range tasks.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		if key == "VERSION_CODENAME" && regexp.MustCompile(`^[a-z]+$`).MatchString(value) {
			return value, nil
		}
	}
	return "", fmt.Errorf("find Debian's release: %s has no VERSION_CODENAME", file)
}
