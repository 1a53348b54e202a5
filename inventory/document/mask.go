package document

import (
	"regexp"
	"strings"
)

// mask stands for what must not be shown.
const mask = "***"

// secretWords ends the names of keys whose values are secrets.
const secretWords = `password|password_?hash|passwd|passphrase|token|secret|api_?key|private_?key|access_?key|credential|credentials`

// SecretKey tells whether a key is named like a secret: "password", "hf_token".
func SecretKey(key string) bool {
	key = strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' {
			return -1
		}
		return r
	}, key))
	for word := range strings.SplitSeq(secretWords, "|") {
		if strings.HasSuffix(key, strings.ReplaceAll(word, "_?", "")) {
			return true
		}
	}
	return false
}

// Line is the text of a line that counts from 1, with what looks like a plaintext
// secret masked; empty beyond the end and for a line too long to be shown.
func (s *Source) Line(n int) string {
	if n < 1 || n > len(s.lines) || len(s.lines[n-1]) > 64<<10 {
		return ""
	}
	text := strings.TrimSuffix(s.lines[n-1], "\r")
	secretValue := regexp.MustCompile(`(?i)\{\s*["']?secret["']?\s*:|(?:` + secretWords + `)["']?\s*[:=]\s*[^\s{\[].*`)
	return secretValue.ReplaceAllStringFunc(text, func(m string) string {
		if strings.HasPrefix(m, "{") { // a reference, which names a secret and is none
			return m
		}
		value := strings.TrimLeft(m[strings.IndexAny(m, ":=")+1:], " \t")
		return strings.TrimSuffix(m, value) + mask
	})
}

// hide masks whole lines: the later ones of a secret that has several.
func (s *Source) hide(from, to int) {
	for n := max(from, 1); n <= min(to, len(s.lines)); n++ {
		s.lines[n-1] = mask
	}
}

// HideSecrets masks the lines of a plaintext secret that has several lines, so that
// no message shows one. It is called on a tree right after it was parsed.
func HideSecrets(n *Node) {
	n.Walk(func(key *Member, v *Node) {
		if key == nil || v.Kind != String || !SecretKey(key.Key) || v.Pos.Source == nil {
			return
		}
		if extra := strings.Count(v.Text, "\n"); extra > 0 || v.Pos.Line != key.KeyPos.Line {
			v.Pos.Source.hide(v.Pos.Line+1, v.Pos.Line+extra+1)
			if v.Pos.Line != key.KeyPos.Line {
				v.Pos.Source.hide(v.Pos.Line, v.Pos.Line)
			}
		}
	})
}
