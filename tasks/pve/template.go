package pve

import (
	"strings"
)

// IsTemplateFile tells whether a name is the file name of a container template, which
// Proxmox calls NAME_VERSION_ARCH.tar.gz, .xz, .zst or .bz2.
func IsTemplateFile(name string) bool {
	for _, end := range []string{".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tar"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// NewestTemplate returns the file of a series with the highest version: of the series
// debian-12-standard, debian-12-standard_12.10-1_amd64.tar.zst comes after
// debian-12-standard_12.7-1_amd64.tar.zst.
func NewestTemplate(files []string, series string) (string, bool) {
	best, bestVersion := "", ""
	for _, f := range files {
		rest, ok := strings.CutPrefix(f, series+"_")
		if !ok || !IsTemplateFile(f) {
			continue
		}
		version, _, _ := strings.Cut(rest, "_")
		if best == "" || versionLess(bestVersion, version) {
			best, bestVersion = f, version
		}
	}
	return best, best != ""
}

// versionLess compares versions by their numbers, and where these are equal by the
// text between them.
func versionLess(a, b string) bool {
	for a != "" || b != "" {
		x, restA := leading(a)
		y, restB := leading(b)
		if x != y {
			if isDigit(x) && isDigit(y) && len(x) != len(y) {
				return len(x) < len(y)
			}
			return x < y
		}
		a, b = restA, restB
	}
	return false
}

// leading splits off a run of digits, without leading zeros, or a run of the rest.
func leading(s string) (run, rest string) {
	if s == "" {
		return "", ""
	}
	digits := isDigit(s)
	i := 1
	for i < len(s) && isDigit(s[i:]) == digits {
		i++
	}
	run = s[:i]
	if digits {
		run = "0" + strings.TrimLeft(run, "0")
	}
	return run, s[i:]
}

func isDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
