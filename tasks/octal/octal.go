// Package octal reads the escapes by which files of blank-separated words hold blanks:
// \040 and the like, in fstab(5), exports(5) and /proc/mounts.
package octal

import (
	"strconv"
	"strings"
)

// Unescape decodes a word. A backslash that no three octal digits follow stays.
func Unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
