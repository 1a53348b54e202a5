package diag

import "strings"

// Suggest returns the candidate that word most probably was meant to be, or ""
// when none is near. Case is ignored; of equally near ones the first wins. Where none
// is within two letters, the first that goes on behind the word and a _ does.
func Suggest(word string, candidates []string) string {
	best, bestDist := "", len(word)/3+2
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c), bestDist)
		if d < bestDist && d < max(len(c), len(word)) {
			best, bestDist = c, d
		}
	}
	for _, c := range candidates {
		if word != "" && (best == "" || bestDist > 2) && strings.HasPrefix(strings.ToLower(c), strings.ToLower(word)+"_") {
			return c
		}
	}
	return best
}

// DidYouMean is "did you mean X?" for the nearest candidate, or "".
func DidYouMean(word string, candidates []string) string {
	if s := Suggest(word, candidates); s != "" {
		return "did you mean " + s + "?"
	}
	return ""
}

// distance counts the letters to insert, drop, replace or swap with their
// neighbour to get from a to b. Where it is certain to reach limit, it returns
// limit, so that a hostile key of a megabyte costs nothing.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 64 || len(b) > 64 {
		return limit
	}
	var before, prev, cur [65]int
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev = prev, cur
	}
	return prev[len(b)]
}
