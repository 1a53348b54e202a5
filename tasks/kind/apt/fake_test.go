package apt_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/taskstest"
)

// status is a dpkg database with what a check must tell apart.
const status = `Package: bash
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Description: GNU Bourne Again SHell
 Bash is an sh-compatible command language interpreter.

Package: nano
Status: install ok installed
Architecture: amd64
Version: 7.2-1

Package: vim
Status: deinstall ok config-files
Architecture: amd64
Version: 2:9.0

Package: postfix
Status: hold ok installed
Architecture: amd64
Version: 3.7.11
Provides: mail-transport-agent, default-mta (= 1)

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Multi-Arch: same

Package: libc6
Status: deinstall ok config-files
Architecture: i386
Version: 2.36-9
Multi-Arch: same

Package: proxmox-ve
Status: install ok installed
Architecture: all
Version: 8.4.0
`

// machine is a Debian whose archive has curl, htop and jq.
func machine(t *testing.T, files map[string]string) *taskstest.Tree {
	all := map[string]string{
		dpkg.StatusPath:       status,
		"/var/lib/apt/lists/": "", "/var/lib/dpkg/updates/": "",
		"/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_InRelease":                  "Origin: Debian\n",
		"/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages": "Package: curl\n",
		"/run/archive": "curl htop jq nano vim\n",
	}
	maps.Copy(all, files)
	tr := taskstest.NewTree(t, all)
	tr.Programs["apt-get"] = aptGet
	tr.Programs["apt-mark"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		for _, name := range c.Argv[2:] {
			mark(ctx, h, name, "hold", "")
		}
		return tasks.Output{}
	}
	tr.Programs["dpkg"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		s, err := dpkg.Read(h)
		if err != nil {
			return tasks.Output{Code: 2}
		}
		for name, entries := range s {
			if entries[0].State == "half-configured" || entries[0].State == "unpacked" {
				mark(ctx, h, name, "", "installed")
			}
		}
		names, _ := h.ReadDir("/var/lib/dpkg/updates")
		for _, n := range names {
			_ = h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: "/var/lib/dpkg/updates/" + n})
		}
		return tasks.Output{}
	}
	return tr
}

// mark changes one paragraph of the database, or adds it; empty words stay.
func mark(ctx context.Context, h tasks.Host, name, want, state string) {
	_ = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: dpkg.StatusPath, Update: func(old []byte) ([]byte, error) {
		paragraphs := strings.Split(strings.TrimSpace(string(old)), "\n\n")
		i := slices.IndexFunc(paragraphs, func(p string) bool { return strings.HasPrefix(p, "Package: "+name+"\n") })
		if i < 0 {
			paragraphs = append(paragraphs, "Package: "+name+"\nStatus: install ok not-installed\nArchitecture: amd64\nVersion: 1.0-1")
			i = len(paragraphs) - 1
		}
		lines := strings.Split(paragraphs[i], "\n")
		for n, l := range lines {
			if f := strings.Fields(l); f[0] == "Status:" {
				if want != "" {
					f[1] = want
				}
				if state != "" {
					f[3] = state
				}
				lines[n] = strings.Join(f, " ")
			}
		}
		paragraphs[i] = strings.Join(lines, "\n")
		return []byte(strings.Join(paragraphs, "\n\n") + "\n"), nil
	}})
}

// aptGet knows -s, update, install and remove, and fails as the real one does.
func aptGet(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
	verb := slices.IndexFunc(c.Argv, func(a string) bool { return slices.Contains([]string{"update", "install", "remove"}, a) })
	names := slices.DeleteFunc(slices.Clone(c.Argv[verb+1:]), func(a string) bool { return strings.HasPrefix(a, "--") })
	fail := func(text string) tasks.Output { return tasks.Output{Code: 100, Stderr: []byte(text + "\n")} }
	if updates, _ := h.ReadDir("/var/lib/dpkg/updates"); len(updates) > 0 {
		return fail("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.")
	}
	if c.Argv[verb] == "update" {
		_ = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: "/var/lib/apt/lists/x_InRelease", Data: []byte("x")})
		_ = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: "/var/lib/apt/lists/x_Packages", Data: []byte("x")})
		return tasks.Output{}
	}
	archive, _ := h.ReadFile("/run/archive")
	var out strings.Builder
	for _, n := range names {
		if c.Argv[verb] == "install" && !slices.Contains(strings.Fields(string(archive)), n) {
			return fail("E: Unable to locate package " + n)
		}
	}
	simulated := slices.Contains(c.Argv, "-s")
	for _, n := range names {
		switch {
		case simulated && c.Argv[verb] == "remove":
			out.WriteString("Remv " + n + " [1.0-1]\n")
		case simulated:
			out.WriteString("Inst " + n + " (1.0-1 Debian:12 [amd64])\n")
		case c.Argv[verb] == "remove":
			mark(ctx, h, n, "deinstall", "config-files")
		default:
			mark(ctx, h, n, "install", "installed")
		}
	}
	return tasks.Output{Stdout: []byte(out.String())}
}
