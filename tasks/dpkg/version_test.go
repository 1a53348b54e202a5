package dpkg

import (
	"cmp"
	"testing"
)

func TestVersionsAreOrderedAsDpkgOrdersThem(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"12.7-1", "12.12-1", -1},
		{"12.12-1", "12.12-1", 0},
		{"12.12-2", "12.12-1", 1},
		{"20240911", "20250617", -1},
		{"1.0~rc1", "1.0", -1},
		{"1.0", "1.0a", -1},
		{"1.0a", "1.0+b", -1},
		{"1.09", "1.9", 0},
		{"", "1", -1},
	} {
		if got := cmp.Compare(CompareVersions(tc.a, tc.b), 0); got != tc.want {
			t.Errorf("compare %q and %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
		if got := cmp.Compare(CompareVersions(tc.b, tc.a), 0); got != -tc.want {
			t.Errorf("compare %q and %q: %d, want %d", tc.b, tc.a, got, -tc.want)
		}
	}
}
