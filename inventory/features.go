package inventory

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
)

// feature is a folder features/NAME beside a configuration: a pair of scripts that are
// told by parameters what to do, wherever they are used.
type feature struct {
	description string
	// places are where it may be used; none means everywhere.
	places []string
	// script lacks what the parameters add.
	script Script
	// parameters is their JSON Schema, an empty object for none.
	parameters *document.Node
	// schema is what parameters became, or "" where it is no schema.
	schema compiled
}

// featureFolder is a folder features as it was read.
type featureFolder struct {
	dir string
	// byName has nil for a feature that is so broken that nothing can be said of its use.
	byName map[string]*feature
}

// featuresBeside reads the folder features beside a configuration, once for all files
// that lie there. A feature that nobody uses must be right, too.
func (l *loader) featuresBeside(config *document.Source) featureFolder {
	dir := filepath.Join(config.Dir, "features")
	if f, known := l.features[dir]; known {
		return f
	}
	f := featureFolder{dir: dir, byName: make(map[string]*feature)}
	for _, folder := range l.folders(dir) {
		if exists(folder, "feature.json") {
			f.byName[filepath.Base(folder)] = l.feature(folder)
		}
	}
	l.features[dir] = f
	return f
}

// feature reads the folder of one feature; nil when nothing can be made of it.
func (l *loader) feature(folder string) *feature {
	root := l.folderFile(filepath.Join(folder, "feature.json"), "feature", "make it a parameter, whose value is written where the feature is used")
	if root == nil || root.Kind != document.Object {
		return nil
	}
	f := &feature{parameters: root.Get("parameters")}
	if d := root.Get("description"); d != nil {
		f.description = d.Text
	}
	if f.parameters == nil {
		f.parameters = &document.Node{Kind: document.Object, Pos: root.Pos, Path: "parameters"}
	}
	f.places = placesOf(root)
	body := root.Without("$schema", "description", "parameters", "for")
	for i, m := range body.Members {
		if (m.Key == "check" || m.Key == "apply") && m.Value.Kind == document.String && m.Value.Text != "" {
			body.Members[i].Value = l.scriptOf(m.Value, "")
		}
	}
	f.script = l.script(filepath.Base(folder), root.Pos, body)
	if n := root.Get("needs"); len(f.script.Needs) > 0 && !f.fits(onHypervisor) {
		l.found.Add(n.Fault("needs are steps of a hypervisor, where this feature is not used", "take them out: what a container gets is made in the order of its features"))
	}
	if f.parameters.Kind == document.Object {
		f.schema = l.parameterSchema(f.parameters)
	}
	return f
}

// The places in which a feature may be used, as feature.json names them.
const (
	onHypervisor = "hypervisor"
	inContainer  = "container"
)

func placesOf(root *document.Node) []string {
	var out []string
	for _, item := range listed(root.Get("for")) {
		out = append(out, item.Text)
	}
	return out
}

// fits tells whether the feature may be used in that place.
func (f *feature) fits(place string) bool {
	return len(f.places) == 0 || slices.Contains(f.places, place)
}

// misplaced says why a feature cannot be used in that place, with a way out; "" where it
// can.
func (f *feature) misplaced(place string) (summary, hint string) {
	switch {
	case !f.fits(place):
		return fmt.Sprintf("the feature is for a %s, and not for a %s", strings.Join(f.places, " or "), place), fmt.Sprintf(`its feature.json says so: "for": [%q]`, strings.Join(f.places, `", "`))
	case place == inContainer && len(f.script.Needs) > 0:
		return fmt.Sprintf("the feature needs %s, a step of a hypervisor", f.script.Needs[0].Step), `take needs out of its feature.json, or say there "for": ["hypervisor"]`
	}
	return "", ""
}

// parameterSchema makes the schema of parameters ready to be held against them, and its
// defaults against itself; "" when it is none.
func (l *loader) parameterSchema(n *document.Node) compiled {
	found := l.parameterFaults(n)
	schema, faults := l.schemas.add(n.Pos.Source.Name, n)
	found.Add(faults...)
	l.found.Add(found...)
	if schema == "" || found.HasErrors() {
		return ""
	}
	l.defaults(n, schema)
	return schema
}

// draft is the one dialect of JSON Schema that all of phoenix speaks.
const draft = "https://json-schema.org/draft/2020-12/schema"

// parameterFaults finds what makes a schema none of parameters: they are an object, each
// of them has a description of its own and a name that makes a variable.
func (l *loader) parameterFaults(n *document.Node) diag.List {
	var out diag.List
	if s := n.Get("$schema"); s != nil && s.Text != draft {
		out.Add(s.Fault(shown(s)+" is another dialect of JSON Schema", draft+", or leave it out"))
	}
	if t := n.Get("type"); t != nil && t.Text != "object" {
		out.Add(t.Fault("the parameters are an object", `"type": "object", or leave it out`))
	}
	if a := n.Get("additionalProperties"); a != nil && (a.Kind != document.Bool || a.True) {
		out.Add(a.Fault("a parameter that has no property could be misspelt, and nobody would know", `"additionalProperties": false, or leave it out`))
	}
	if p := n.Get("patternProperties"); p != nil {
		out.Add(p.Fault("a parameter has one name", "describe each under properties, or take an object as the value of one"))
	}
	for _, m := range members(n.Get("properties")) {
		if !parameterName(m.Key) {
			out.Add(document.At(m.KeyPos, m.Value.Path, fmt.Sprintf("%q is no name of a parameter", m.Key), "a lower-case letter, then lower-case letters, digits and underscores; not parameters, which is the variable for all of them"))
		}
	}
	return out
}

// parameterName tells whether a name can be part of a variable's.
func parameterName(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && s != "parameters" &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// defaults holds each default to the schema it is in.
func (l *loader) defaults(n *document.Node, schema compiled) {
	if d := n.Get("default"); d != nil {
		l.found.Add(l.schemas.faults(schema, d, func(*document.Node) bool { return true })...)
	}
	for _, m := range members(n.Get("properties")) {
		l.defaults(m.Value, schema.below("properties", m.Key))
	}
	if items := n.Get("items"); items != nil {
		l.defaults(items, schema.below("items"))
	}
}

// withDefaults is a value with the defaults that the schema has for what is not given,
// each at its own place.
func withDefaults(schema, value *document.Node) *document.Node {
	out := *value
	if value.Kind == document.List {
		out.Items = slices.Clone(value.Items)
		for i, item := range out.Items {
			if s := schema.Get("items"); s != nil {
				out.Items[i] = withDefaults(s, item)
			}
		}
	}
	if value.Kind != document.Object {
		return &out
	}
	out.Members = slices.Clone(value.Members)
	for i, m := range out.Members {
		if s := schema.Get("properties").Get(m.Key); s != nil {
			out.Members[i].Value = withDefaults(s, m.Value)
		}
	}
	for _, p := range members(schema.Get("properties")) {
		if d := p.Value.Get("default"); d != nil && value.Get(p.Key) == nil {
			out.Members = append(out.Members, document.Member{Key: p.Key, KeyPos: d.Pos, Value: withDefaults(p.Value, d)})
		}
	}
	return &out
}

// hostFeatures reads the section features: what of the folder beside the file is used.
func (l *loader) hostFeatures(root *document.Node) []Script {
	if root.Pos.Source == nil {
		return nil
	}
	folder := l.featuresBeside(root.Pos.Source)
	var out []Script
	for _, m := range objects(root.Get("features")) {
		if s, ok := l.use(folder, m, onHypervisor); ok {
			out = append(out, s)
		}
	}
	return out
}

// use makes a step of a feature and its parameters, which are the value of its name.
func (l *loader) use(folder featureFolder, m document.Member, place string) (Script, bool) {
	f, there := folder.byName[m.Key]
	if !there && !l.faultyAt(m.KeyPos) {
		l.found.Add(folder.missing(m, place))
	}
	if f == nil || f.schema == "" {
		return Script{}, false
	}
	if summary, hint := f.misplaced(place); summary != "" {
		l.found.Add(document.At(m.KeyPos, m.Value.Path, summary, hint))
		return Script{}, false
	}
	l.found.Add(secretParameters(m.Value)...)
	all := withDefaults(f.parameters, m.Value)
	faults := l.schemas.faults(f.schema, all, func(n *document.Node) bool { return !l.faultyAt(n.Pos) })
	if place == inContainer {
		howParametersAreWritten(faults, m)
	}
	l.found.Add(faults...)
	out := f.script
	out.Spec.Env = variables(all)
	if size := len(out.Spec.Env[allParameters]); size > maxParameters {
		l.found.Add(document.At(m.KeyPos, m.Value.Path, fmt.Sprintf("the parameters have %d bytes, more than %d", size, maxParameters), "put what is large into a file of the host"))
	}
	return out, true
}

// missing says that there is no such feature, and which there are.
func (f featureFolder) missing(m document.Member, place string) diag.Diagnostic {
	var own []string
	if place == inContainer {
		own = slices.Sorted(maps.Keys(built()))
	}
	beside := slices.Sorted(maps.Keys(f.byName))
	summary := fmt.Sprintf("there is no feature %q", m.Key)
	meant := diag.Suggest(m.Key, slices.Concat(own, beside))
	proxmox := place == inContainer && pctOption(m.Key)
	if !proxmox && !slices.Contains(own, meant) {
		summary += ": no file " + filepath.Join(f.dir, m.Key, "feature.json")
	}
	var hints []string
	switch {
	case proxmox:
		hints = []string{pctOptionsHint}
	case meant != "":
		hints = []string{"did you mean " + meant + "?"}
	default:
		for i, name := range beside {
			if there := f.byName[name]; there != nil {
				beside[i] += ": " + there.description
			}
		}
		if len(own) > 0 {
			hints = append(hints, "phoenix's own are "+strings.Join(own, ", "))
		}
		if len(beside) > 0 {
			hints = append(hints, "there are "+strings.Join(beside, "; "))
		}
	}
	return document.At(m.KeyPos, m.Value.Path, summary, strings.Join(hints, "; beside this file "))
}

// howParametersAreWritten adds to what is missing in a container's list where it goes.
func howParametersAreWritten(faults diag.List, m document.Member) {
	for i, d := range faults {
		if name, missing := strings.CutPrefix(d.Summary, "missing "); missing && d.Path == m.Value.Path && d.Hint == "" {
			name, _, _ = strings.Cut(name, ", ")
			faults[i].Hint = fmt.Sprintf("parameters are written {%q: {%s: …}}", m.Key, name)
		}
	}
}

// noSecret says what to do instead of making a secret a parameter.
const noSecret = "the scripts get their parameters in variables, which other users of the host could read: write the secret under files into a file that only root can read, and make the path the parameter"

func secretParameters(n *document.Node) diag.List {
	var out diag.List
	n.Walk(func(_ *document.Member, v *document.Node) {
		if v.Kind == document.Object && len(v.Members) == 1 && v.Members[0].Key == "secret" {
			out.Add(v.Fault("a secret cannot be a parameter", noSecret))
		}
	})
	return out
}

const (
	// allParameters is the variable that holds all parameters, as JSON.
	allParameters = "PHOENIX_PARAMETERS"
	// maxParameters is half of what Linux lets one variable have.
	maxParameters = 64 << 10
)

// variables are how scripts are told parameters: all of them as JSON, and each by its
// name. A list has one value on each line; what is null has no variable.
func variables(parameters *document.Node) map[string]string {
	out := map[string]string{allParameters: string(parameters.JSON())}
	for _, m := range parameters.Members {
		if m.Value.Kind != document.Null {
			out["PHOENIX_"+strings.ToUpper(m.Key)] = variable(m.Value)
		}
	}
	return out
}

func variable(n *document.Node) string {
	switch n.Kind {
	case document.String:
		return n.Text
	case document.List:
		var lines []string
		for _, item := range n.Items {
			if item.Kind == document.List {
				lines = append(lines, string(item.JSON()))
				continue
			}
			lines = append(lines, variable(item))
		}
		return strings.Join(lines, "\n")
	}
	return string(n.JSON())
}
