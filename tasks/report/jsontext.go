package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// decodeNumbers decodes any JSON value and keeps numbers as they are written.
func decodeNumbers(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// WriteJSON writes the report, indented. The text is safe on a terminal: control and
// direction characters, which JSON allows above U+007F, are written as escapes.
func WriteJSON(w io.Writer, r Report) error {
	raw, err := appendJSON(nil, r, "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	_, err = w.Write(raw)
	return err
}

// AppendLine appends the event as one line of NDJSON, safe on a terminal like the
// output of WriteJSON.
func AppendLine(b []byte, e Event) ([]byte, error) {
	out, err := appendJSON(b, e, "")
	if err != nil {
		return b, fmt.Errorf("encode event %d: %w", e.Seq, err)
	}
	return out, nil
}

// appendJSON is json.Marshal with a line break at the end, without the escapes meant
// for HTML, which make "->" hard to read, and with those of escapeControls.
func appendJSON(b []byte, v any, indent string) ([]byte, error) {
	out := bytes.NewBuffer(b)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return b, err
	}
	all := out.Bytes()
	return append(all[:len(b)], escapeControls(all[len(b):])...), nil
}

// escapeControls replaces control and format characters above U+007F in a JSON text,
// where they can stand in strings only, by their escapes.
func escapeControls(raw []byte) []byte {
	if isPlain(raw) || !bytes.ContainsFunc(raw, hidden) {
		return raw
	}
	out := make([]byte, 0, len(raw)+64)
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		switch {
		case !hidden(r):
			out = append(out, raw[:n]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		raw = raw[n:]
	}
	return out
}

// isPlain tells that a text is ASCII and has nothing hidden, which nearly all of them
// are, without decoding it.
func isPlain(raw []byte) bool {
	for _, b := range raw {
		if b >= 0x7f {
			return false
		}
	}
	return true
}

// hidden tells whether a rune can change what a terminal shows without being seen.
// ASCII is left out: encoding/json escapes its control characters by itself, but for
// U+007F.
func hidden(r rune) bool {
	return r == 0x7f || r > 0x7f && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r))
}
