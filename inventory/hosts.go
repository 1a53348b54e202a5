package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/inventory/secrets"
	"phoenix/tasks"
	"phoenix/tasks/secret"
)

// hostEntry is a host under construction.
type hostEntry struct {
	*Host
	// at is the key of the host in the inventory.
	at document.Pos
	// node is the effective settings, with variables expanded.
	node  *document.Node
	scope *scope
	// network is that section of its hypervisor file, or nil.
	network *document.Node
	// lxc is the file of its containers, or nil.
	lxc *config
	// listed is what the setting containers says.
	listed []*document.Node
	all    bool
}

// settings is the typed form of what can be said of a host. A test holds it and the
// schema together.
type settings struct {
	Address        string         `json:"address"`
	Port           int            `json:"port"`
	User           string         `json:"user"`
	Jump           oneOrMore      `json:"jump"`
	IdentityFiles  []string       `json:"identity_files"`
	HostKey        string         `json:"host_key"`
	Become         string         `json:"become"`
	BecomePassword *secret.Ref    `json:"become_password"`
	Hypervisor     string         `json:"hypervisor"`
	LXC            string         `json:"lxc"`
	Containers     containers     `json:"containers"`
	Cluster        string         `json:"cluster"`
	Vars           map[string]any `json:"vars"`
	MaxWorkers     int            `json:"max_workers"`
	MaxPerStorage  int            `json:"max_workers_per_storage"`
	QuietAfterS    *int           `json:"quiet_after_s"`
}

// defaultQuietAfterS is long enough for the steps of apt and pct that say nothing for a while.
const defaultQuietAfterS = 120

// oneOrMore is a list; a single string stands for a list of one.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	if strings.HasPrefix(string(data), `"`) {
		*o = make(oneOrMore, 1)
		return json.Unmarshal(data, &(*o)[0])
	}
	return json.Unmarshal(data, (*[]string)(o))
}

// containers is "all", one item or a list; the loader reads its items where they have places.
type containers json.RawMessage

func (c *containers) UnmarshalJSON(data []byte) error {
	*c = slices.Clone(data)
	return nil
}

// hosts builds every host's effective settings.
func (l *loader) hosts(inv *merged) []*hostEntry {
	if len(inv.hosts) == 0 && !l.found.HasErrors() {
		l.found.Add(diag.Diagnostic{Severity: diag.Error, Summary: "the inventory has no hosts", Hint: "name them under hosts:"})
	}
	groups := l.membership(inv)
	var out []*hostEntry
	for _, h := range inv.hosts {
		if e := l.host(inv, h, groups.of(h)); e != nil {
			out = append(out, e)
		}
	}
	if len(out) == 1 && out[0].node.Get("containers") == nil {
		out[0].all = true
	}
	return out
}

func (l *loader) host(inv *merged, h named, groups []string) *hostEntry {
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`).MatchString(h.name) {
		if !strings.ContainsAny(h.node.Path, "[") {
			return nil // reported by the schema
		}
		l.found.Add(document.At(h.at, h.node.Path, fmt.Sprintf("%q cannot be a name here", h.name), ""))
		return nil
	}
	raw := inv.defaults
	for _, name := range groups {
		raw = overlay(raw, inv.group(name).node.Without("hosts", "children"))
	}
	raw = overlay(raw, h.node.Without("groups"))
	raw.Pos = h.at
	sc := newScope(h.name, raw, &l.found)
	node := sc.expand(raw)
	l.found.Add(l.schemas.check("inventory#/$defs/settings", node, func(n *document.Node) bool { return sc.expanded[n] })...)
	e := &hostEntry{Host: &Host{Name: h.name, Address: h.name, Groups: groups}, at: h.at, node: node, scope: sc}
	var s settings
	if err := tasks.UnmarshalStrict(node.Plain(), &s); err != nil {
		l.undecoded(node, "host "+h.name, err)
		return e
	}
	l.fill(e, s)
	return e
}

// overlay merges objects and passes over what is not one.
func overlay(base, over *document.Node) *document.Node {
	if over.Kind != document.Object {
		over = &document.Node{Kind: document.Object, Pos: over.Pos, Path: over.Path}
	}
	return document.Merge(base, over)
}

// undecoded reports what the Go type refused. Where the schema has already said
// what is wrong, that is better said there.
func (l *loader) undecoded(n *document.Node, what string, err error) {
	if !l.found.HasErrors() {
		l.found.Add(n.Fault("read "+what+": "+err.Error(), ""))
	}
}

func (l *loader) fill(e *hostEntry, s settings) {
	if s.Address != "" {
		e.Address = s.Address
	}
	e.Port, e.User, e.HostKey, e.Become, e.Cluster = s.Port, s.User, s.HostKey, s.Become, s.Cluster
	e.Jump, e.MaxWorkers, e.MaxWorkersPerStorage = s.Jump, s.MaxWorkers, s.MaxPerStorage
	e.QuietAfterS = defaultQuietAfterS
	if s.QuietAfterS != nil {
		e.QuietAfterS = *s.QuietAfterS
	}
	for _, item := range stringItems(e.node.Get("identity_files")) {
		path := l.path(item)
		e.IdentityFiles = append(e.IdentityFiles, path)
		l.checkKey(item, path)
	}
	if s.BecomePassword != nil {
		e.BecomePassword = s.BecomePassword.Name
		if e.node.Get("become") == nil {
			d := e.node.Get("become_password").Fault("become_password has no effect without become", "add become: sudo")
			d.Severity = diag.Warning
			l.found.Add(d)
		}
	}
	l.checkSecrets(e.node.Without("vars"))
	if vars, ok := e.node.Get("vars").Any().(map[string]any); ok {
		e.Vars = vars
	}
	if n := e.node.Get("lxc"); n != nil && n.Text != "" {
		e.lxc = l.config(n, "lxc")
		e.LXC = e.lxc.name
	}
	l.readContainers(e)
	e.settings = settingList(e)
}

// checkKey warns of a key file that is not there. A public key alone will do: it
// chooses among those of the agent.
func (l *loader) checkKey(item *document.Node, path string) {
	for _, p := range []string{path, path + ".pub"} {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
	d := item.Fault("there is no key file "+path, "")
	d.Severity = diag.Warning
	l.found.Add(d)
}

// readContainers splits the setting containers into its words.
func (l *loader) readContainers(e *hostEntry) {
	n := e.node.Get("containers")
	switch {
	case n == nil:
	case n.Kind == document.String && n.Text == "all":
		e.all = true
	case n.Kind == document.List:
		e.listed = n.Items
	default:
		e.listed = []*document.Node{n}
	}
	if n != nil && e.lxc == nil {
		l.found.Add(n.Fault(fmt.Sprintf("host %s has containers and no LXC file", e.Name), "say lxc: FILE"))
	}
}

// span reads "900" or "900-903".
func span(n *document.Node) (from, to int, ok bool) {
	first, last, isRange := strings.Cut(n.Text, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	return from, to, err1 == nil && err2 == nil
}

// checkSecrets finds references to secrets that the inventory does not know.
func (l *loader) checkSecrets(root *document.Node) {
	root.Walk(func(_ *document.Member, n *document.Node) {
		ref := n.Get("secret")
		if len(n.Members) != 1 || ref == nil || ref.Kind != document.String {
			return
		}
		if !slices.Contains(l.secretNames, ref.Text) {
			hint := diag.DidYouMean(ref.Text, l.secretNames)
			if hint == "" {
				hint = "say under secrets in hosts.yaml where its value comes from"
			}
			l.found.Add(ref.Fault(fmt.Sprintf("there is no secret %q", ref.Text), hint))
		}
	})
}

// readSecrets reads where the values of secrets come from.
func (l *loader) readSecrets(inv *merged) {
	for _, m := range inv.secrets {
		l.secretNames = append(l.secretNames, m.Key)
		var s secrets.Source
		if err := tasks.UnmarshalStrict(m.Value.Plain(), &s); err != nil {
			l.undecoded(m.Value, "secret "+m.Key, err)
			continue
		}
		for _, p := range s.Validate() {
			l.found.Add(document.At(m.KeyPos, document.Below(m.Value.Path, p.Path), p.Summary, p.Hint))
		}
		for key, path := range map[string]*string{"file": &s.File, "age": &s.Age} {
			if n := m.Value.Get(key); n != nil && n.Kind == document.String {
				*path = l.path(n)
			}
		}
		l.secrets[m.Key] = s
	}
}
