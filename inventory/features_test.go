package inventory

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// scrub is a feature with all kinds of parameters.
const scrub = `{
  "description": "Looks after pools.", "interpreter": ["/bin/bash", "-s"], "needs": ["apt:packages"], "timeout_s": 60, // why
  "parameters": { "required": ["pools"], "properties": {
    "pools": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
    "day": { "type": "integer", "minimum": 1, "default": 8 },
    "mail": { "type": "object", "additionalProperties": false, "properties": { "to": { "type": "string", "default": "root" }, "cc": { "type": ["string", "null"] } } },
    "also": { "type": "array", "items": { "properties": { "day": { "default": 15 }, "pool": {} } } },
    "twice": { "type": ["boolean", "null"] } } },
  "check": "check.sh", "apply": "../lib/apply.sh",
}`

// withScrub are the files of a configuration with the feature scrub.
func withScrub(hypervisor string) files {
	return files{"hosts.yaml": oneHost, "h.json": hypervisor, "features/scrub/feature.json": scrub, "features/scrub/check.sh": "#!/bin/bash\ntrue\n", "features/lib/apply.sh": "true # apply\n", "features/notes": "no feature"}
}

func TestFeaturesAreScriptsThatParametersTellWhatToDo(t *testing.T) {
	tree := withScrub(`{"version": 1, "features": {
		"plain": {},
		"scrub": {"pools": ["tank", "${vars.word}"], "mail": {"cc": null}, "twice": true, "also": [{"pool": "a"}, {"day": 1}]}}}`)
	tree["features/plain/feature.json"] = `{"description": "Has none.", "check": "c", "apply": "a"}`
	tree["features/plain/c"], tree["features/plain/a"] = "true", "true"
	fleet, found := load(t, tree)
	if fleet == nil {
		t.Fatal(found)
	}
	got := fleet.Hosts[0].Hypervisor.Features
	if len(got) != 2 || got[0].Spec.Name != "plain" || got[1].Spec.Name != "scrub" {
		t.Fatalf("%+v", got)
	}
	if env := got[0].Spec.Env; !maps.Equal(env, map[string]string{"PHOENIX_PARAMETERS": "{}"}) {
		t.Errorf("without parameters there are %q", env)
	}
	s := got[1]
	if s.Spec.Check != "#!/bin/bash\ntrue\n" || s.Spec.Apply != "true # apply\n" || s.Spec.Interpreter[0] != "/bin/bash" || s.TimeoutS != 60 || s.Needs[0].Step != "apt:packages" {
		t.Errorf("%+v", s)
	}
	want := map[string]string{
		"PHOENIX_PARAMETERS": `{"also":[{"day":15,"pool":"a"},{"day":1}],"day":8,"mail":{"cc":null,"to":"root"},"pools":["tank","hi"],"twice":true}`,
		"PHOENIX_ALSO":       "{\"day\":15,\"pool\":\"a\"}\n{\"day\":1}",
		"PHOENIX_POOLS":      "tank\nhi", "PHOENIX_DAY": "8", "PHOENIX_MAIL": `{"cc":null,"to":"root"}`, "PHOENIX_TWICE": "true",
	}
	if !maps.Equal(s.Spec.Env, want) {
		t.Errorf("variables %q\nwant %q", s.Spec.Env, want)
	}
}

func TestWhatIsNullHasNoVariableAndAListHasLines(t *testing.T) {
	fleet, found := load(t, withScrub(`{"version": 1, "features": {"scrub": {"pools": ["a b", "c"], "twice": null, "day": 31}}}`))
	if fleet == nil {
		t.Fatal(found)
	}
	env := fleet.Hosts[0].Hypervisor.Features[0].Spec.Env
	if names := slices.Sorted(maps.Keys(env)); !slices.Equal(names, []string{"PHOENIX_DAY", "PHOENIX_PARAMETERS", "PHOENIX_POOLS"}) || env["PHOENIX_POOLS"] != "a b\nc" || env["PHOENIX_DAY"] != "31" {
		t.Errorf("%q", env)
	}
}

func TestFaultsOfParametersHaveTheirPlace(t *testing.T) {
	for _, tc := range []struct{ name, features, want string }{
		{"a misspelt feature", `{"scrup": {}}`, `h.json:1:28: features.scrup: there is no feature "scrup": no file features/scrup/feature.json (did you mean scrub?)`},
		{"a feature that is nothing like any", `{"firewall": {}}`, `h.json:1:28: features.firewall: there is no feature "firewall": no file features/firewall/feature.json (there are scrub: Looks after pools.)`},
		{"a missing parameter", `{"scrub": {}}`, `h.json:1:37: features.scrub: missing "pools"`},
		{"a misspelt parameter", `{"scrub": {"pools": ["a"], "dai": 3}}`, `h.json:1:54: features.scrub.dai: unknown key "dai" (did you mean day?)`},
		{"a misspelt key in a parameter", `{"scrub": {"pools": ["a"], "mail": {"too": "x"}}}`, `h.json:1:63: features.scrub.mail.too: unknown key "too" (did you mean to?)`},
		{"a value that is too small", `{"scrub": {"pools": ["a"], "day": 0}}`, `h.json:1:61: features.scrub.day: 0 is below the minimum of 1`},
		{"a value of another type", `{"scrub": {"pools": "a"}}`, `h.json:1:47: features.scrub.pools: "a" is a string, not a list`},
		{"an item of another type", `{"scrub": {"pools": ["a", 7]}}`, `h.json:1:53: features.scrub.pools.1: 7 is a number, not a string`},
		{"a variable that has another type", `{"scrub": {"pools": ["a"], "day": "${vars.word}"}}`, `h.json:1:61: features.scrub.day: "hi" is a string, not a whole number`},
		{"a variable that there is not", `{"scrub": {"pools": ["a"], "day": "${vars.wort}"}}`, `h.json:1:61: features.scrub.day: unknown variable ${vars.wort} on host pve1 (did you mean word?)`},
		{"a secret", `{"scrub": {"pools": ["a"], "mail": {"to": {"secret": "ann_hash"}}}}`, `h.json:1:69: features.scrub.mail.to: a secret cannot be a parameter (the scripts get their parameters in variables`},
		{"a secret that is written down", `{"scrub": {"pools": ["a"], "token": "abc"}}`, `h.json:1:63: features.scrub.token: a secret in plain text (the scripts get`},
		{"a line break", `{"scrub": {"pools": ["a\nb"]}}`, `h.json:1:48: features.scrub.pools.0: a line break is not allowed here`},
		{"too much", `{"scrub": {"pools": ["` + strings.Repeat("x", 64<<10) + `"]}}`, `h.json:1:28: features.scrub: the parameters have 65558 bytes, more than 65536`},
		{"parameters that are no object", `{"scrub": true}`, `h.json:1:37: features.scrub: true is a boolean, not an object`},
		{"a name that is none", `{"a b": {}}`, `h.json:1:28: features.a b: "a b" cannot be a name here`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fleet, found := load(t, withScrub(`{"version":1,"features":  `+tc.features+`}`))
			others := map[bool]int{true: 1}[tc.name == "a secret that is written down"] // it is no parameter either
			if fleet != nil || len(found) != 1+others || !strings.HasPrefix(found[others], tc.want) || strings.Contains(strings.Join(found, ""), "abc") {
				t.Errorf("got %.2000q\nwant %s", found, tc.want)
			}
		})
	}
}

func TestFaultsOfFeaturesHaveTheirPlaceEvenIfNobodyUsesThem(t *testing.T) {
	const file = "features/b/feature.json"
	parameters := func(schema string) string {
		return `{"description":"x","check":"c","apply":"c","parameters":` + schema + `}`
	}
	for _, tc := range []struct{ name, text, want string }{
		{"no JSON", `{`, `:1:2: syntax error`},
		{"no object", `[]`, `:1:1: is a list, not an object`},
		{"nothing in it", `{}`, `:1:1: missing "description", "check", "apply"`},
		{"a misspelt key", `{"description":"x","check":"c","apply":"c","need":[]}`, `:1:44: need: unknown key "need" (did you mean needs?)`},
		{"a script that is missing", `{"description":"x","check":"c","apply":"d"}`, `:1:40: apply: read features/b/d: no such file or directory`},
		{"a script that anybody can write", `{"description":"x","check":"c","apply":"open"}`, `:1:40: apply: read features/b/open: anybody can write to the file (chmod o-w features/b/open)`},
		{"a script that is no text", `{"description":"x","check":"bin","apply":"c"}`, `:1:28: check: read features/b/bin: the script is no UTF-8 text`},
		{"a script for another program", `{"description":"x","check":"py","apply":"c"}`, `:1:28: check: the script is for python3, and /bin/sh is to run it (name it: "interpreter": ["python3", "-"])`},
		{"a script that is written down", `{"description":"x","check":{"file":"c"},"apply":"c"}`, `:1:28: check: is an object, not a string`},
		{"a variable", `{"description":"x","check":"c","apply":"c","needs":["user:${vars.word}"]}`, `:1:53: needs.0: a variable is not filled in here (make it a parameter`},
		{"a place that is none", `{"description":"x","check":"c","apply":"c","for":["host"]}`, `:1:51: for.0: "host" is not allowed here (one of "hypervisor", "container")`},
		{"no place at all", `{"description":"x","check":"c","apply":"c","for":[]}`, `:1:50: for: must not be empty`},
		{"steps of a host that it is not for", `{"description":"x","check":"c","apply":"c","for":["container"],"needs":["apt:packages"]}`, `:1:72: needs: needs are steps of a hypervisor, where this feature is not used`},
		{"a type that is none", parameters(`{"properties":{"a":{"type":"strin"}}}`), `:1:84: parameters.properties.a.type: "strin" is not allowed here (did you mean string?)`},
		{"a keyword of another type", parameters(`{"properties":{"a":{"minimum":"1"}}}`), `:1:87: parameters.properties.a.minimum: "1" is a string, not a number (write it without quotes)`},
		{"a pattern that is none", parameters(`{"properties":{"a":{"pattern":"("}}}`), `:1:87: parameters.properties.a.pattern: "(" is no regex (error parsing regexp: missing closing )`},
		{"a reference to nothing", parameters(`{"properties":{"a":{"$ref":"#/$defs/x"}}}`), `:1:57: parameters: compile the schema: `},
		{"a reference to itself by another name", parameters(`{"$id":"http://x/","properties":{"a":{"$ref":"http://x/#/$defs/y"}}}`), `:1:57: parameters: compile the schema: failing loading "http://x/": a schema refers to nothing but itself`},
		{"a reference to a file", parameters(`{"properties":{"a":{"$ref":"file:///etc/passwd"}}}`), `:1:57: parameters: compile the schema: failing loading "file:///etc/passwd": a schema refers to nothing but itself`},
		{"another dialect", parameters(`{"$schema":"http://json-schema.org/draft-07/schema#"}`), `:1:68: parameters.$schema: "http://json-schema.org/draft-07/schema#" is another dialect of JSON Schema`},
		{"no object of parameters", parameters(`{"type":"array"}`), `:1:65: parameters.type: the parameters are an object`},
		{"parameters without a property", parameters(`{"additionalProperties":true}`), `:1:81: parameters.additionalProperties: a parameter that has no property could be misspelt`},
		{"parameters by a pattern", parameters(`{"patternProperties":{"^a":{}}}`), `:1:78: parameters.patternProperties: a parameter has one name`},
		{"a name that makes no variable", parameters(`{"properties":{"a-b":{}}}`), `:1:72: parameters.properties.a-b: "a-b" is no name of a parameter`},
		{"the name of all of them", parameters(`{"properties":{"parameters":{}}}`), `:1:72: parameters.properties.parameters: "parameters" is no name`},
		{"a default that does not fit", parameters(`{"properties":{"a":{"type":"integer","default":"7"}}}`), `:1:104: parameters.properties.a.default: "7" is a string, not a whole number (write it without quotes)`},
		{"a default inside that does not fit", parameters(`{"properties":{"a":{"properties":{"b c/":{"enum":["x"],"default":"y"}}}}}`), `:1:122: parameters.properties.a.properties.b c/.default: "y" is not allowed here (one of "x")`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeFiles(t, files{"hosts.yaml": oneHost, "h.json": `{"version":1}`, file: tc.text, "features/b/c": "true", "features/b/open": "true", "features/b/bin": "\xff\xfe", "features/b/py": "#!/usr/bin/python3\n"})
			if err := os.Chmod("features/b/open", 0o666); err != nil {
				t.Fatal(err)
			}
			_, found := Load(t.Context(), Options{UID: os.Getuid()})
			if len(found) != 1 || !strings.HasPrefix(found[0].Error(), file+tc.want) {
				t.Errorf("got %v\nwant %s%s", found, file, tc.want)
			}
		})
	}
}

func TestAllFaultsOfAFeatureAndItsUseAreToldAtOnce(t *testing.T) {
	tree := withScrub(`{"version":1,"features":{"scrub":{"dai":1,"pools":[]},"b":{"x":1},"c":{}}}`)
	tree["features/b/feature.json"] = `{"description":"x","check":"none","apply":"none","timeout_s":0,"parameters":{"type":"nothing"}}`
	_, found := load(t, tree)
	for _, want := range []string{`"dai"`, "pools: must not be empty", `no feature "c"`, "check: read", "apply: read", "timeout_s: 0", "parameters.type"} {
		if !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%s is not in\n%s", want, strings.Join(found, "\n"))
		}
	}
}

func TestAFeatureIsReadOnceForAllFilesBesideIt(t *testing.T) {
	tree := withScrub(`{"version":1}`)
	tree["hosts.yaml"] = "version: 1\nhosts:\n  a: {hypervisor: h.json}\n  b: {hypervisor: other.json}\n"
	tree["other.json"] = `{"version":1}`
	tree["features/scrub/check.sh"] = ""
	if _, found := load(t, tree); len(found) != 1 || !strings.Contains(found[0], "the script is empty") {
		t.Errorf("%q", found)
	}
}

func FuzzFeature(f *testing.F) {
	f.Add(scrub, `{"pools": ["a"], "mail": {}}`)
	f.Add(`{"description": "x", "check": "c", "apply": "c", "parameters": {"properties": {"a": {"items": {"$ref": "#", "default": []}, "default": [[1]]}}}}`, `{"a": [{}]}`)
	f.Add(`{"parameters": {"$defs": {"x": {"$anchor": "y", "$id": "z"}}, "allOf": [{"$ref": "#y"}, {"$dynamicRef": "#y"}], "if": true}}`, `{"a": {"secret": "s"}}`)
	f.Fuzz(func(t *testing.T, feature, parameters string) { // the property: no panic, and errors or variables
		t.Chdir(t.TempDir())
		writeFiles(t, files{"hosts.yaml": oneHost, "h.json": `{"version": 1, "features": {"f": ` + parameters + `}}`,
			"features/f/feature.json": feature, "features/f/c": "true", "features/f/check.sh": "true", "features/lib/apply.sh": "true"})
		fleet, found := Load(t.Context(), Options{UID: os.Getuid()})
		if (fleet == nil) != found.HasErrors() {
			t.Fatalf("fleet %v, errors %v", fleet, found)
		}
		if fleet == nil {
			return
		}
		for _, s := range fleet.Hosts[0].Hypervisor.Features {
			if len(s.Spec.Validate()) > 0 || s.Spec.Env[allParameters] == "" {
				t.Errorf("%+v: %v", s, s.Spec.Validate())
			}
		}
	})
}
