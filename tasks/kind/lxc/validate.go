package lxc

import (
	"fmt"
	"math"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// The limits of Proxmox's own option table (pve-container 5.3.5). The memory is an
// exception: Proxmox takes 16 MiB, with which no distribution starts.
const (
	minCTID, maxCTID = 100, 999_999_999
	minMemoryMB      = 64
	maxCores         = 8192
	maxCPUUnits      = 10000 // what cgroup v2 clamps to
	maxSizeGB        = 128 << 10
	maxDescription   = 8192
	maxInterfaces    = 32
	maxMounts        = 256
	maxTTY           = 6
)

var (
	storageName  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]$`)
	tagName      = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*$`)
	dnsLabel     = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	templateName = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9\-_.]*:vztmpl/)?[a-zA-Z0-9][a-zA-Z0-9._+\-]*$`)
	snippetName  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9\-_.]*:snippets/[a-zA-Z0-9._+\-]+$`)
	zoneName     = regexp.MustCompile(`^[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*$`)
	linkName     = regexp.MustCompile(`^[-_.a-zA-Z0-9]{1,15}$`)
	macAddress   = regexp.MustCompile(`^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$`)
	fsType       = regexp.MustCompile(`^[a-zA-Z0-9_]+$`)
	octalMode    = regexp.MustCompile(`^0[0-7]{3}$`)
	groupName    = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_.-]{0,31}$`)
)

// osTypes are the ones Proxmox knows how to set up.
func osTypes() []string {
	return []string{"debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos", "unmanaged"}
}

// problems collects the faults of a spec.
type problems []tasks.Problem

func (p *problems) add(at, hint, format string, args ...any) {
	*p = append(*p, tasks.Problem{Path: at, Summary: fmt.Sprintf(format, args...), Hint: hint})
}

// require adds a fault unless the value is as it should be.
func (p *problems) require(ok bool, at, hint, format string, args ...any) {
	if !ok {
		p.add(at, hint, format, args...)
	}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var p problems
	p.require(s.CTID >= minCTID && s.CTID <= maxCTID, "ctid", "", "%d is not a CTID: they go from %d to %d", s.CTID, minCTID, maxCTID)
	oneOf(&p, "state", s.State, StateRunning, StateStopped, StateAbsent)
	oneOf(&p, "restart", s.Restart, RestartAllowed, RestartNever)
	oneOf(&p, "os_type", s.OSType, osTypes()...)
	oneOf(&p, "arch", s.Arch, "amd64", "i386", "arm64", "armhf", "riscv32", "riscv64")
	oneOf(&p, "console_mode", s.ConsoleMode, "tty", "console", "shell")
	s.validateNames(&p)
	s.validateOrigin(&p)
	s.validateResources(&p)
	s.validateBoot(&p)
	s.validateNetwork(&p)
	s.validateMounts(&p)
	s.validateDevices(&p)
	s.validateGPUs(&p)
	s.validateRaw(&p)
	s.validateSafety(&p)
	return p
}

func (s *Spec) validateNames(p *problems) {
	p.require(s.Name == "" || isDNSName(s.Name), "name", "letters, digits and hyphens, dots between labels",
		"%q is not a host name", s.Name)
	if d := s.Description; d != nil {
		p.require(!pve.HasControl(strings.ReplaceAll(*d, "\n", "")), "description", "only line feeds are allowed",
			"has a control character or is not UTF-8")
		p.require(len(*d) <= maxDescription, "description", "", "has %d bytes, more than %d", len(*d), maxDescription)
		_, own := splitDescription(*d)
		p.require(own == nil, "description", "take the line out: it is written and kept without", "has a line that begins with %s", ownLine)
	}
	for i, t := range s.Tags {
		p.require(tagName.MatchString(t), fmt.Sprintf("tags.%d", i), "letters, digits and _ - + .", "%q is not a tag", t)
	}
	p.require(s.Template == "" || templateName.MatchString(s.Template), "template",
		"a series such as debian-12-standard, a file name, or STORAGE:vztmpl/FILE", "%q is not a template", s.Template)
	p.require(s.TemplateStorage == "" || storageName.MatchString(s.TemplateStorage), "template_storage", "",
		"%q is not the name of a storage", s.TemplateStorage)
	p.require(s.StoragePool == "" || storageName.MatchString(s.StoragePool), "storage_pool", "",
		"%q is not the name of a storage", s.StoragePool)
	p.require(s.Hookscript == "" || snippetName.MatchString(s.Hookscript), "hookscript", "STORAGE:snippets/FILE",
		"%q is not a script on a storage", s.Hookscript)
	p.require(s.Timezone == "" || zoneName.MatchString(s.Timezone), "timezone", `a name such as Europe/Berlin, or "host"`,
		"%q is not a time zone", s.Timezone)
}

func (s *Spec) validateResources(p *problems) {
	size(p, "storage_size_gb", s.StorageSizeGB, true)
	if s.MemoryMB != 0 && s.MemoryMB < minMemoryMB {
		hint := ""
		if s.MemoryMB > 0 {
			hint = fmt.Sprintf("did you mean %d?", s.MemoryMB*1024)
		}
		p.add("memory_mb", hint, "%d is below the minimum of %d", s.MemoryMB, minMemoryMB)
	}
	atLeastZero(p, "swap_mb", s.SwapMB)
	p.require(s.Cores >= 0 && s.Cores <= maxCores, "cores", "", "%d is not a number of processors from 1 to %d", s.Cores, maxCores)
	if l := s.CPULimit; l != nil {
		p.require(*l >= 0 && *l <= maxCores, "cpu_limit", "0 is no limit", "%v is not between 0 and %d", *l, maxCores)
	}
	if u := s.CPUUnits; u != nil {
		p.require(*u >= 1 && *u <= maxCPUUnits, "cpu_units", "100 is the default", "%d is not between 1 and %d", *u, maxCPUUnits)
	}
	if f := s.PctOptions; f != nil {
		for i, m := range f.Mount {
			p.require(fsType.MatchString(m), fmt.Sprintf("pct_options.mount.%d", i), "", "%q is not a file system type", m)
		}
	}
}

func (s *Spec) validateBoot(p *problems) {
	atLeastZero(p, "boot_order", s.BootOrder)
	atLeastZero(p, "boot_delay_s", s.BootDelayS)
	atLeastZero(p, "shutdown_timeout_s", s.ShutdownTimeoutS)
	if n := s.TTYCount; n != nil {
		p.require(*n >= 0 && *n <= maxTTY, "tty_count", "", "%d is not between 0 and %d", *n, maxTTY)
	}
	for i, id := range s.DependsOn {
		at := fmt.Sprintf("depends_on.%d", i)
		p.require(id >= minCTID && id <= maxCTID, at, "", "%d is not a CTID: they go from %d to %d", id, minCTID, maxCTID)
		p.require(id != s.CTID, at, "", "container %d cannot depend on itself", id)
	}
}

func (s *Spec) validateMounts(p *problems) {
	p.require(len(s.MountPoints)+len(s.Volumes) <= maxMounts, "mount_points", "", "there are more than %d mount points and volumes", maxMounts)
	seen := make(map[string]string)
	target := func(at, dir string) {
		cleanPath(p, at, dir)
		p.require(dir != "/", at, "", "the root directory cannot be mounted over")
		first, twice := seen[dir]
		p.require(!twice, at, "", "%s is mounted twice, see %s", dir, first)
		seen[dir] = at
	}
	for i, m := range s.MountPoints {
		at := fmt.Sprintf("mount_points.%d.", i)
		target(at+"container_path", m.ContainerPath)
		cleanPath(p, at+"host_path", m.HostPath)
		p.require(m.HostPath != "/", at+"host_path", "", "the host's root directory must not be given to a container")
		atLeastZero(p, at+"owner_uid", m.OwnerUID)
		atLeastZero(p, at+"owner_gid", m.OwnerGID)
		mountOptions(p, at+"mount_options", m.MountOptions)
		s.validateOwners(p, i)
	}
	for i, v := range s.Volumes {
		at := fmt.Sprintf("volumes.%d.", i)
		target(at+"container_path", v.ContainerPath)
		p.require(storageName.MatchString(v.Storage), at+"storage", "", "%q is not the name of a storage", v.Storage)
		size(p, at+"size_gb", v.SizeGB, false)
		s.validateFlags(p, at, MountFlags{Quota: v.Quota, MountOptions: v.MountOptions})
	}
	if s.Rootfs != nil {
		s.validateFlags(p, "rootfs.", *s.Rootfs)
	}
}

// validateOwners refuses two owners for one directory, which can have only one.
func (s *Spec) validateOwners(p *problems, i int) {
	m := s.MountPoints[i]
	for _, other := range s.MountPoints[:i] {
		if other.HostPath != m.HostPath {
			continue
		}
		at := fmt.Sprintf("mount_points.%d.", i)
		p.require(sameNumber(m.OwnerUID, other.OwnerUID), at+"owner_uid", "", "%s has another owner at %s", m.HostPath, other.ContainerPath)
		p.require(sameNumber(m.OwnerGID, other.OwnerGID), at+"owner_gid", "", "%s has another group at %s", m.HostPath, other.ContainerPath)
	}
}

// sameNumber is true also where one of the two is not managed.
func sameNumber(a, b *int) bool { return a == nil || b == nil || *a == *b }

func (s *Spec) validateDevices(p *problems) {
	var seen []string
	for i, d := range s.Devices {
		at := fmt.Sprintf("devices.%d.", i)
		cleanPath(p, at+"path", d.Path)
		p.require(strings.HasPrefix(d.Path, "/dev/"), at+"path", "", "%q is not below /dev", d.Path)
		p.require(!slices.Contains(seen, d.Path), at+"path", "", "%s is passed through twice", d.Path)
		p.require(d.Mode == "" || octalMode.MatchString(d.Mode), at+"mode", `four octal digits: "0660"`, "%q is not a mode", d.Mode)
		atLeastZero(p, at+"uid", d.UID)
		atLeastZero(p, at+"gid", d.GID)
		p.require(d.Group == "" || groupName.MatchString(d.Group), at+"group", "", "%q is not the name of a group", d.Group)
		p.require(d.Group == "" || d.GID == nil, at+"gid", "give one of them", "the group is given by its number and by its name")
		seen = append(seen, d.Path)
	}
}

func oneOf(p *problems, at, value string, allowed ...string) {
	p.require(value == "" || slices.Contains(allowed, value), at, "one of "+strings.Join(allowed, ", "), "%q is not known", value)
}

func atLeastZero(p *problems, at string, n *int) {
	p.require(n == nil || *n >= 0, at, "", "%d is below 0", deref(n))
}

func size(p *problems, at string, gb float64, absent bool) {
	if absent && gb == 0 {
		return
	}
	p.require(gb > 0 && gb <= maxSizeGB && !math.IsNaN(gb), at, "in GiB", "%v is not a size from above 0 to %d", gb, maxSizeGB)
}

// cleanPath holds for paths that go into a property string of the configuration.
func cleanPath(p *problems, at, dir string) {
	ok := path.IsAbs(dir) && path.Clean(dir) == dir && !strings.ContainsAny(dir, ",\\") && !pve.HasControl(dir)
	p.require(ok, at, "without //, ., .., a comma or a / at the end", "%q is not a clean absolute path", dir)
}

func isDNSName(name string) bool {
	for _, l := range strings.Split(name, ".") {
		if len(l) > 63 || !dnsLabel.MatchString(l) {
			return false
		}
	}
	return len(name) <= 255
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func deref(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
