package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
)

// mended is the first lxc-pve whose AppArmor profile lets such a runc work in a nested
// container: https://github.com/opencontainers/runc/issues/4968. Only the archive of
// Proxmox VE 9 has it.
const mended = "6.0.5-2"

// reopens tells whether a runc opens files below /proc/sys once more by their descriptor
// (CVE-2025-52881, November 2025), which AppArmor takes for files below /sys and denies
// in a container of LXC. Distributions have taken it over into older versions, which only
// the error tells.
func reopens(runc string) bool {
	v := strings.Replace(strings.TrimPrefix(runc, "v"), "-rc", "~rc", 1)
	for _, line := range [][2]string{{"1.4.0~", "1.4.0~rc.3"}, {"1.3.0~", "1.3.3"}, {"1.2.0~", "1.2.8"}} {
		if dpkg.CompareVersions(v, line[0]) >= 0 {
			return dpkg.CompareVersions(v, line[1]) >= 0
		}
	}
	return false
}

// lxcVersion is that of lxc-pve on the machine that the container is on; empty where it
// is not known.
func lxcVersion(ctx context.Context) (string, error) {
	machine := tasks.ScopeOf(ctx).Machine
	if machine == nil {
		return "", nil
	}
	status, err := dpkg.Read(machine)
	if err != nil {
		return "", fmt.Errorf("find the version of lxc-pve on the host: %w", err)
	}
	if p, ok := status.Find("lxc-pve"); ok && p.Installed() {
		return p.Version, nil
	}
	return "", nil
}

// explained says what an error of a container's start comes from and what mends it; nil
// where that is not known.
func explained(ctx context.Context, err error, runc string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, one := range []struct{ sign, mends string }{
		{"bpf_prog_query", "an unprivileged container cannot set up the device cgroup; nvidia with no-cgroups mends it"},
		{"session keyring", "the container needs pct_options keyctl"},
		{"session key", "the container needs pct_options keyctl"},
		{`mounting "proc"`, "the container needs pct_options nesting"},
		{"apparmor_parser", "the container needs the package apparmor"},
	} {
		if strings.Contains(text, one.sign) {
			return errors.New(one.mends)
		}
	}
	if !strings.Contains(text, "ip_unprivileged_port_start") && !(strings.Contains(text, "reopen fd") && strings.Contains(text, "permission denied")) {
		return nil
	}
	if runc == "" {
		runc = "of this version"
	}
	said := "this is the break of November 2025: runc " + runc + " opens files of /proc anew (CVE-2025-52881), which the AppArmor profile of the container denies; "
	have, lookErr := lxcVersion(ctx)
	switch {
	case lookErr != nil:
		return lookErr
	case have != "" && dpkg.CompareVersions(have, mended) >= 0:
		return errors.New(said + "lxc-pve " + have + " on the host has the remedy: restart the container, and see that it has pct_options nesting")
	case have != "":
		said += "the host has lxc-pve " + have + ": "
	}
	return errors.New(said + "upgrade lxc-pve to " + mended + " or later on the host (Proxmox VE 9; none is known for 8), then restart the container; " +
		"lxc.apparmor.profile: unconfined is no remedy to keep")
}

// findings tells of workarounds that the container's configuration on its host has, and
// when each is of no use any more. They are the host's: nothing here changes them.
func findings(ctx context.Context, runc string) error {
	scope := tasks.ScopeOf(ctx)
	if scope.Machine == nil || scope.CTID == 0 {
		return nil
	}
	conf := fmt.Sprintf("/etc/pve/lxc/%d.conf", scope.CTID)
	data, _, err := tasks.ReadIfExists(scope.Machine, conf)
	if err != nil {
		return err
	}
	have, err := lxcVersion(ctx)
	if err != nil {
		return err
	}
	for _, f := range workarounds(string(data), have, runc) {
		tasks.Warnf(ctx, "%s: %s", conf, f)
	}
	if reopens(runc) && have != "" && dpkg.CompareVersions(have, mended) < 0 {
		tasks.Warnf(ctx, "runc %s does not start containers with lxc-pve %s where AppArmor confines the container; upgrade lxc-pve to %s or later", runc, have, mended)
	}
	return nil
}

// workarounds are the lines of a container's configuration that people add to make
// Docker run. Snapshots of it begin with a section.
func workarounds(conf, lxc, runc string) []string {
	var out []string
	nesting, privileged := false, true
	for _, line := range tasks.Lines(conf) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			break
		}
		i := strings.IndexAny(line, ":=")
		if i < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		key, value := strings.TrimSpace(line[:i]), strings.TrimSpace(line[i+1:])
		switch {
		case key == "unprivileged":
			privileged = value != "1"
		case key == "features":
			nesting = slices.Contains(strings.Split(value, ","), "nesting=1")
		case key == "lxc.apparmor.profile" && value == "unconfined":
			when := "it is no longer needed once the host has lxc-pve " + mended + " or later"
			switch {
			case lxc != "" && dpkg.CompareVersions(lxc, mended) >= 0:
				when = "it is no longer needed: the host has lxc-pve " + lxc
			case !reopens(runc):
				when = "it is not needed for runc " + runc + "; a later one needs lxc-pve " + mended + " instead"
			}
			out = append(out, line+" takes AppArmor from the container; "+when)
		case key == "lxc.cap.drop" && value == "":
			out = append(out, line+" leaves root of the container every capability; Docker needs none of them beside pct_options nesting and keyctl")
		case (key == "lxc.cgroup2.devices.allow" || key == "lxc.cgroup.devices.allow") && (value == "a" || strings.HasPrefix(value, "a ")):
			out = append(out, line+" gives the container every device of the host; it is not needed for Docker, and devN gives single ones")
		}
	}
	if privileged && nesting {
		out = append(out, "a privileged container has nesting: its root is root of the host, and nesting lets it mount what AppArmor would keep from it; "+
			"Docker does not need the first (unprivileged, with nesting and keyctl; pct restore with --unprivileged 1 makes one of a backup)")
	}
	return out
}
