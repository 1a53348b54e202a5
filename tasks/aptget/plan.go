package aptget

import (
	"context"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Plan is what an apt-get would do.
type Plan struct {
	// Install has the packages that would be installed or upgraded.
	Install []Install
	// Remove has the packages that would go.
	Remove []Remove
}

// Install is one package of a Plan.
type Install struct {
	// Name is "openssl", with ":ARCH" for a foreign architecture.
	Name string
	// From is the version there is; empty for a new package.
	From string
	// To is the version there would be.
	To string
	// Labels are the archives that have it: "Debian-Security". An archive without a
	// label has none.
	Labels []string
}

// Remove is one package that would go.
type Remove struct{ Name, Version string }

// Simulate asks apt-get what it would do. It changes nothing and needs no lock.
func Simulate(ctx context.Context, h tasks.Host, args ...string) (Plan, error) {
	c := tasks.Cmd{Argv: append([]string{"apt-get", "-s", "-q"}, args...), Env: quiet(), ReadOnly: true}
	out, err := tasks.Succeed(ctx, h, c)
	if err != nil {
		return Plan{}, err
	}
	return ParsePlan(string(out.Stdout)), nil
}

// ParsePlan reads the lines of a simulation: "Inst NAME [OLD] (NEW ARCHIVE, ARCHIVE
// [ARCH])", "Remv NAME [VERSION]", "Purg NAME [VERSION]".
func ParsePlan(out string) Plan {
	var p Plan
	for _, line := range tasks.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "Remv", "Purg":
			r := Remove{Name: f[1]}
			if len(f) > 2 {
				r.Version = strings.Trim(f[2], "[]")
			}
			p.Remove = append(p.Remove, r)
		case "Inst":
			p.Install = append(p.Install, parseInstall(f[1], line))
		}
	}
	return p
}

func parseInstall(name, line string) Install {
	i := Install{Name: name}
	before, rest, _ := strings.Cut(line, "(")
	if f := strings.Fields(before); len(f) > 2 {
		i.From = strings.Trim(f[2], "[]")
	}
	inside, _, _ := strings.Cut(rest, ")")
	i.To, inside, _ = strings.Cut(inside, " ")
	if at := strings.LastIndex(inside, "["); at >= 0 {
		inside = inside[:at]
	}
	for _, archive := range strings.Split(inside, ",") {
		if label, _, has := strings.Cut(strings.TrimSpace(archive), ":"); has {
			i.Labels = append(i.Labels, label)
		}
	}
	return i
}

// Lost lists Proxmox's own packages, and those without which a Proxmox host is none,
// that the plan removes.
func (p Plan) Lost() []string {
	var out []string
	for _, r := range p.Remove {
		name, _, _ := strings.Cut(r.Name, ":")
		own := slices.ContainsFunc([]string{"pve-", "proxmox-", "libpve-", "libproxmox-"}, func(p string) bool { return strings.HasPrefix(name, p) })
		if own || slices.Contains([]string{"qemu-server", "lxc-pve", "ifupdown2", "corosync", "openssh-server"}, name) {
			out = append(out, name)
		}
	}
	return out
}
