package repository_test

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/aptsources"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/taskstest"
)

const (
	dir = aptsources.Dir
	// dockerKey has the form of a key and is none.
	dockerKey = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBFit2ioBEADhWpZ8/wvZ6hUTiXOwQHXMAlaFHcPH9hAtr4F1y2+OYdbtMuth\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"

	pve8Enterprise = "deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\n"
	pve8Ceph       = "deb https://enterprise.proxmox.com/debian/ceph-quincy bookworm enterprise\n"
	pve8Main       = "deb http://deb.debian.org/debian bookworm main contrib\n\n# security updates\ndeb http://security.debian.org bookworm-security main contrib\n"
	pve9Enterprise = "Types: deb\nURIs: https://enterprise.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-enterprise\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n"
	pve9Ceph       = "Types: deb\nURIs: https://enterprise.proxmox.com/debian/ceph-squid\nSuites: trixie\nComponents: enterprise\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n"
)

func status(manager string, more ...string) string {
	text := "Package: pve-manager\nStatus: install ok installed\nArchitecture: all\nVersion: " + manager + "\n"
	for _, p := range more {
		name, version, _ := strings.Cut(p, " ")
		text += "\nPackage: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n"
	}
	return text
}

// pve8 is a Proxmox VE 8 host as the installer leaves it.
func pve8(t *testing.T, extra map[string]string) *taskstest.Tree {
	return machine(t, map[string]string{
		"/var/lib/dpkg/status": status("8.4.21", "ceph-common 17.2.8-pve2"), "/etc/os-release": "VERSION_CODENAME=bookworm\n",
		aptsources.MainFile: pve8Main, dir + "/pve-enterprise.list": pve8Enterprise, dir + "/ceph.list": pve8Ceph,
	}, extra)
}

// pve9 is a Proxmox VE 9 host as the installer leaves it.
func pve9(t *testing.T, extra map[string]string) *taskstest.Tree {
	return machine(t, map[string]string{
		"/var/lib/dpkg/status": status("9.1.4"), "/etc/os-release": "VERSION_CODENAME=trixie\n",
		dir + "/debian.sources":         "Types: deb\nURIs: http://deb.debian.org/debian/\nSuites: trixie trixie-updates\nComponents: main contrib non-free-firmware\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
		dir + "/pve-enterprise.sources": pve9Enterprise, dir + "/ceph.sources": pve9Ceph,
	}, extra)
}

// machine lays files; an empty one is taken away.
func machine(t *testing.T, files, extra map[string]string) *taskstest.Tree {
	all := map[string]string{"/var/lib/apt/lists/": "", "/var/lib/apt/periodic/": "", "/run/": "", "/usr/share/keyrings/docker.gpg": "key"}
	maps.Copy(all, files)
	for k, v := range extra {
		all[k] = v
		if v == "" {
			delete(all, k)
		}
	}
	tr := taskstest.NewTree(t, all)
	tr.Programs["apt-get"] = aptGet
	return tr
}

// aptGet knows update, which the enterprise archive refuses, and indextargets, which
// refuses what apt 2.6 does.
func aptGet(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
	if slices.Contains(c.Argv, "indextargets") {
		return indexTargets(h)
	}
	files, err := aptsources.Read(h)
	if err != nil {
		return tasks.Output{Code: 100, Stderr: []byte("E: " + err.Error())}
	}
	out := tasks.Output{}
	for _, f := range files {
		for _, e := range f.Entries {
			if !e.Enabled {
				continue
			}
			if strings.Contains(e.URIs[0], "enterprise.proxmox.com") && !exists(h, "/etc/apt/auth.conf.d/pve.conf") {
				out.Code, out.Stderr = 100, fmt.Appendf(out.Stderr, "E: Failed to fetch %s/dists/%s/InRelease  401  Unauthorized [IP: 51.91.38.34 443]\n", e.URIs[0], e.Suites[0])
				continue
			}
			for _, s := range e.Suites {
				put(ctx, h, "/var/lib/apt/lists/"+aptsources.ListName(e.URIs[0], s)+"InRelease", "Origin: x\n")
			}
		}
	}
	return out
}

func exists(h tasks.Host, p string) bool {
	_, err := h.Stat(p)
	return err == nil
}

func put(ctx context.Context, h tasks.Host, p, text string) {
	_ = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: p, Data: []byte(text)})
}

func indexTargets(h tasks.Host) tasks.Output {
	const at = "/run/phoenix-apt-sources/parts"
	names, err := h.ReadDir(at)
	if err != nil {
		return tasks.Output{Code: 100, Stderr: []byte("E: " + err.Error())}
	}
	keys := make(map[string]string)
	for _, n := range names {
		data, _ := h.ReadFile(path.Join(at, n))
		for _, e := range aptsources.Parse("/x/"+n, data).Entries {
			id := e.URIs[0] + " " + e.Suites[0]
			if other, known := keys[id]; known && other != e.SignedBy && e.Enabled {
				return tasks.Output{Code: 100, Stderr: []byte("E: Conflicting values set for option Signed-By regarding source " + id + ": " + other + " != " + e.SignedBy + "\nE: The list of sources could not be read.\n")}
			}
			if e.Enabled {
				keys[id] = e.SignedBy
			}
		}
	}
	return tasks.Output{}
}

// after runs a spec and returns what became of the files of the sources.
func after(t *testing.T, m *taskstest.Tree, spec string) map[string]string {
	t.Helper()
	if res := taskstest.Run(t, repository.Kind(), spec, m); res.Status != tasks.StatusChanged && res.Status != tasks.StatusOK {
		t.Fatalf("%+v", res)
	}
	files, err := aptsources.Read(m)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, f := range files {
		out[strings.TrimPrefix(f.Path, dir+"/")] = string(f.Bytes())
	}
	return out
}
