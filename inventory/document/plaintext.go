package document

import (
	"regexp"
	"slices"
	"strings"
)

// PlaintextSecret says what a text seems to hold that nobody should read, such as "a
// private key"; empty where nothing looks like it. It never gives the secret itself.
//
// A reference is none: a variable of a shell, a template, a path, a call. Neither is a
// comment, nor a word such as "required" behind "password:". What it misses is not safe;
// it names what people commonly forget.
func PlaintextSecret(text string) string {
	lower := strings.ToLower(text)
	signs := []string{"pass", "token", "secret", "key", "credential", "psk", "bearer", "://", "gh", "glpat-", "hf_", "sk-", "xox", "akia", "pat_"}
	if !slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(lower, sign) }) {
		return "" // as of nearly all texts
	}
	for _, kind := range []struct{ what, pattern string }{
		{"a private key", `-----BEGIN [A-Z0-9 ]*PRIVATE KEY|\bAGE-SECRET-KEY-1[0-9A-Z]{20}`},
		{"a token", `\b(gh[oprsu]_[A-Za-z0-9]{36}|github_pat_\w{20}|glpat-[\w-]{20}|hf_[A-Za-z0-9]{30}|sk-[\w-]{32}|xox[abpr]-[\w-]{20}|AKIA[0-9A-Z]{16}|dckr_pat_[\w-]{20})|(?i:\bbearer +[\w.~+/-]{16})`},
		{"a password in an address", `(?i)\b(https?|ftp|smb|cifs|postgres(ql)?|mysql|mongodb|rediss?|amqps?|socks5h?|smtps?|imaps?|ldaps?)://[^\s/:@]*:[^\s/:@$<{%*][^\s/@${]{2,}@`},
	} {
		if regexp.MustCompile(kind.pattern).MatchString(text) {
			return kind.what
		}
	}
	const value = `([^\s"'$<>{}\[\]()%@/|*~=!&,;:.\x60-][^\s"']{3,})`
	assignment := regexp.MustCompile(`(?i)([\w.-]*(?:` + secretWords + `|psk))["']?[ \t]*(?:=[ \t]*["']?` + value + `|:[ \t]*["']` + value + `["']|:[ \t]*` + value + `$)`)
	for line := range strings.Lines(text) {
		if name := assignedSecret(assignment, strings.TrimSpace(line)); name != "" {
			return "the value of " + name
		}
	}
	return ""
}

// assignedSecret is the name that a line gives a value to which looks like a secret:
// PASSWORD=hunter2, api_key: "abcd", "token": "abcd". Behind a colon without quotes the
// value must end the line, or it would be prose.
func assignedSecret(assignment *regexp.Regexp, line string) string {
	if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || strings.HasPrefix(line, "//") {
		return ""
	}
	for _, at := range assignment.FindAllStringSubmatchIndex(line, -1) {
		name, found := line[at[2]:at[3]], ""
		for i := 4; i < len(at); i += 2 {
			if at[i] >= 0 {
				found = line[at[i]:at[i+1]]
			}
		}
		before := strings.TrimRight(line[:at[2]], `"' `)
		reference := strings.HasSuffix(before, "$") || strings.HasSuffix(before, "${") || strings.EqualFold(name, "secret") && strings.HasSuffix(before, "{")
		if !reference && !harmless(found) {
			return strings.TrimLeft(name, "-.")
		}
	}
	return ""
}

// harmless tells whether a value is a word that is often said there, a placeholder, a
// call, a small number, or says where the secret is.
func harmless(value string) bool {
	return regexp.MustCompile(`(?i)^((true|false|none|null|auto|file|prompt|never|always|default|disabled|enabled|optional|required|requisite|sufficient)[,;})\]]*$|x+$|\d{1,5}$|[\w.]+[\[(]|(vault|env|file|secret|op|pass|keyring):)`).MatchString(value)
}
