package arc

import (
	"fmt"
	"math"

	"phoenix/tasks"
)

// Spec is how much memory ZFS may use as its cache.
type Spec struct {
	// MaxGB is the largest size of the cache, in GiB.
	MaxGB float64 `json:"arc_max_gb"`
}

// Validate returns every fault of the spec. Whether the machine has that much memory
// is known there only.
func (s *Spec) Validate() []tasks.Problem {
	const least, most = 64.0 / 1024, 1 << 20
	if s.MaxGB >= least && s.MaxGB <= most && !math.IsNaN(s.MaxGB) {
		return nil
	}
	return []tasks.Problem{{Path: "arc_max_gb", Summary: fmt.Sprintf("%g is no size of a cache", s.MaxGB), Hint: "at least 0.0625, which is the least that ZFS accepts"}}
}
