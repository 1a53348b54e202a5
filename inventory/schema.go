package inventory

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/schemas"
)

// schemaSet compiles schemas when they are first asked for.
type schemaSet struct {
	compiler *jsonschema.Compiler
}

func compileSchemas() schemaSet {
	c := jsonschema.NewCompiler()
	c.UseLoader(nothingElse{})
	for _, name := range schemas.Names() {
		data, err := schemas.Get(name)
		if err != nil {
			panic(err.Error()) // Names lists what Get has
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err == nil {
			err = c.AddResource(schemaURL(name), doc)
		}
		if err != nil {
			panic("embedded schema " + name + ": " + err.Error())
		}
	}
	return schemaSet{compiler: c}
}

// schemaURL gives a schema an address of its own: a bare name would be taken
// relative to the working directory.
func schemaURL(name string) string { return "phoenix:///" + name + ".schema.json" }

// check validates a document against a schema, "lxc" or a part of it,
// "lxc#/$defs/container". Only faults of nodes that keep accepts are reported.
func (s schemaSet) check(schema string, root *document.Node, keep func(*document.Node) bool) diag.List {
	name, part, _ := strings.Cut(schema, "#")
	address := schemaURL(name)
	if part != "" {
		address += "#" + part
	}
	return s.faults(compiled(address), root, keep)
}

// compiled is the address of a schema that compiles.
type compiled string

// below is a schema inside of another.
func (c compiled) below(keys ...string) compiled {
	pointer := strings.NewReplacer("~", "~0", "/", "~1")
	for _, key := range keys {
		c += compiled("/" + url.PathEscape(pointer.Replace(key)))
	}
	return c
}

// faults are what a schema finds in a document, of nodes that keep accepts.
func (s schemaSet) faults(schema compiled, root *document.Node, keep func(*document.Node) bool) diag.List {
	at, err := s.compiler.Compile(string(schema))
	if err != nil {
		panic("compiled schema " + string(schema) + ": " + err.Error())
	}
	return s.inPlace(at.Validate(root.Any()), root, keep)
}

// inPlace says of each fault in an error of the validator where it is.
func (s schemaSet) inPlace(err error, root *document.Node, keep func(*document.Node) bool) diag.List {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	var out diag.List
	leaves(invalid, func(e *jsonschema.ValidationError) {
		n, rest := root.Find(e.InstanceLocation)
		if len(rest) == 0 && keep(n) && !ofSeveralFeatures(root, e.InstanceLocation) {
			out.Add(s.explain(e, n)...)
		}
	})
	return out
}

// nothingElse keeps a schema that somebody wrote from naming a file or an address.
type nothingElse struct{}

// Load is called for what is neither embedded nor added.
func (nothingElse) Load(string) (any, error) {
	return nil, errors.New("a schema refers to nothing but itself")
}

// add compiles the schema of parameters, an object that has no others, under the name
// of its file. The address is empty when it is none.
func (s schemaSet) add(name string, root *document.Node) (compiled, diag.List) {
	doc := root.Any().(map[string]any)
	delete(doc, "$id")
	doc["type"], doc["additionalProperties"] = "object", false
	address := schemaURL(url.PathEscape(name))
	err := s.compiler.AddResource(address, doc)
	if err == nil {
		_, err = s.compiler.Compile(address)
	}
	if err == nil {
		return compiled(address + "#"), nil
	}
	if bad := (*jsonschema.SchemaValidationError)(nil); errors.As(err, &bad) {
		err = bad.Err
	}
	seen := make(map[*document.Node]bool)
	found := s.inPlace(err, root, func(n *document.Node) bool {
		again := seen[n] // a type that is none is neither one word nor a list
		seen[n] = true
		return !again
	})
	if len(found) == 0 {
		found.Add(root.Fault("compile the schema: "+strings.ReplaceAll(err.Error(), address, "parameters"), ""))
	}
	return "", found
}

// leaves visits the errors that have a fault of their own.
func leaves(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		visit(e)
		return
	}
	for _, c := range e.Causes {
		leaves(c, visit)
	}
}

// explain says in words what the schema found at a node.
func (s schemaSet) explain(e *jsonschema.ValidationError, n *document.Node) diag.List {
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		keys, chosen := s.known(e.SchemaURL)
		if chosen {
			return badNames(n, k.Properties)
		}
		return unknownKeys(n, k.Properties, func(key string) string { return meant(e.SchemaURL, key, keys) })
	case *kind.Required:
		return diag.List{n.Fault("missing "+quoteList(k.Missing), "")}
	}
	summary, hint := inWords(e, n)
	if at, err := s.compiler.Compile(e.SchemaURL); err == nil {
		summary, hint = otherwise(at, e, n, summary, hint)
	}
	if n.Kind == document.String && strings.HasSuffix(e.SchemaURL, "#/$defs/mount_flags") {
		hint = "storage_pool and storage_size_gb say where it lies and how large it is"
	}
	if better, way := insideInWords(e, n); way != "" {
		summary, hint = cmp.Or(better, summary), way
	}
	return diag.List{n.Fault(summary, hint)}
}

// known lists the keys that the schema at a location has, sorted. chosen tells that
// people choose them, within a pattern.
func (s schemaSet) known(address string) (keys []string, chosen bool) {
	at, err := s.compiler.Compile(address)
	if err != nil {
		return nil, false
	}
	return slices.Sorted(maps.Keys(at.Properties)), len(at.PatternProperties) > 0
}

// has tells whether a document of that schema may have the key.
func (s schemaSet) has(schema, key string) bool {
	keys, _ := s.known(schemaURL(schema))
	return slices.Contains(keys, key)
}

func inWords(e *jsonschema.ValidationError, n *document.Node) (summary, hint string) {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return wrongType(n, k.Want)
	case *kind.Enum:
		words := make([]string, len(k.Want))
		for i, w := range k.Want {
			words[i] = fmt.Sprint(w)
		}
		hint = diag.DidYouMean(n.Text, words)
		if hint == "" {
			hint = "one of " + quoteList(words)
		}
		return shown(n) + " is not allowed here", hint
	case *kind.Const:
		return fmt.Sprintf("%s is not %v", shown(n), k.Want), ""
	case *kind.Minimum:
		return fmt.Sprintf("%s is below the minimum of %s", shown(n), number(k.Want)), gibibytes(n, k.Want)
	case *kind.Maximum:
		return fmt.Sprintf("%s is above the maximum of %s", shown(n), number(k.Want)), ""
	case *kind.ExclusiveMinimum:
		return fmt.Sprintf("%s is not above %s", shown(n), number(k.Want)), ""
	case *kind.Pattern:
		if n.Path == "containers" || strings.HasSuffix(n.Path, ".containers") || strings.Contains(n.Path, ".containers.") {
			return shown(n) + " names no containers", `all, a CTID, a range such as 200-201, or a list of these`
		}
		if k.Want == migWord {
			return shown(n) + " is no layout of a card", migHint
		}
		return shown(n) + " does not have the right form", "it must match " + k.Want
	case *kind.Format:
		return shown(n) + " is no " + k.Want, k.Err.Error()
	case *kind.MinLength:
		return "must not be empty", ""
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, more than %d", k.Got, k.Want), ""
	case *kind.MinItems, *kind.MinProperties:
		return "must not be empty", ""
	}
	return "does not fit the schema: " + strings.Join(e.ErrorKind.KeywordPath(), "/"), ""
}

// gibibytes guesses that somebody gave a size in GiB where MiB are wanted.
func gibibytes(n *document.Node, least *big.Rat) string {
	v, err := strconv.Atoi(n.Text)
	if err != nil || v <= 0 || v > 1<<20 || !strings.HasSuffix(n.Path, "_mb") || big.NewRat(int64(v)*1024, 1).Cmp(least) < 0 {
		return ""
	}
	return fmt.Sprintf("did you mean %d?", v*1024)
}

func wrongType(n *document.Node, want []string) (summary, hint string) {
	var words []string
	for _, w := range want {
		if w != "null" {
			words = append(words, map[string]string{"string": "a string", "integer": "a whole number", "number": "a number",
				"boolean": "true or false", "array": "a list", "object": "an object"}[w])
		}
	}
	summary = "is " + n.Kind.String()
	if n.Kind == document.Bool || n.Kind == document.Number || n.Kind == document.String && len(n.Text) < 60 {
		summary = shown(n) + " " + summary
	}
	if n.Kind == document.String && len(want) > 0 {
		if _, err := strconv.ParseFloat(n.Text, 64); err == nil && (want[0] == "integer" || want[0] == "number") {
			hint = "write it without quotes"
		}
		if want[0] == "boolean" && likeBool(n.Text) {
			hint = "write true or false, without quotes"
		}
	}
	return summary + ", not " + strings.Join(words, " or "), hint
}

func likeBool(text string) bool {
	return strings.Contains("|true|false|yes|no|on|off|1|0|", "|"+strings.ToLower(text)+"|")
}

// otherwise is a better word for a value that would not do with quotes, or without them,
// either: the one to write is named.
func otherwise(at *jsonschema.Schema, e *jsonschema.ValidationError, n *document.Node, summary, hint string) (better, way string) {
	if word := orWord(at); word != "" {
		summary, hint = shown(n)+" is not allowed here", fmt.Sprintf("true, false or %q", word)
		if likeBool(n.Text) {
			hint = "write true or false, without quotes"
		}
		return summary, hint
	}
	wrong, ok := e.ErrorKind.(*kind.Type)
	if !ok || n.Kind != document.Number || !slices.Contains(wrong.Want, "string") || slices.Contains(wrong.Want, "integer") {
		return summary, hint
	}
	hint = "write it with quotes"
	var invalid *jsonschema.ValidationError
	if errors.As(at.Validate(n.Text), &invalid) {
		text := *n
		text.Kind = document.String
		leaves(invalid, func(e *jsonschema.ValidationError) { _, hint = inWords(e, &text) })
	}
	return summary, hint
}

// orWord is the word that a key may have instead of true and false; empty for other keys.
func orWord(at *jsonschema.Schema) string {
	if at.Types == nil || at.Pattern == nil || !slices.Contains(at.Types.ToStrings(), "boolean") {
		return ""
	}
	return strings.Trim(at.Pattern.String(), "^$")
}

// shown is a value as a message may quote it.
func shown(n *document.Node) string {
	switch {
	case document.SecretKey(n.Path) && n.Kind != document.List && n.Kind != document.Object:
		return "the value"
	case n.Kind == document.String && len(n.Text) > 80:
		return strconv.Quote(n.Text[:80]) + "…"
	case n.Kind == document.String:
		return strconv.Quote(n.Text)
	case n.Kind == document.Bool:
		return strconv.FormatBool(n.True)
	case n.Kind == document.Number:
		return n.Text
	}
	return n.Kind.String()
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return r.FloatString(3)
}

func quoteList(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return strings.Join(out, ", ")
}
