package document

import (
	"fmt"
	"strings"
	"testing"
)

func parse(name, text string) (*Node, []string) {
	n, found := Parse(NewSource(name, ".", []byte(text)), []byte(text))
	var out []string
	for _, d := range found {
		out = append(out, d.Error())
	}
	return n, out
}

func mustParse(t *testing.T, name, text string) *Node {
	t.Helper()
	n, faults := parse(name, text)
	if len(faults) > 0 {
		t.Fatalf("parse: %v", faults)
	}
	return n
}

func TestYAMLAndJSONGiveTheSameTree(t *testing.T) {
	y := mustParse(t, "a.yaml", "a: 1\nb: [x, true, null, 1.5]\nc:\n  d: \"0x\"\n  e: 2020-01-01\n")
	j := mustParse(t, "a.json", `{"a": 1, /* c */ "b": ["x", true, null, 1.5,], "c": {"d": "0x", "e": "2020-01-01"}} // end`)
	if string(y.JSON()) != string(j.JSON()) {
		t.Errorf("YAML %s\nJSON %s", y.JSON(), j.JSON())
	}
}

func TestEveryValueKnowsItsPlaceAndPath(t *testing.T) {
	for name, text := range map[string]string{"a.yaml": "a:\n  b:\n    - é\n    - {ü: 7}\n", "a.json": "{\"a\":\n  {\"b\":\n    [\"é\"\n,    {\"ü\": 7}]}}"} {
		n, rest := mustParse(t, name, text).Find([]string{"a", "b", "1", "ü"})
		if len(rest) > 0 || n.Text != "7" || n.Pos.Line != 4 || n.Pos.Col != 11 && n.Pos.Col != 12 || n.Path != "a.b.1.ü" {
			t.Errorf("%s: %+v, rest %v", name, n, rest)
		}
	}
}

func TestFaultsHaveTheirPlace(t *testing.T) {
	cases := map[string]struct{ file, text, want string }{
		"a duplicate key in YAML":            {"a.yaml", "a: 1\nb: 2\na: 3\n", `a.yaml:3:1: a: duplicate key "a" (first at line 1)`},
		"a duplicate key in JSON":            {"a.json", "{\"x\": {\"a\": 1,\n \"a\": 2}}", `a.json:2:2: x.a: duplicate key "a" (first at line 1)`},
		"a duplicate key written in escapes": {"a.json", `{"a": 1, "\u0061": 2}`, `a.json:1:10: a: duplicate key "a" (first at line 1)`},
		"a missing comma":                    {"a.json", "{\"a\": 1\n  \"b\": 2}", "a.json:2:3: syntax error: "},
		"an unclosed object":                 {"a.json", "{\"a\": 1,\n", "a.json:2:1: syntax error: "},
		"a tab in YAML":                      {"a.yaml", "a:\n\tb: 1\n", "a.yaml:2: syntax error: found character that cannot start any token"},
		"a second document":                  {"a.yaml", "a: 1\n---\nb: 1\n", "a second YAML document follows"},
		"a merge key":                        {"a.yaml", "a: &x {b: 1}\nc:\n  <<: *x\n", "a.yaml:3:3: c: merge keys (<<) are not supported"},
		"a custom tag":                       {"a.yaml", "a: !vault x\n", "a.yaml:1:4: a: the tag !vault is not supported"},
		"an infinite number":                 {"a.yaml", "a: .inf\n", "a.yaml:1:4: a: .inf is not a number"},
		"a number of a gigabyte":             {"a.json", `{"a": 1e999999999}`, "a.json:1:7: a: the number is too large, or too close to 0"},
		"a number of as many places":         {"a.json", `{"a": 1e-999999999}`, "a.json:1:7: a: the number is too large, or too close to 0"},
		"nothing, a billion times":           {"a.json", `{"a": 0e999999999}`, "a.json:1:7: a: the number is too large, or too close to 0"},
		"an empty file":                      {"a.yaml", " \n", "a.yaml:1:1: the file is empty"},
		"a file of comments":                 {"a.yaml", "# x\n", "a.yaml:1:1: the file is empty"},
		"UTF-16":                             {"a.json", "\xff\xfe{\x00", "save it as UTF-8"},
		"a byte order mark":                  {"a.json", "\xef\xbb\xbf{}", "byte order mark"},
		"Latin-1":                            {"a.yaml", "a: 1\nb: \xe4\n", "a.yaml:2: the line is not UTF-8"},
		"a list as a key":                    {"a.yaml", "[a]: 1\n", "a.yaml:1:1: a key must be a plain word"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, faults := parse(c.file, c.text); len(faults) != 1 || !strings.Contains(faults[0], c.want) {
				t.Errorf("got %q, want one with %q", faults, c.want)
			}
		})
	}
}

func TestHostileDocumentsEndSoon(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	for name, c := range map[string]struct{ file, text string }{
		"an alias bomb":        {"a.yaml", bomb},
		"an alias to itself":   {"a.yaml", "a: &a [*a, *a]\n"},
		"a million brackets":   {"a.json", strings.Repeat("[", 1e6)},
		"YAML a million deep":  {"a.yaml", strings.Repeat("[", 1e6)},
		"brackets in comments": {"a.json", "{/*" + strings.Repeat("[", 1e6)},
		"nine megabytes":       {"a.json", `"` + strings.Repeat("x", 9<<20) + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, faults := parse(c.file, c.text); len(faults) == 0 {
				t.Error("no fault was found")
			}
		})
	}
}

func TestOddNumbersOfYAMLBecomeThoseOfJSON(t *testing.T) {
	n := mustParse(t, "a.yaml", "[0x1f, 1_000, .5, 0o17, 1e3, +4]")
	if got := string(n.JSON()); got != "[31,1000,0.5,15,1e3,4]" {
		t.Errorf("got %s", got)
	}
}

func TestMergeKeepsPlacesAndReplacesLists(t *testing.T) {
	base := mustParse(t, "base.json", `{"a": {"x": 1, "y": 2}, "l": [1, 2], "k": 0}`)
	over := mustParse(t, "over.json", `{"a": {"y": 3}, "l": [9], "n": null}`)
	m := Merge(base, over)
	if got := string(m.JSON()); got != `{"a":{"x":1,"y":3},"k":0,"l":[9],"n":null}` {
		t.Errorf("merged %s", got)
	}
	if m.Get("a").Get("x").Pos.Source.Name != "base.json" || m.Get("a").Get("y").Pos.Source.Name != "over.json" {
		t.Error("a value forgot its file")
	}
	if got := string(base.JSON()); got != `{"a":{"x":1,"y":2},"k":0,"l":[1,2]}` {
		t.Errorf("the base was changed: %s", got)
	}
}

func TestFindPassesOverAnIndexIntoASingleObject(t *testing.T) {
	n := mustParse(t, "a.json", `{"net": {"ip": "x"}, "l": [{"ip": "y"}], "d": {"10.0.0.0/24": ["z"]}}`)
	for path, want := range map[string]string{"net.0.ip": "x", "net.ip": "x", "l.0.ip": "y", "d.10.0.0.0/24.0": "z"} {
		if got, rest := n.Find(strings.Split(path, ".")); got.Text != want || rest != nil {
			t.Errorf("%s: %q, rest %v", path, got.Text, rest)
		}
	}
	if got, rest := n.Find([]string{"l", "7", "ip"}); got.Kind != List || len(rest) != 2 {
		t.Errorf("beyond the end: %v, rest %v", got.Kind, rest)
	}
}

func TestPlaintextSecretsAreNotShown(t *testing.T) {
	for name, c := range map[string]struct{ file, text string }{
		"on the key's line in JSON":    {"a.json", `{"root_password": "hunter2", "x": 1}`},
		"on the key's line in YAML":    {"a.yaml", "hf_token: hunter2\n"},
		"in a block":                   {"a.yaml", "password: |\n  x\n  hunter2\nb: 1\n"},
		"on the next line":             {"a.json", "{\"password\":\n\"hunter2\"}"},
		"behind a syntax error":        {"a.json", `{"apiKey": "hunter2`},
		"in camel case with blanks":    {"a.json", `{"adminPassword"  :  'hunter2'`},
		"in a password with a bracket": {"a.yaml", "token: hunter2{}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			src := NewSource(c.file, ".", []byte(c.text))
			Parse(src, []byte(c.text))
			for i := range 6 {
				if strings.Contains(src.Line(i), "hunter2") {
					t.Errorf("line %d shows %q", i, src.Line(i))
				}
			}
		})
	}
	if got := NewSource("a", ".", []byte(`password: {secret: samba}`)).Line(1); !strings.Contains(got, "samba") {
		t.Errorf("a reference is hidden: %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: 1", `{"a": [1, {"b": null}]}`, "a: &x [*x]", "? a\n: b", "<<: {a: 1}", "a: !!binary x", "{\"password\": \"\\n\"}", "'a': |\n  x\n", "\"\\ud800\": 1"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, asJSON bool) {
		name := "f.yaml"
		if asJSON {
			name = "f.json"
		}
		n, found := Parse(NewSource(name, ".", []byte(text)), []byte(text))
		if n == nil {
			if len(found) == 0 {
				t.Fatal("neither a tree nor a fault")
			}
			return
		}
		n.JSON() // must not panic: every number has JSON's form
		// YAML 1.1 also ends lines with CR, NEL, LS and PS.
		lines := 1
		for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
			lines += strings.Count(text, end)
		}
		n.Walk(func(_ *Member, v *Node) {
			if v.Pos.Line < 1 || v.Pos.Line > lines+1 || v.Pos.Col < 1 {
				t.Fatalf("%s: place %d:%d in a text of %d lines", v.Path, v.Pos.Line, v.Pos.Col, lines)
			}
		})
	})
}
