package dns

import (
	"slices"
	"strings"
	"testing"
)

// FuzzReplace holds that what is written is read again, and that every other line
// stays byte for byte and in its order.
func FuzzReplace(f *testing.F) {
	f.Add("# x\nsearch a\nnameserver 1.1.1.1\noptions rotate\nnameserver 9.9.9.9")
	f.Add("nameserver\n nameserver 1.1.1.1\nnameserver\t2.2.2.2 # x\r\ndomain a\nsearch b\n")
	f.Fuzz(func(t *testing.T, text string) {
		w := wanted{"nameservers", []string{"nameserver"}, []string{"10.0.0.1", "fd00::1"}, true}
		others := func(text string) []string {
			var out []string
			for line := range strings.Lines(text) {
				if key, _ := setting(line); key != "nameserver" {
					out = append(out, strings.TrimSuffix(line, "\n"))
				}
			}
			return out
		}
		got := replace([]byte(text), w)
		if !slices.Equal(found(got, w.keys), w.values) {
			t.Fatalf("%q became %q, which says %q", text, got, found(got, w.keys))
		}
		if !slices.Equal(others(string(got)), others(text)) {
			t.Fatalf("%q became %q", text, got)
		}
		if again := replace(got, w); string(again) != string(got) {
			t.Fatalf("written again, %q becomes %q", got, again)
		}
	})
}
