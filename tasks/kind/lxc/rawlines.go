package lxc

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

const (
	pathRaw      = "lxc_options"
	pathAppArmor = "apparmor_profile"
	pathIDMap    = "idmap"

	keyAppArmor = "lxc.apparmor.profile"
	keyIDMap    = "lxc.idmap"

	profileGenerated = "generated"
)

// profileName is what AppArmor takes, but for blanks and signs with a meaning.
var profileName = regexp.MustCompile(`^[A-Za-z0-9/_][A-Za-z0-9/_.:+\-]*$`)

// rawProperty is a property of the spec that stands in raw lines of one key. The other
// raw lines are none of its business.
type rawProperty struct {
	path, key string
	want      []pve.RawOption
	// canon is what lines of the key come to.
	canon func([]pve.RawOption) string
	note  string
}

// rawProperties lists those that the spec mentions.
func (s *Spec) rawProperties() []rawProperty {
	var out []rawProperty
	if name := s.AppArmorProfile; name != "" {
		p := rawProperty{path: pathAppArmor, key: keyAppArmor, canon: canonProfile}
		if name != profileGenerated { // is what Proxmox does where there is no line
			p.want = []pve.RawOption{{Key: keyAppArmor, Value: name}}
		}
		out = append(out, p)
	}
	if s.IDMap != nil {
		out = append(out, rawProperty{path: pathIDMap, key: keyIDMap, want: s.idmapLines(), canon: canonIDMap,
			note: "files in its volumes keep their numbers of the host"})
	}
	return out
}

// canonProfile names the profile. With a line of its own, Proxmox leaves out what the
// features need of a generated one (make_apparmor_config, pve-container 5.3.5).
func canonProfile(lines []pve.RawOption) string {
	if len(lines) == 0 {
		return profileGenerated
	}
	if name := lines[len(lines)-1].Value; name != profileGenerated {
		return name
	}
	return profileGenerated + ", without its features"
}

// lines picks those of the property.
func (p *rawProperty) lines(options []pve.RawOption) []pve.RawOption {
	return slices.DeleteFunc(slices.Clone(options), func(o pve.RawOption) bool { return o.Key != p.key })
}

// put makes the lines of the property those that are wanted.
func (p *rawProperty) put(have []pve.RawOption) []pve.RawOption {
	if p.canon(p.lines(have)) == p.canon(p.want) {
		return have
	}
	rest := slices.DeleteFunc(slices.Clone(have), func(o pve.RawOption) bool { return o.Key == p.key })
	return append(rest, p.want...)
}

// otherRaw leaves out the lines that properties of their own say.
func (s *Spec) otherRaw(options []pve.RawOption) []pve.RawOption {
	own := s.rawProperties()
	return slices.DeleteFunc(slices.Clone(options), func(o pve.RawOption) bool {
		return slices.ContainsFunc(own, func(p rawProperty) bool { return p.key == o.Key })
	})
}

// wantRaw is what the raw options are to be, where have is what they are, with the
// differences mended that mend chooses.
func (s *Spec) wantRaw(have []pve.RawOption, mend func(path string) bool) ([]pve.RawOption, error) {
	out := slices.Clone(have)
	if s.LXCOptions != nil && mend(pathRaw) {
		want, err := parseRaw(*s.LXCOptions)
		if err != nil {
			return nil, err
		}
		out = want
		for _, p := range s.rawProperties() {
			out = append(out, p.lines(have)...)
		}
	}
	if s.LXCOptions == nil && mend(pathGPURaw) {
		old := s.passed.legacy(have)
		out = slices.DeleteFunc(out, func(o pve.RawOption) bool { return slices.Contains(old, o) })
	}
	for _, p := range s.rawProperties() {
		if mend(p.path) {
			out = p.put(out)
		}
	}
	return out, nil
}

// rawFindings compares the raw options. They have no pending section; what a running
// container was started with is in the file that Proxmox made for LXC.
func (t *task) rawFindings(h tasks.Host, f *found) ([]finding, error) {
	own := t.spec.rawProperties()
	if t.spec.LXCOptions == nil && own == nil {
		return nil, nil
	}
	begun, known, err := t.startedWith(h, f)
	if err != nil {
		return nil, err
	}
	have := f.conf.Head().Raw()
	var out []finding
	add := func(path, from, then, to, note string) {
		c := tasks.Change{Path: path, From: from, To: to, Effect: tasks.EffectRestart, Note: note}
		switch {
		case from != to:
			out = append(out, finding{Change: c, op: opRaw})
		case known && then != to:
			c.From, c.Effect, c.Note = then, tasks.EffectPending, noteStaged
			out = append(out, finding{Change: c, op: opStaged})
		}
	}
	if t.spec.LXCOptions != nil {
		want, err := parseRaw(*t.spec.LXCOptions)
		if err != nil {
			return nil, err
		}
		from, then, to := t.spec.otherRaw(have), visible(t.spec.otherRaw(begun)), joinRaw(want)
		if known && slices.Equal(from, want) {
			from, to = visible(from), joinRaw(visible(want))
		}
		add(pathRaw, joinRaw(from), joinRaw(then), to, "")
	}
	for _, p := range own {
		add(p.path, p.canon(p.lines(have)), p.canon(p.lines(begun)), p.canon(p.want), p.note)
	}
	return t.refuseIDMap(h, f, out)
}

// chosen tells of each path whether there is a raw difference that can be mended.
func chosen(found []finding) func(path string) bool {
	return func(path string) bool {
		i := indexPath(found, path)
		return i >= 0 && found[i].op == opRaw && found[i].refused == nil
	}
}

// raw edits the raw options in the file, for which pct has no command.
func (a *applier) raw(ctx context.Context) error {
	f, found, err := a.read()
	if err != nil || !slices.ContainsFunc(found, func(x finding) bool { return x.op == opRaw }) {
		return err
	}
	if err := a.task.noteStart(ctx, a.host, f); err != nil {
		return err
	}
	a.restart = f.running
	return a.edit(ctx, "write raw options of", func(c *pve.Config) error {
		want, err := a.task.spec.wantRaw(c.Head().Raw(), chosen(found))
		if err != nil {
			return err
		}
		return c.Head().SetRaw(want)
	})
}

// edit changes the file where pct cannot. It is read again under Proxmox's own lock, and
// every other byte of it stays.
func (a *applier) edit(ctx context.Context, doing string, change func(*pve.Config) error) error {
	id := a.task.spec.CTID
	edit := tasks.Edit{Verb: tasks.VerbPut, Path: confPath(id), Lock: lockPath(id), Update: func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, errors.New("the configuration has gone")
		}
		c := pve.ParseConfig(old)
		if lock, ok := c.Head().Get("lock"); ok {
			return nil, a.task.locked(lock, c)
		}
		err := change(c)
		return c.Bytes(), err
	}}
	if err := a.host.Write(ctx, edit); err != nil {
		return fmt.Errorf("%s container %d%s: %w", doing, id, guest.Holder(a.host, id), err)
	}
	return nil
}

// validateRaw looks at the raw lines and at what stands in some.
func (s *Spec) validateRaw(p *problems) {
	p.require(s.AppArmorProfile == "" || profileName.MatchString(s.AppArmorProfile), pathAppArmor,
		"generated, unconfined, or the name of a profile of the host", "%q is not the name of a profile", s.AppArmorProfile)
	s.validateIDMap(p)
	if s.LXCOptions == nil {
		return
	}
	for i, l := range *s.LXCOptions {
		at := fmt.Sprintf("%s.%d", pathRaw, i)
		o, err := pve.ParseRawOption(l)
		twice := slices.IndexFunc(s.rawProperties(), func(r rawProperty) bool { return r.key == o.Key })
		switch {
		case err != nil:
			p.add(at, "write it as lxc.KEY: VALUE, without line breaks", "%q is not a raw option", l)
		case !pve.RawOptionAllowed(o.Key):
			p.add(at, "", "Proxmox does not accept the option %s", o.Key)
		case twice >= 0:
			p.add(at, "take the line out", "%s says %s, too", s.rawProperties()[twice].path, o.Key)
		}
	}
}
