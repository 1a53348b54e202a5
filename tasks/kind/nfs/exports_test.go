package nfs

import (
	"strings"
	"testing"
)

// The property: what was written for a path, a client and flags is read back, and
// nothing else with it.
func FuzzExports(f *testing.F) {
	f.Add("/srv/two words", "10.0.0.0/24", "rw,async")
	f.Add(`/srv/"#\`, "*.lan", "sec=krb5:sys")
	f.Add("/a", "fd00::/64", "mountpoint=/a,fsid=0")
	f.Fuzz(func(t *testing.T, path, client, list string) {
		s := &Spec{Exports: map[string]Export{path: {Clients: map[string][]string{client: strings.Split(list, ",")}}}}
		if len(s.Validate()) > 0 {
			return
		}
		got := parse(s.text())
		want, err := parseFlags(strings.Split(list, ","))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].entry != (entry{path, canonicalClient(client)}) || shown(got[0].flags) != want.list() {
			t.Fatalf("%q was read as %+v", s.text(), got)
		}
	})
}

// The property: whatever stands in the file of somebody else, reading it ends, and
// every entry has a path and a client.
func FuzzParse(f *testing.F) {
	f.Add("/a b(c) \\\n d\n\"/x y\" -ro z # c\n/only\n(rw)\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range parse(text) {
			if p.client == "" || p.line < 1 {
				t.Fatalf("%q was read as %+v", text, p)
			}
		}
	})
}
