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
	raw, err := encode(r, "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	_, err = w.Write(escapeControls(raw))
	return err
}

// AppendLine appends the event as one line of NDJSON, safe on a terminal like the
// output of WriteJSON.
func AppendLine(b []byte, e Event) ([]byte, error) {
	raw, err := encode(e, "")
	if err != nil {
		return b, fmt.Errorf("encode event %d: %w", e.Seq, err)
	}
	return append(b, escapeControls(raw)...), nil
}

// encode is json.Marshal with a line break at the end and without the escapes meant
// for HTML, which make "->" hard to read.
func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// escapeControls replaces control and format characters above U+007F in a JSON text,
// where they can stand in strings only, by their escapes.
func escapeControls(raw []byte) []byte {
	if !bytes.ContainsFunc(raw, hidden) {
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

// hidden tells whether a rune can change what a terminal shows without being seen.
// ASCII is left out: encoding/json escapes its control characters by itself, but for
// U+007F.
func hidden(r rune) bool {
	return r == 0x7f || r > 0x7f && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r))
}
