package pve

import (
	"strings"

	"phoenix/tasks/dpkg"
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
		if best == "" || dpkg.CompareVersions(bestVersion, version) < 0 {
			best, bestVersion = f, version
		}
	}
	return best, best != ""
}
