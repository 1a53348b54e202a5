package inventory

import (
	"fmt"
	"strconv"
	"strings"
)

// maxRange bounds how many hosts one name may stand for.
const maxRange = 10_000

// expandName turns "pve[1-3]" into pve1, pve2, pve3. Brackets hold numbers, ranges
// and words separated by commas; leading zeros are kept: [08-10] is 08, 09, 10.
// Several brackets multiply.
func expandName(name string) ([]string, error) {
	open := strings.IndexByte(name, '[')
	if open < 0 {
		if strings.IndexByte(name, ']') >= 0 {
			return nil, fmt.Errorf("] without [")
		}
		return []string{name}, nil
	}
	end := strings.IndexByte(name[open:], ']')
	if end < 0 {
		return nil, fmt.Errorf("[ is not closed")
	}
	middles, err := expandBracket(name[open+1 : open+end])
	if err != nil {
		return nil, err
	}
	tails, err := expandName(name[open+end+1:])
	if err != nil {
		return nil, err
	}
	if len(middles)*len(tails) > maxRange {
		return nil, fmt.Errorf("more than %d names", maxRange)
	}
	var out []string
	for _, m := range middles {
		for _, t := range tails {
			out = append(out, name[:open]+m+t)
		}
	}
	return out, nil
}

func expandBracket(text string) ([]string, error) {
	var out []string
	for _, word := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(word, "-")
		if word == "" || strings.ContainsRune(word, '[') {
			return nil, fmt.Errorf("[%s] has an empty or nested part", text)
		}
		if !isRange {
			out = append(out, word)
			continue
		}
		from, err1 := strconv.ParseUint(first, 10, 32)
		to, err2 := strconv.ParseUint(last, 10, 32)
		switch {
		case err1 != nil || err2 != nil:
			return nil, fmt.Errorf("%s is not a range of numbers", word)
		case from > to:
			return nil, fmt.Errorf("%s runs backwards", word)
		case to-from >= maxRange:
			return nil, fmt.Errorf("more than %d names", maxRange)
		}
		width := 0
		if strings.HasPrefix(first, "0") {
			width = len(first)
		}
		for n := from; n <= to; n++ {
			out = append(out, fmt.Sprintf("%0*d", width, n))
		}
	}
	return out, nil
}
