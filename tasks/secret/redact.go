package secret

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strings"

	"phoenix/tasks"
)

// Mask stands where a value was.
const Mask = "***"

// minLength is the shortest value that is redacted, in bytes. A shorter one occurs
// everywhere by chance, so masking it would destroy the text and protect nothing.
const minLength = 4

// Redactor takes the values of secrets out of text. It knows a value as it is, line
// by line, trimmed, and as JSON, shell quotes, URLs, base64 (also in the middle of a
// longer text, as in "user:password") and hexadecimal write it. It does not know a
// value that was split, cut short, compressed or encrypted. The zero value redacts
// nothing. It is safe for concurrent use.
type Redactor struct{ forms []string }

// NewRedactor returns a Redactor of the given values; those shorter than 4 bytes are
// left alone.
func NewRedactor(values ...string) *Redactor {
	seen := make(map[string]bool)
	add := func(form string) {
		if len(form) >= minLength {
			seen[form] = true
		}
	}
	for _, value := range values {
		parts := append([]string{value, strings.TrimSpace(value)}, strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' })...)
		for _, part := range parts {
			if len(part) < minLength {
				continue
			}
			for _, form := range forms(part) {
				add(form)
			}
		}
	}
	r := &Redactor{}
	for form := range seen {
		r.forms = append(r.forms, form)
	}
	sort.Slice(r.forms, func(i, j int) bool {
		a, b := r.forms[i], r.forms[j]
		return len(a) > len(b) || len(a) == len(b) && a < b
	})
	return r
}

// forms are the ways in which text is written down.
func forms(v string) []string {
	out := []string{
		v, jsonEscaped(v, true), jsonEscaped(v, false),
		strings.ReplaceAll(v, `'`, `'\''`),
		strings.ReplaceAll(v, `'`, `'"'"'`),
		url.QueryEscape(v), url.PathEscape(v), strings.ReplaceAll(url.QueryEscape(v), "+", "%20"),
		hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))),
	}
	var unescaped string
	if json.Unmarshal([]byte(`"`+v+`"`), &unescaped) == nil {
		out = append(out, unescaped)
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		out = append(out, enc.EncodeToString([]byte(v)))
		for shift := range 3 {
			out = append(out, inner(enc, v, shift))
		}
	}
	return out
}

// inner is the part of a base64 text that depends on v alone when v begins shift
// bytes behind a multiple of three.
func inner(enc *base64.Encoding, v string, shift int) string {
	whole := enc.EncodeToString(append(make([]byte, shift), v...))
	from := []int{0, 2, 3}[shift]
	to := (shift + len(v)) * 8 / 6 // characters all of whose bits are known
	if to-from < 6 {
		return "" // so short that it would match by chance
	}
	return whole[from:to]
}

func jsonEscaped(v string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(b.String()), `"`), `"`)
}

// Text returns s with every value replaced by Mask. Values that overlap are
// replaced together, so that no end of one is left beside the other.
func (r *Redactor) Text(s string) string {
	if r == nil || len(r.forms) == 0 {
		return s
	}
	for {
		spans := r.find(s)
		if len(spans) == 0 {
			return s
		}
		// Each pass makes the text shorter, because a form is longer than the mask;
		// so it ends, also where two masks and what is between them form a value.
		s = masked(s, spans)
	}
}

type span struct{ from, to int }

// find returns where values are, sorted, with overlapping ones merged.
func (r *Redactor) find(s string) []span {
	var found []span
	for _, form := range r.forms {
		for at := 0; ; {
			i := strings.Index(s[at:], form)
			if i < 0 {
				break
			}
			found = append(found, span{at + i, at + i + len(form)})
			at += i + 1
		}
	}
	sort.Slice(found, func(i, j int) bool { return cmp.Or(found[i].from-found[j].from, found[i].to-found[j].to) < 0 })
	var out []span
	for _, f := range found {
		if n := len(out); n > 0 && f.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, f.to)
		} else {
			out = append(out, f)
		}
	}
	return out
}

func masked(s string, spans []span) string {
	var b strings.Builder
	at := 0
	for _, p := range spans {
		b.WriteString(s[at:p.from])
		b.WriteString(Mask)
		at = p.to
	}
	b.WriteString(s[at:])
	return b.String()
}

// JSON returns the value with every string in it, keys included, redacted. A number
// that is a value becomes a string. What is no JSON becomes the string Mask.
func (r *Redactor) JSON(raw json.RawMessage) json.RawMessage {
	if r == nil || len(r.forms) == 0 || len(raw) == 0 {
		return raw
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		v = Mask
	}
	out, err := json.Marshal(r.value(v))
	if err != nil {
		return json.RawMessage(`"` + Mask + `"`)
	}
	return out
}

func (r *Redactor) value(v any) any {
	switch v := v.(type) {
	case string:
		return r.Text(v)
	case json.Number:
		if clean := r.Text(v.String()); clean != v.String() {
			return clean
		}
	case []any:
		for i := range v {
			v[i] = r.value(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inside := range v {
			out[r.Text(key)] = r.value(inside)
		}
		return out
	}
	return v
}

// Event returns the event with all its text redacted, but for the step's ID, which
// comes from the job and holds no secret. The event given is not changed.
func (r *Redactor) Event(e tasks.Event) tasks.Event {
	if r == nil || len(r.forms) == 0 {
		return e
	}
	if e.Log != nil {
		e.Log = &tasks.Log{Stream: e.Log.Stream, Text: r.Text(e.Log.Text)}
	}
	if e.Sample != nil {
		e.Sample = r.JSON(e.Sample)
	}
	if e.Result != nil {
		res := *e.Result
		res.Why = r.Text(res.Why)
		res.Changes, res.Remaining = r.diff(res.Changes), r.diff(res.Remaining)
		res.Data = r.JSON(res.Data)
		res.Warnings = slices.Clone(res.Warnings)
		for i, w := range res.Warnings {
			res.Warnings[i] = r.Text(w)
		}
		e.Result = &res
	}
	return e
}

func (r *Redactor) diff(d tasks.Diff) tasks.Diff {
	out := slices.Clone(d)
	for i, c := range out {
		out[i].Path, out[i].From, out[i].To, out[i].Note = r.Text(c.Path), r.Text(c.From), r.Text(c.To), r.Text(c.Note)
	}
	return out
}
