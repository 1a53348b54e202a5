package sim

import (
	"regexp"
	"slices"
	"strings"
)

// aptValue is one entry of apt's configuration; that of an item of a list ends with "::".
type aptValue struct{ key, value string }

// aptConfig serves dump [SCOPE]... of /etc/apt/apt.conf.d and /etc/apt/apt.conf.
func aptConfig(c *call) int {
	if len(c.argv) < 2 || c.argv[1] != "dump" {
		c.errorf("E: Invalid operation %s\n", strings.Join(c.argv[1:], " "))
		return 100
	}
	var all []aptValue
	for _, file := range append(c.m.glob("/etc/apt/apt.conf.d/*"), "/etc/apt/apt.conf") {
		all = readAptConfig(all, c.m.text(file))
	}
	for _, scope := range c.argv[2:] {
		head := false
		for _, v := range all {
			if rest, under := cutFold(v.key, scope); under && (rest == "" || strings.HasPrefix(rest, "::")) {
				if !head && rest != "" {
					c.printf("%s \"\";\n", scope)
				}
				head = true
				c.printf("%s \"%s\";\n", v.key, v.value)
			}
		}
	}
	return 0
}

// cutFold is strings.CutPrefix for names that are the same in either case.
func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// readAptConfig adds what a file sets: NAME "VALUE"; NAME { … }; #clear NAME; and items
// of lists, which are values without a name.
func readAptConfig(all []aptValue, text string) []aptValue {
	comment := regexp.MustCompile(`(?m)^\s*(//|#([^c]|c[^l])).*$|^\s*#$`)
	token := regexp.MustCompile(`#clear|"[^"]*"|[{};]|[^\s{};"]+`)
	var scopes, words []string
	join := func(name string) string {
		return strings.Trim(strings.Join(append(slices.Clone(scopes), name), "::"), ":")
	}
	for _, t := range token.FindAllString(comment.ReplaceAllString(text, ""), -1) {
		switch t {
		case "{":
			scopes, words = append(scopes, strings.Join(words, "")), nil
		case "}", ";":
			all = aptStatement(all, words, join)
			words = nil
			if t == "}" && len(scopes) > 0 {
				scopes = scopes[:len(scopes)-1]
			}
		default:
			words = append(words, t)
		}
	}
	return all
}

func aptStatement(all []aptValue, words []string, join func(string) string) []aptValue {
	switch {
	case len(words) == 2 && words[0] == "#clear":
		return slices.DeleteFunc(all, func(v aptValue) bool {
			rest, under := cutFold(v.key, words[1])
			return under && (rest == "" || strings.HasPrefix(rest, "::"))
		})
	case len(words) == 1 && strings.HasPrefix(words[0], `"`):
		return append(all, aptValue{join("") + "::", strings.Trim(words[0], `"`)})
	case len(words) != 2:
		return all
	}
	v := aptValue{join(words[0]), strings.Trim(words[1], `"`)}
	if strings.HasSuffix(words[0], "::") {
		v.key += "::"
		return append(all, v)
	}
	if i := slices.IndexFunc(all, func(old aptValue) bool { return strings.EqualFold(old.key, v.key) }); i >= 0 {
		all[i].value = v.value
		return all
	}
	return append(all, v)
}
