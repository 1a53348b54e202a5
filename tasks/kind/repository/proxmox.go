package repository

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptsources"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/pve"
)

// archive is one of Proxmox's, of which a host uses one component.
type archive struct {
	// path is the property of the spec, want the choice.
	path, want string
	// components by choice.
	components map[string]string
	// release of Ceph; empty for Proxmox VE.
	release string
	// codename of the host's release.
	codename string
}

// cephURI is how the addresses of Ceph's archives end, mirrors included.
const cephURI = `/ceph-([a-z]+)/?$`

// archives lists those that the spec chooses.
func (t *task) archives(h tasks.Host, m *machine) ([]*archive, error) {
	var out []*archive
	chosen := func(s string) bool { return s != "" && s != Keep }
	if !chosen(t.spec.Repositories) && !chosen(t.spec.Ceph) {
		return nil, nil
	}
	if err := supported(h, m.codename); err != nil {
		return nil, err
	}
	if chosen(t.spec.Repositories) {
		out = append(out, &archive{
			path: "repositories", want: t.spec.Repositories, codename: m.codename,
			components: map[string]string{Enterprise: "pve-enterprise", NoSubscription: "pve-no-subscription"},
		})
	}
	if chosen(t.spec.Ceph) {
		release, err := cephRelease(h, m)
		if err != nil {
			return nil, err
		}
		out = append(out, &archive{
			path: "ceph", want: t.spec.Ceph, codename: m.codename, release: release,
			components: map[string]string{Enterprise: "enterprise", NoSubscription: "no-subscription"},
		})
	}
	return out, nil
}

// supported refuses a host in the middle of an upgrade to another release: there, no
// choice of archives is right but that of the person who does it.
func supported(h tasks.Host, codename string) error {
	r, err := pve.ReadRelease(h)
	if err != nil {
		return err
	}
	names := map[int]string{8: "bookworm", 9: "trixie"}
	switch want, known := names[r.Major]; {
	case !known:
		return fmt.Errorf("choose Proxmox's archives: Proxmox VE %d is not supported, only 8 and 9", r.Major)
	case want != codename:
		return fmt.Errorf("choose Proxmox's archives: Proxmox VE %d belongs on Debian %s, this is %s (finish the upgrade first)", r.Major, want, codename)
	}
	return nil
}

// cephRelease is the release of Ceph that the host's archive has to be of: that of the
// Ceph that is installed, or else of an entry that is there. Another one would upgrade
// a cluster by accident.
func cephRelease(h tasks.Host, m *machine) (string, error) {
	status, err := dpkg.Read(h)
	if err != nil {
		return "", err
	}
	// ceph-common is part of every Proxmox VE host and says nothing.
	if p, ok := status.Find("ceph-base"); ok && p.Installed() {
		major, _, _ := strings.Cut(p.Version, ".")
		names := map[string]string{"17": "quincy", "18": "reef", "19": "squid", "20": "tentacle"}
		if name, known := names[major]; known {
			return name, nil
		}
		return "", fmt.Errorf("choose Ceph's archive: ceph-base %s is of no known release", p.Version)
	}
	for _, enabled := range []bool{true, false} {
		for _, f := range m.files {
			for _, e := range f.Entries {
				if name := cephOf(e); name != "" && e.Enabled == enabled && slices.Contains(e.Suites, m.codename) {
					return name, nil
				}
			}
		}
	}
	return "squid", nil // the one that both Proxmox VE 8.4 and 9 have
}

// cephOf is the release of Ceph that an entry is for; empty for other entries.
func cephOf(e aptsources.Entry) string {
	for _, u := range e.URIs {
		if m := regexp.MustCompile(cephURI).FindStringSubmatch(u); m != nil {
			return m[1]
		}
	}
	return ""
}

// own tells whether an entry is of this archive.
func (a *archive) own(e aptsources.Entry) bool {
	return slices.Contains(e.Types, "deb") && (a.release == "") == (cephOf(e) == "")
}

// describe lists what is enabled of the archive, one word where it is as usual.
func (a *archive) describe(m *machine) string {
	var out []string
	m.each(func(_ *aptsources.File, _ int, e aptsources.Entry) {
		for choice, component := range a.components {
			if !a.own(e) || !slices.Contains(e.Components, component) {
				continue
			}
			for _, suite := range e.Suites {
				word := choice
				if a.release != "" {
					word += " of " + cephOf(e)
				}
				if suite != a.codename {
					word += " for " + suite
				}
				out = append(out, word)
			}
		}
	})
	if len(out) == 0 {
		return None
	}
	return strings.Join(unique(out), ", ")
}

// present finds the entry that is wanted, enabled or not.
func (a *archive) present(e aptsources.Entry) bool {
	return a.own(e) && cephOf(e) == a.release && slices.Contains(e.Suites, a.codename) && slices.Contains(e.Components, a.components[a.want])
}

// unfetched says that the wanted archive is enabled and its lists are not there: the
// fetch failed, or nobody tried.
func (a *archive) unfetched(m *machine) string {
	text := ""
	m.each(func(_ *aptsources.File, _ int, e aptsources.Entry) {
		if a.present(e) && !slices.ContainsFunc(e.URIs, func(u string) bool { return m.fetched(u, a.codename) }) {
			text = ", not fetched"
		}
	})
	return text
}

// mend switches the other components off and the wanted one on: an entry that is there
// or, at last, a new one.
func (a *archive) mend(m *machine) {
	for _, f := range m.files {
		for i := range f.Entries {
			if e := f.Entries[i]; a.own(e) {
				f.Drop(i, func(c string) bool { return a.unwanted(c) })
			}
		}
	}
	if a.want == None {
		return
	}
	if e, found := a.find(m); found {
		e.file.Enable(e.entry, true)
		return
	}
	m.file(aptsources.Dir + "/" + a.fileName()).Append(a.stanza(m))
}

// find returns the entry to use: one that is enabled, or one that was switched off and
// names nothing else.
func (a *archive) find(m *machine) (place, bool) {
	var off []place
	for _, f := range m.files {
		for i, e := range f.Entries {
			switch {
			case !a.present(e):
			case e.Enabled:
				return place{f, i}, true
			case len(e.Components) == 1 && len(e.Suites) == 1 && len(e.Types) == 1:
				off = append(off, place{f, i})
			}
		}
	}
	if len(off) == 0 {
		return place{}, false
	}
	return off[0], true
}

func (a *archive) unwanted(component string) bool {
	for choice, c := range a.components {
		if c == component && choice != a.want {
			return true
		}
	}
	return false
}

// fileName is Proxmox's own.
func (a *archive) fileName() string {
	switch {
	case a.release != "":
		return "ceph.sources"
	case a.want == Enterprise:
		return "pve-enterprise.sources"
	}
	return "proxmox.sources"
}

func (a *archive) stanza(m *machine) aptsources.Stanza {
	uri := map[string]string{Enterprise: "https://enterprise.proxmox.com/debian/", NoSubscription: "http://download.proxmox.com/debian/"}[a.want] + "pve"
	if a.release != "" {
		uri = strings.TrimSuffix(uri, "pve") + "ceph-" + a.release
	}
	return aptsources.Stanza{
		Types: []string{"deb"}, URIs: []string{uri}, Suites: []string{a.codename}, Components: []string{a.components[a.want]},
		SignedBy: m.signedBy(uri, a.codename),
	}
}

// signedBy is the key for one of Proxmox's archives. apt refuses to read anything when
// two entries of one suite name different keys, so that of an entry that is there
// counts. Before Debian 13, Proxmox's key is one that apt trusts for every archive.
func (m *machine) signedBy(uri, suite string) string {
	key := ""
	if m.codename != "bookworm" {
		key = "/usr/share/keyrings/proxmox-archive-keyring.gpg"
	}
	m.each(func(_ *aptsources.File, _ int, e aptsources.Entry) {
		if slices.Contains(e.Suites, suite) && slices.ContainsFunc(e.URIs, func(u string) bool { return aptsources.SameURI(u, uri) }) {
			key = e.SignedBy
		}
	})
	return key
}
