package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/script"
)

// Script is a step that the operator wrote.
type Script struct {
	Spec script.Spec
	// Needs are the steps that must end well first.
	Needs []Need
	// TimeoutS bounds the step, in seconds; 0 is the job's default.
	TimeoutS int
}

// HealthCheck is a question that is asked at the end.
type HealthCheck struct {
	Spec health.Spec
	// After are the steps without which there is no point in asking.
	After []Need
}

// Need is the ID of another step of the same host. Which there are, the plan knows.
type Need struct {
	Step string

	node *document.Node
}

// Fault is a fault of the need, where it is written.
func (n Need) Fault(summary, hint string) diag.Diagnostic {
	if n.node == nil {
		return diag.Diagnostic{Severity: diag.Error, Summary: summary, Hint: hint}
	}
	return n.node.Fault(summary, hint)
}

// needs reads a list of step IDs.
func needs(n *document.Node) []Need {
	if n == nil || n.Kind != document.List {
		return nil
	}
	var out []Need
	for _, item := range n.Items {
		if item.Kind == document.String {
			out = append(out, Need{Step: item.Text, node: item})
		}
	}
	return out
}

// scripts reads the section steps, and the folders beside the file that it does not
// mention.
func (l *loader) scripts(root *document.Node) []Script {
	written := root.Get("steps")
	var out []Script
	for _, m := range objects(written) {
		out = append(out, l.script(m.Key, m.KeyPos, m.Value))
	}
	if root.Pos.Source == nil {
		return out
	}
	return append(out, l.stepFolders(filepath.Join(root.Pos.Source.Dir, "steps"), written.Keys())...)
}

// script reads one step. What is about the step, and not about its scripts, is no part
// of the Spec.
func (l *loader) script(name string, at document.Pos, n *document.Node) Script {
	out := Script{Needs: needs(n.Get("needs"))}
	body, timeoutS := l.withTexts(n.Without("needs"))
	out.TimeoutS = timeoutS
	l.decode(section{what: "step " + name, node: body, at: at, extra: map[string]any{"name": name}}, &out.Spec)
	return out
}

// withTexts puts the texts of scripts in the place of the files that a step names, and
// takes the bound of the step out, in seconds.
func (l *loader) withTexts(n *document.Node) (body *document.Node, timeoutS int) {
	if t := n.Get("timeout_s"); t != nil && t.Kind == document.Number {
		if s, err := strconv.Atoi(t.Text); err == nil { // the schema has refused others
			timeoutS = s
		}
	}
	body = n.Without("timeout_s")
	for i, m := range body.Members {
		if file := m.Value.Get("file"); file != nil && file.Kind == document.String && (m.Key == "check" || m.Key == "apply") {
			body.Members[i].Value = l.scriptOf(file, "the path is relative to this file")
		}
	}
	return body, timeoutS
}

// scriptOf is the text of the file that a configuration names. hint is what to say of one
// that is not there.
func (l *loader) scriptOf(file *document.Node, hint string) *document.Node {
	name := l.path(file)
	text, fault := l.scriptFile(name)
	if fault != nil {
		if _, err := os.Stat(name); fault.Hint == "" && err != nil {
			fault.Hint = hint
		}
		l.found.Add(file.Fault("read "+name+": "+fault.Summary, fault.Hint))
	}
	return &document.Node{Kind: document.String, Text: text, Pos: file.Pos, Path: strings.TrimSuffix(file.Path, ".file")}
}

// pathsAsTexts finds the path of a script where its text belongs: run as a text, it would
// only fail once it is in a container.
func (l *loader) pathsAsTexts(n *document.Node) {
	for _, key := range []string{"check", "apply"} {
		text := n.Get(key)
		if text == nil || text.Kind != document.String || len(strings.Fields(text.Text)) != 1 || !filepath.IsLocal(text.Text) {
			continue
		}
		if info, err := os.Stat(l.path(text)); err == nil && info.Mode().IsRegular() {
			l.found.Add(text.Fault(shown(text)+" is the path of a file, and the text of a script is wanted", fmt.Sprintf(`write {"file": %q}`, text.Text)))
		}
	}
}

// scriptFile reads a script, under the same rules as a configuration: it runs as root
// on every host.
func (l *loader) scriptFile(name string) (string, *diag.Diagnostic) {
	data, fault := l.readFile(name)
	if fault != nil {
		return "", fault
	}
	if !utf8.Valid(data) {
		return "", &diag.Diagnostic{Severity: diag.Error, File: name, Summary: "the script is no UTF-8 text"}
	}
	return string(data), nil
}

// stepFolders reads the folders NAME/check, NAME/apply and, where there is one,
// NAME/step.json, which hold a step each.
func (l *loader) stepFolders(dir string, written []string) []Script {
	var out []Script
	for _, folder := range l.folders(dir) {
		name := filepath.Base(folder)
		if slices.Contains(written, name) || !exists(folder, "check") && !exists(folder, "apply") {
			continue
		}
		n := l.stepFolder(folder)
		out = append(out, l.script(name, n.Pos, n))
	}
	return out
}

// folders lists the folders in a folder, but for hidden ones; none where it is not there.
func (l *loader) folders(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.found.Add(*unreadableFile(dir, err))
		}
		return nil
	}
	var out []string
	for _, e := range entries {
		folder := filepath.Join(dir, e.Name())
		if info, err := os.Stat(folder); err == nil && info.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, folder)
		}
	}
	return out
}

func exists(folder, name string) bool {
	_, err := os.Stat(filepath.Join(folder, name))
	return err == nil
}

// stepFolder makes of a folder what the section steps would say.
func (l *loader) stepFolder(folder string) *document.Node {
	n := &document.Node{Kind: document.Object, Path: "steps." + filepath.Base(folder)}
	for _, key := range []string{"check", "apply"} {
		name := filepath.Join(folder, key)
		text, fault := l.scriptFile(name)
		value := &document.Node{Kind: document.String, Text: text, Path: document.Below(n.Path, key)}
		value.Pos = document.Pos{Source: document.NewSource(name, folder, []byte(text)), Line: 1, Col: 1}
		if fault != nil {
			l.found.Add(value.Fault(fault.Summary, fault.Hint))
		}
		n.Members = append(n.Members, document.Member{Key: key, KeyPos: value.Pos, Value: value})
		n.Pos = value.Pos
	}
	if exists(folder, "step.json") {
		root := l.folderFile(filepath.Join(folder, "step.json"), "hypervisor#/$defs/step_folder", "write the step under steps of the hypervisor's file, with its scripts as {\"file\": …}")
		n.Members = append(n.Members, members(root)...)
	}
	return n
}

// folderFile reads the file that says what the scripts of a folder are; instead is what
// to do where a variable is wanted. It is nil when nothing can be made of it.
func (l *loader) folderFile(name, schema, instead string) *document.Node {
	data, fault := l.readFile(name)
	if fault != nil {
		l.found.Add(*fault)
		return nil
	}
	root, faults := document.ParseJSON(document.NewSource(name, filepath.Dir(name), data), data)
	l.found.Add(faults...)
	if root == nil {
		return nil
	}
	l.found.Add(checkTexts(root)...)
	l.found.Add(l.schemas.check(schema, root, func(*document.Node) bool { return true })...)
	root.Walk(func(_ *document.Member, v *document.Node) {
		if hasRef(v) {
			l.found.Add(v.Fault("a variable is not filled in here", instead))
		}
	})
	return root
}

// healthChecks reads what is asked at the end.
func (l *loader) healthChecks(n *document.Node) []HealthCheck {
	var out []HealthCheck
	for _, m := range objects(n) {
		if slices.ContainsFunc([]string{"http", "tcp"}, func(key string) bool { q := m.Value.Get(key); return q != nil && l.faulty(q) }) {
			continue // without it, the rest would seem to ask nothing
		}
		h := HealthCheck{After: needs(m.Value.Get("after"))}
		l.decode(section{what: "health check " + m.Key, node: m.Value.Without("after"), at: m.KeyPos, extra: map[string]any{"name": m.Key}}, &h.Spec)
		out = append(out, h)
	}
	return out
}
