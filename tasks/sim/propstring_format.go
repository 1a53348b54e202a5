package sim

import (
	"net/netip"
	"os"
	"regexp"
	"strings"
)

// The formats of PVE::JSONSchema and pve-container 5.3.5 that pct's options use.
// Each returns Proxmox's own words.

func matches(pattern, complaint string) format {
	return func(_ *Machine, value string) string {
		if regexp.MustCompile(pattern).MatchString(value) {
			return ""
		}
		return complaint
	}
}

func formatVMID() format {
	return matches(`^[1-9][0-9]{2,8}$`, "value does not look like a valid VM ID")
}

func formatDNSName() format {
	const label = `[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?`
	return matches(`^(`+label+`\.)*`+label+`$`, "value does not look like a valid DNS name")
}

func formatMAC() format {
	return matches(`^(?i:[a-f0-9][02468ace](:[a-f0-9]{2}){5})$`, "value does not look like a valid unicast MAC address")
}

func formatStartup() format {
	return matches(`^((order=\d+|up=\d+|down=\d+|\d+)(,|$))+$`, "unable to parse startup options")
}

func formatConfigID(_ *Machine, value string) string {
	if regexp.MustCompile(`^(?i:[a-z][a-z0-9_-]+)$`).MatchString(value) {
		return ""
	}
	return "invalid configuration ID '" + value + "'"
}

func formatTag() format {
	return matches(`^(?i:[a-z0-9_][a-z0-9_+.-]*)$`, "invalid characters in tag")
}

func formatStorageID(_ *Machine, value string) string {
	if regexp.MustCompile(`^(?i:[a-z][a-z0-9_.-]*[a-z0-9])$`).MatchString(value) {
		return ""
	}
	return "storage ID '" + value + "' contains illegal characters"
}

func formatVolumeID(_ *Machine, value string) string {
	if _, _, ok := splitVolumeID(value); ok {
		return ""
	}
	return "unable to parse volume ID '" + value + "'"
}

// splitVolumeID splits STORAGE:NAME.
func splitVolumeID(volid string) (storageID, name string, ok bool) {
	storageID, name, ok = strings.Cut(volid, ":")
	return storageID, name, ok && name != "" && formatStorageID(nil, storageID) == ""
}

// formatList applies f to each entry of a list separated by blanks, commas,
// semicolons or NULs.
func formatList(f format) format {
	return func(m *Machine, value string) string {
		for _, entry := range splitList(value) {
			if complaint := f(m, entry); complaint != "" {
				return complaint
			}
		}
		return ""
	}
}

func formatIP(_ *Machine, value string) string {
	if _, err := netip.ParseAddr(value); err != nil {
		return "value does not look like a valid IP address"
	}
	return ""
}

func formatIPv4(_ *Machine, value string) string {
	if a, err := netip.ParseAddr(value); err != nil || !a.Is4() {
		return "value does not look like a valid ipv4 address"
	}
	return ""
}

func formatIPv6(_ *Machine, value string) string {
	if a, err := netip.ParseAddr(value); err != nil || !a.Is6() {
		return "value does not look like a valid ipv6 address"
	}
	return ""
}

func formatIPv4Config(_ *Machine, value string) string {
	if value == "dhcp" || value == "manual" {
		return ""
	}
	if p, err := netip.ParsePrefix(value); err != nil || !p.Addr().Is4() {
		return "value does not look like a valid ipv4 network configuration"
	}
	return ""
}

func formatIPv6Config(_ *Machine, value string) string {
	if value == "auto" || value == "dhcp" || value == "manual" {
		return ""
	}
	if p, err := netip.ParsePrefix(value); err != nil || !p.Addr().Is6() {
		return "value does not look like a valid ipv6 network configuration"
	}
	return ""
}

func formatMountPath(_ *Machine, value string) string {
	bad := regexp.MustCompile(`/\.\.?/|/\.\.?$|^\.\.?/`)
	if bad.MatchString(value) {
		return value + " contains illegal character sequences"
	}
	return ""
}

func formatDevicePath(_ *Machine, value string) string {
	if !strings.HasPrefix(value, "/dev/") {
		return value + " is not a valid device path"
	}
	return formatMountPath(nil, value)
}

func formatDiskSize(_ *Machine, value string) string {
	if _, ok := parseSize(value); !ok {
		return "value does not look like a valid disk size: " + value
	}
	return ""
}

// formatTimezone takes "host", UTC and the zones whose files the machine has.
func formatTimezone(m *Machine, value string) string {
	if value == "host" || value == "UTC" {
		return ""
	}
	if formatMountPath(nil, value) == "" && !strings.HasPrefix(value, "/") {
		if st, err := os.Stat(m.path("/usr/share/zoneinfo/" + value)); err == nil && st.Mode().IsRegular() {
			return ""
		}
	}
	return "invalid time zone '" + value + "'"
}
