package nvidia

import (
	"slices"

	"phoenix/tasks"
	"phoenix/tasks/bootimage"
)

// diff compares everything managed.
func (t *task) diff(m *machine) tasks.Diff {
	var d tasks.Diff
	if t.installs() {
		for _, p := range m.packages {
			d.Add("packages."+p, "", "installed", tasks.EffectLive)
		}
		t.diffNouveau(m, &d)
	}
	t.diffDriver(m, &d)
	if t.spec.Persistence != nil && (m.library != "" || t.installs()) {
		d.Add("persistence", m.persistenceState(), persistenceWord(*t.spec.Persistence, *t.spec.Persistence), tasks.EffectLive)
	}
	if t.nodes() && (m.library != "" || t.installs()) {
		d.Add("device_nodes", m.nodesState(), nodesThere, tasks.EffectLive)
	}
	return d
}

func (t *task) diffNouveau(m *machine, d *tasks.Diff) {
	if !nouveauOff(m) {
		d.Add("nouveau", "", "off", tasks.EffectLive)
	}
	if m.nouveauOn {
		d.Add("running.nouveau", "loaded", "", tasks.EffectReboot)
	}
	if m.initramfs {
		d.Add(string(bootimage.Initramfs), "not made since the configuration changed", "made", tasks.EffectLive)
	}
}

// nouveauOff tells whether nouveau is kept from the cards at the next boot.
func nouveauOff(m *machine) bool {
	o, _ := m.nouveau.Option("nouveau", "modeset=0")
	return m.nouveau.Blacklisted("nouveau") && o.Word == "modeset=0"
}

// diffDriver compares what is wanted with what is installed for each kernel, and with
// what is loaded. What would be refused says so.
func (t *task) diffDriver(m *machine, d *tasks.Diff) {
	if t.spec.Driver == "" {
		return
	}
	begin := len(*d)
	if t.spec.Install == InstallAPT && m.pin != t.pin() {
		d.Add("pin", t.pinned(m.pin), t.spec.Driver, tasks.EffectLive)
	}
	d.Add("driver", m.library, t.spec.Driver, tasks.EffectLive)
	for _, k := range m.kernels {
		d.Add("modules."+k, m.modules[k].String(), m.want.String(), tasks.EffectLive)
	}
	if r := t.refusal(m); r != nil && t.differs(m) {
		for i := begin; i < len(*d); i++ {
			(*d)[i].Note = r.Note()
		}
	}
	effect := tasks.EffectLive
	if m.loaded.version != "" || m.nouveauOn {
		effect = tasks.EffectReboot
	}
	if m.loaded.version == "" && t.refusal(m) != nil && t.differs(m) {
		return // there will be nothing to load
	}
	d.Add("running.driver", m.loaded.String(), m.want.String(), effect)
}

// differs tells whether something has to be installed or built.
func (t *task) differs(m *machine) bool {
	return m.library != t.spec.Driver || slices.ContainsFunc(m.kernels, func(k string) bool { return m.modules[k] != m.want })
}

// refusal is why phoenix does not install the driver; nil where it does.
func (t *task) refusal(m *machine) *tasks.RefusedError {
	if !t.installs() {
		return &tasks.RefusedError{What: "installing NVIDIA's driver " + t.spec.Driver, Instead: "install is none; set it to apt or runfile, or install that version by hand"}
	}
	return m.blocked
}
