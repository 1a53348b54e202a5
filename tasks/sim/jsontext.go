package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// jsonText writes a value as Perl's JSON does with sorted keys: on one line or, with
// pretty, indented by three blanks and with blanks around the colon.
func jsonText(v any, pretty bool) string {
	var b strings.Builder
	jsonWrite(&b, v, "\n", pretty)
	return b.String()
}

func jsonWrite(b *strings.Builder, v any, indent string, pretty bool) {
	inner, colon := indent+"   ", " : "
	if !pretty {
		inner, indent, colon = "", "", ":"
	}
	switch v := v.(type) {
	case map[string]any:
		jsonGroup(b, "{}", len(v), inner, indent, func(each func()) {
			for _, k := range sortedKeys(v) {
				each()
				b.WriteString(jsonScalar(k) + colon)
				jsonWrite(b, v[k], inner, pretty)
			}
		})
	case []any:
		jsonGroup(b, "[]", len(v), inner, indent, func(each func()) {
			for _, e := range v {
				each()
				jsonWrite(b, e, inner, pretty)
			}
		})
	default:
		b.WriteString(jsonScalar(v))
	}
}

// jsonGroup writes brackets around what write gives, a comma between the parts.
func jsonGroup(b *strings.Builder, brackets string, n int, inner, indent string, write func(each func())) {
	if n == 0 {
		b.WriteString(brackets)
		return
	}
	b.WriteString(brackets[:1])
	first := true
	write(func() {
		if !first {
			b.WriteString(",")
		}
		first = false
		b.WriteString(inner)
	})
	b.WriteString(indent + brackets[1:])
}

func jsonScalar(v any) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return strings.TrimSpace(out.String())
}
