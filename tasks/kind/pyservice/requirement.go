package pyservice

import (
	"regexp"
	"strings"

	"phoenix/tasks"
)

// requirement is one project that is wanted.
type requirement struct {
	// name in normal form, version empty where any will do.
	name, version string
	// tail is a condition or a checksum behind it.
	tail string
}

// conditional tells whether the project is wanted at all only where pip finds so.
func (r requirement) conditional() bool { return strings.HasPrefix(r.tail, ";") }

// parseRequirement reads NAME, NAME[EXTRA] and NAME==VERSION (PEP 508, as far as one
// version goes). Everything else is pip's to understand, and not ok.
func parseRequirement(text string) (requirement, bool) {
	f := regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[A-Za-z0-9._, -]*\])?\s*(?:==\s*([A-Za-z0-9][A-Za-z0-9.+!_-]*))?\s*((?:;|\s--hash).*)?$`).FindStringSubmatch(strings.TrimSpace(text))
	if f == nil {
		return requirement{}, false
	}
	return requirement{normal(f[1]), f[2], strings.TrimSpace(f[3])}, true
}

// requirements are the projects of a requirements file that can be compared: those
// without a condition. Lines that only pip understands are passed over.
func requirements(text string) []requirement {
	var out []requirement
	for _, line := range tasks.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if i := strings.Index(" "+line, " #"); i >= 0 {
			line = line[:max(0, i-1)]
		}
		if r, ok := parseRequirement(line); ok && !r.conditional() {
			out = append(out, r)
		}
	}
	return out
}

// normal is the form in which names are equal (PEP 503).
func normal(name string) string {
	return strings.ToLower(regexp.MustCompile(`[-_.]+`).ReplaceAllString(name, "-"))
}

// satisfied tells whether a version that is installed is the one that is wanted. A local
// label ("+cu128") counts only where one is asked for (PEP 440).
func satisfied(have, want string) bool {
	if want == "" {
		return true
	}
	if !strings.Contains(want, "+") {
		have, _, _ = strings.Cut(have, "+")
	}
	return canonical(have) == canonical(want)
}

// canonical takes what makes no difference from a version: case, a leading v, and zeros at
// the end of the numbers.
func canonical(v string) string {
	v = strings.TrimPrefix(strings.ToLower(v), "v")
	release := regexp.MustCompile(`^(\d+!)?\d+(\.\d+)*`).FindString(v)
	rest := v[len(release):]
	for strings.HasSuffix(release, ".0") {
		release = strings.TrimSuffix(release, ".0")
	}
	return release + strings.NewReplacer("-", "", "_", "", ".", "").Replace(rest)
}
