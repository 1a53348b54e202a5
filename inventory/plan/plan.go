// Package plan turns what is wanted of a host into its steps: which there are, what
// each needs, and which of them a selection leaves.
//
// It orders nothing itself, the runner does, and it looks at no machine: the same
// host gives the same plan. Start reading at Build.
package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/template"
)

// Plan is everything that is to be checked or converged on one host.
type Plan struct {
	// Steps in the order of the documents; Needs decides what comes first.
	Steps []tasks.Step
	// Secrets are the names of the secrets that the steps refer to, sorted. The
	// password for sudo is not among them: it does not travel with the job.
	Secrets []string
	// Limits is how many steps use a thing at the same time; see tasks.Job.
	Limits map[string]int
}

// Build makes the plan of a host. A need of a step that the selection leaves out is
// dropped: the operator has said that it is not this run's matter. Tags that no step
// of this host has are no error here; see Selection.Validate.
func Build(h *inventory.Host, sel Selection) (Plan, error) {
	steps, err := all(h)
	if err != nil {
		return Plan{}, fmt.Errorf("plan %s: %w", h.Name, err)
	}
	p := Plan{Limits: limits(h)}
	kept := make(map[string]bool)
	for _, s := range steps {
		if sel.takes(s) {
			kept[s.ID] = true
			p.Steps = append(p.Steps, s)
		}
	}
	p.Steps = withoutPartial(p.Steps, kept)
	if sel.Boot {
		b := &builder{}
		b.bootCheck(h)
		if b.err != nil {
			return Plan{}, fmt.Errorf("plan %s: %w", h.Name, b.err)
		}
		p.Steps = append(p.Steps, b.steps...)
	}
	if sel.GPUs != nil && hasGPUs(h) {
		s, err := judgeGPUs(h, sel.GPUs)
		if err != nil {
			return Plan{}, fmt.Errorf("plan %s: %w", h.Name, err)
		}
		if sel.takes(s) {
			p.Steps = append(p.Steps, s)
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		s.Needs = slices.DeleteFunc(s.Needs, func(id string) bool { return !kept[id] })
	}
	p.Secrets = Secrets(p.Steps)
	if _, err := tasks.Order(p.Steps); err != nil {
		return Plan{}, fmt.Errorf("plan %s: %w", h.Name, err)
	}
	return p, nil
}

// builder collects the steps of one host.
type builder struct {
	steps []tasks.Step
	err   error
}

// add appends a step; section is the key of the document it comes from.
func (b *builder) add(kind, id, section string, spec tasks.Spec, needs, tags []string) {
	s, err := tasks.NewStep(kind, id, spec)
	if err != nil && b.err == nil {
		b.err = err
	}
	s.Needs = needs
	s.Tags = unique(append([]string{kind, section, id}, tags...))
	b.steps = append(b.steps, s)
}

func unique(words []string) []string {
	var out []string
	for _, w := range words {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// all makes the steps of a host, before any selection.
func all(h *inventory.Host) ([]tasks.Step, error) {
	b := &builder{}
	if h.Hypervisor != nil {
		b.hypervisor(h.Hypervisor)
	}
	for i := range h.Containers {
		b.container(h, &h.Containers[i].Spec)
		b.guestFirewall(&h.Containers[i])
	}
	for i := range h.Containers {
		b.inside(&h.Containers[i])
	}
	b.census(h)
	for i := range h.Containers {
		b.containerHealth(&h.Containers[i])
	}
	if h.Hypervisor != nil {
		b.healthChecks(h.Hypervisor)
	}
	return b.steps, b.err
}

func (b *builder) hypervisor(v *inventory.Hypervisor) {
	b.system(v)
	b.apt(v)
	b.kernel(v)
	b.users(v)
	b.network(v)
	b.zfs(v)
	for i := range v.Storages {
		b.add(storage.Name, storageID(v.Storages[i].ID), "storage", &v.Storages[i], storageMakers(v, &v.Storages[i]), nil)
	}
	b.shares(v)
	b.firewall(v)
	b.nvidia(v)
	b.reboot(v)
	b.mig(v)
	for i := range v.Templates {
		t := &v.Templates[i]
		b.add(template.Name, templateID(v, t), "templates", t, storageNeeds(v, t.Storage), nil)
	}
	for i := range v.Files {
		b.add(file.Name, file.Name+":"+v.Files[i].Path, "files", &v.Files[i], pathNeeds(v, v.Files[i].Path), nil)
	}
	for i := range v.Services {
		b.add(service.Name, service.Name+":"+v.Services[i].Name, "services", &v.Services[i], nil, nil)
	}
	b.scripts(v)
}

func (b *builder) container(h *inventory.Host, c *lxc.Spec) {
	var needs []string
	if h.Hypervisor != nil && c.State != lxc.StateAbsent {
		needs = containerNeeds(h.Hypervisor, c)
	}
	for _, id := range append(kin(h, c), c.DependsOn...) {
		needs = append(needs, doneIn(h, id))
	}
	b.add(lxc.Name, lxc.StepID(c.CTID), "lxc_configs", c, unique(needs), containerTags(c))
	step := &b.steps[len(b.steps)-1]
	step.Uses = containerUses(h, c)
	// A parent of which something was refused is still there to be cloned, and its clones
	// have what is wanted of them looked at and made in themselves.
	step.Asks = c.CloneFromCTID != 0 && len(c.DependsOn) == 0
}

// containerTags choose the steps of a container: its number, and its own tags.
func containerTags(c *lxc.Spec) []string {
	tags := []string{"lxc_configs", fmt.Sprintf("ct%d", c.CTID)}
	for _, t := range c.Tags {
		tags = append(tags, strings.ToLower(t))
	}
	return tags
}

// kin are the containers of one descent that come first: the parent of a clone is
// finished before it and, where both are to go, gone after it.
func kin(h *inventory.Host, c *lxc.Spec) []int {
	var out []int
	if c.State != lxc.StateAbsent {
		if c.CloneFromCTID != 0 {
			out = append(out, c.CloneFromCTID)
		}
		return out
	}
	clones := h.ClonesOf(c.CTID)
	for i := range h.Containers {
		if s := &h.Containers[i].Spec; s.State == lxc.StateAbsent && slices.Contains(clones, s.CTID) {
			out = append(out, s.CTID)
		}
	}
	return out
}

// containerNeeds are the steps that make what a container is made of.
func containerNeeds(v *inventory.Hypervisor, c *lxc.Spec) []string {
	templates := c.TemplateStorage
	if templates == "" {
		templates = "local"
	}
	name := c.Template
	if id, file, isVolume := strings.Cut(name, ":vztmpl/"); isVolume {
		templates, name = id, file
	}
	used := []string{c.StoragePool}
	for _, vol := range c.Volumes {
		used = append(used, vol.Storage)
	}
	if id, _, ok := strings.Cut(c.Hookscript, ":"); ok {
		used = append(used, id)
	}
	if name != "" {
		used = append(used, templates)
	}
	var out []string
	for _, id := range used {
		out = append(out, storageNeeds(v, id)...)
	}
	for _, m := range c.MountPoints {
		out = append(out, pathNeeds(v, m.HostPath)...)
	}
	if c.GetsGPUs() {
		out = append(out, nvidiaID, rebootID)
		if v.MIG != nil && divides(v.MIG, c) {
			out = append(out, migID)
		}
	}
	for i := range v.Templates {
		if t := &v.Templates[i]; name != "" && t.Storage == templates && sameTemplate(t.Name, name) {
			out = append(out, templateID(v, t))
		}
	}
	return out
}

// sameTemplate tells whether fetching one gives the other: the same name, or one is
// the series of the other. A file is called SERIES_VERSION_ARCH.tar.zst.
func sameTemplate(a, b string) bool {
	return a == b || series(a) == series(b) && (a == series(a) || b == series(b))
}

func series(name string) string {
	s, _, _ := strings.Cut(name, "_")
	return s
}

func storageID(id string) string { return storage.Name + ":" + id }

func storageNeeds(v *inventory.Hypervisor, id string) []string {
	if slices.ContainsFunc(v.Storages, func(s storage.Spec) bool { return s.ID == id }) {
		return []string{storageID(id)}
	}
	return nil
}

// templateID is template:NAME, with the storage where one name is wanted on several.
func templateID(v *inventory.Hypervisor, t *template.Spec) string {
	count := 0
	for _, other := range v.Templates {
		if other.Name == t.Name {
			count++
		}
	}
	if count > 1 {
		return template.Name + ":" + t.Name + "@" + t.Storage
	}
	return template.Name + ":" + t.Name
}

// Secrets are the names of the secrets that the steps refer to, sorted.
func Secrets(steps []tasks.Step) []string {
	names := make(map[string]bool)
	for _, s := range steps {
		references(s.Spec, names)
	}
	return slices.Sorted(maps.Keys(names))
}

// references collects the names in {"secret": NAME} anywhere in a spec.
func references(spec json.RawMessage, into map[string]bool) {
	if !bytes.Contains(spec, []byte(`"secret"`)) {
		return // as nearly all of thousands of steps
	}
	var v any
	if err := json.Unmarshal(spec, &v); err != nil {
		return // NewStep has encoded it
	}
	collect(v, into)
}

func collect(v any, into map[string]bool) {
	switch t := v.(type) {
	case map[string]any:
		if name, ok := t["secret"].(string); ok && len(t) == 1 {
			into[name] = true
			return
		}
		for _, child := range t {
			collect(child, into)
		}
	case []any:
		for _, child := range t {
			collect(child, into)
		}
	}
}
