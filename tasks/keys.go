package tasks

import "sort"

// Keys are the keys of a map, sorted. It is small where slices.Sorted of maps.Keys is
// not: that has three functions for each type of map, and the helper is uploaded.
func Keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
