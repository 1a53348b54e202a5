package zfs

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// ParseSize reads a size as zfs does: a number, and K, M, G, T, P or E with or
// without B or iB behind, all of them binary, in any case. "none" is 0.
func ParseSize(s string) (int64, error) {
	if s == "none" {
		return 0, nil
	}
	m := regexp.MustCompile(`^(?i)(\d+(?:\.\d+)?)(?:([KMGTPE])(?:i?B)?|B)?$`).FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("read size %q: want a number and K, M, G or T, such as 500G", s)
	}
	shift := 0
	if m[2] != "" {
		shift = 10 * (1 + strings.Index("KMGTPE", strings.ToUpper(m[2])))
	}
	if n, err := strconv.ParseInt(m[1], 10, 64); err == nil && n <= math.MaxInt64>>shift {
		return n << shift, nil
	}
	f, err := strconv.ParseFloat(m[1], 64)
	if err != nil || math.Ldexp(f, shift) >= math.MaxInt64 {
		return 0, fmt.Errorf("read size %q: it is too large", s)
	}
	return int64(math.Ldexp(f, shift)), nil
}
