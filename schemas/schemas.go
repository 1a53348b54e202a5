// Package schemas carries the JSON Schemas (draft 2020-12) of the files that people
// write and of the reports that they read.
//
// It only hands them out: inventory validates with them, `phoenix schema NAME`
// prints them, so that an editor can complete keys. The Go types that consume the
// files live with their families; a test holds both together. Start reading at
// lxc.schema.json.
package schemas

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed *.json
var files embed.FS

const suffix = ".schema.json"

// Names lists the schemas, sorted: "feature", "hypervisor", "inventory", …
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic("read embedded schemas: " + err.Error())
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Get returns the text of a schema. The error of an unknown name lists the known.
func Get(name string) ([]byte, error) {
	data, err := files.ReadFile(name + suffix)
	if err != nil {
		return nil, fmt.Errorf("find schema %q: there are %s", name, strings.Join(Names(), ", "))
	}
	return data, nil
}
