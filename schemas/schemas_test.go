package schemas_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"phoenix/schemas"
)

func TestEverySchemaIsValidDraft2020(t *testing.T) {
	names := schemas.Names()
	for _, want := range []string{"feature", "hypervisor", "inventory", "lxc"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing from %v", want, names)
		}
	}
	for _, name := range names {
		data, err := schemas.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := doc.(map[string]any)["$schema"]; got != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("%s is of %v", name, got)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("phoenix:///"+name+".schema.json", doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Compile("phoenix:///" + name + ".schema.json"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnUnknownSchemaIsAnErrorThatListsTheKnown(t *testing.T) {
	if _, err := schemas.Get("lcx"); err == nil || !strings.Contains(err.Error(), "hypervisor, inventory, lxc") {
		t.Error(err)
	}
}
