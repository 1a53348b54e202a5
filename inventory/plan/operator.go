package plan

import (
	"slices"

	"phoenix/inventory"
	"phoenix/inventory/diag"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/script"
	"phoenix/tasks/kind/user"
)

// packages is the step that installs what others use.
const packages = "apt:packages"

// users adds the users of the machine and then those of Proxmox, of whom pam asks the
// machine.
func (b *builder) users(v *inventory.Hypervisor) {
	for i := range v.Users {
		u := &v.Users[i]
		var needs []string
		if v.Apt != nil { // a shell or sudo may be among them
			needs = []string{packages}
		}
		if u.Name == "root" && len(u.AuthorizedKeys) > 0 {
			b.root(*u, needs)
			continue
		}
		b.add(user.Name, userID(u.Name), "users", u, needs, nil)
	}
	for i := range v.PVEUsers {
		u := &v.PVEUsers[i]
		var needs []string
		if (u.Realm == "" || u.Realm == "pam") && slices.ContainsFunc(v.Users, func(o user.Spec) bool { return o.Name == u.Name }) {
			needs = []string{userID(u.Name)}
		}
		b.add(pveuser.Name, pveuser.Name+":"+u.ID(), "users", u, needs, nil)
	}
}

// rootKeysID is the step of root's keys. No user can be called so.
const rootKeysID = user.Name + ":root/keys"

// root adds two steps: the account is the host's own, the keys are the cluster's, since
// Proxmox keeps them in its cluster file system.
func (b *builder) root(u user.Spec, needs []string) {
	keys := user.Spec{Name: u.Name, AuthorizedKeys: u.AuthorizedKeys, ExclusiveKeys: u.ExclusiveKeys}
	u.AuthorizedKeys, u.ExclusiveKeys = nil, false
	b.add(user.Name, userID(u.Name), "users", &u, needs, nil)
	b.add(user.Name, rootKeysID, "users", &keys, []string{userID(u.Name)}, []string{userID(u.Name)})
}

func userID(name string) string { return user.Name + ":" + name }

// scripts adds the operator's own steps, and the features that were given to the host.
func (b *builder) scripts(v *inventory.Hypervisor) {
	add := func(prefix, section string, all []inventory.Script) {
		for i := range all {
			s := &all[i]
			b.add(script.Name, prefix+":"+s.Spec.Name, section, &s.Spec, stepIDs(s.Needs), nil)
			b.steps[len(b.steps)-1].TimeoutS = s.TimeoutS
		}
	}
	add("feature", "features", v.Features)
	add(script.Name, "steps", v.Scripts)
}

// healthChecks adds what is asked when everything else is done.
func (b *builder) healthChecks(v *inventory.Hypervisor) {
	for i := range v.HealthChecks {
		c := &v.HealthChecks[i]
		b.add(health.Name, health.Name+":"+c.Spec.Name, "health_checks", &c.Spec, stepIDs(c.After), nil)
		b.steps[len(b.steps)-1].TimeoutS = c.Spec.LimitS()
	}
}

func stepIDs(needs []inventory.Need) []string {
	var out []string
	for _, n := range needs {
		out = append(out, n.Step)
	}
	return unique(out)
}

// Faults finds what steps need of each other and cannot get: a step that the host does
// not have, and a circle; and what hosts of one cluster want differently. It is called once after Load, with nothing contacted yet.
func Faults(f *inventory.Fleet) diag.List {
	var out diag.List
	for _, h := range f.Hosts {
		if h.Hypervisor == nil {
			continue
		}
		var needs []inventory.Need
		for _, s := range slices.Concat(h.Hypervisor.Features, h.Hypervisor.Scripts) {
			needs = append(needs, s.Needs...)
		}
		for _, c := range h.Hypervisor.HealthChecks {
			needs = append(needs, c.After...)
		}
		if len(needs) > 0 {
			out.Add(needFaults(h, needs)...)
		}
	}
	out.Add(contradictions(f.Hosts)...)
	out.Sort()
	// Hosts share configurations, and their faults: one host stands for all.
	return slices.CompactFunc(out, func(a, b diag.Diagnostic) bool {
		return a.File == b.File && a.Line == b.Line && a.Col == b.Col && a.File != ""
	})
}

func needFaults(h *inventory.Host, needs []inventory.Need) diag.List {
	steps, err := all(h)
	if err != nil {
		return diag.List{needs[0].Fault(err.Error(), "")}
	}
	known := make([]string, len(steps))
	for i, s := range steps {
		known[i] = s.ID
	}
	var out diag.List
	for _, n := range needs {
		if slices.Contains(known, n.Step) {
			continue
		}
		hint := diag.DidYouMean(n.Step, known)
		if hint == "" {
			hint = "such as apt:packages, user:NAME, storage:ID, service:NAME, script:NAME, feature:NAME, lxc:CTID"
		}
		out.Add(n.Fault("host "+h.Name+" has no step "+n.Step, hint))
	}
	if len(out) > 0 {
		return out
	}
	if _, err := Build(h, Selection{}); err != nil {
		return diag.List{needs[0].Fault(err.Error(), "take one of these needs out")}
	}
	return nil
}
