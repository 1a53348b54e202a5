package pve

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ParseBool reads a boolean as Proxmox does: 1, on, yes, true and their opposites,
// in any case.
func ParseBool(s string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "on", "yes", "true":
		return true, true
	case "0", "off", "no", "false":
		return false, true
	}
	return false, false
}

// ParseSize reads a size of a volume, "4G" or "1536M", in bytes. A bare number is
// bytes.
func ParseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGT")
	shift := 0
	switch unit := s[len(digits):]; unit {
	case "":
	case "K", "M", "G", "T":
		shift = 10 * (1 + strings.Index("KMGT", unit))
	default:
		return 0, fmt.Errorf("read size %q: want a number and K, M, G or T", s)
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || f < 0 || math.IsInf(f, 0) || math.IsNaN(f) || math.Ldexp(f, shift) >= math.MaxInt64 {
		return 0, fmt.Errorf("read size %q: want a number and K, M, G or T", s)
	}
	return int64(math.Ldexp(f, shift)), nil
}

// FormatSize writes a size with the largest unit that divides it, as Proxmox does:
// "4G", "1536M", and "0T" for nothing.
func FormatSize(bytes int64) string {
	for i, unit := range []string{"T", "G", "M", "K"} {
		div := int64(1) << (10 * (4 - i))
		if bytes%div == 0 {
			return strconv.FormatInt(bytes/div, 10) + unit
		}
	}
	return strconv.FormatInt(bytes, 10)
}

// GiB is a number of gibibytes in bytes, cut off to whole MiB as Proxmox does when
// it allocates (PVE::LXC::create_disks, pve-container 5.3.5).
func GiB(n float64) int64 { return int64(n*(1<<10)) << 20 }

// VolumeID is "STORAGE:NAME", a volume on a storage.
type VolumeID struct{ Storage, Name string }

// ParseVolumeID reads a volume id. It is false for a path (a bind mount or a device)
// and for anything else that names no storage.
func ParseVolumeID(s string) (VolumeID, bool) {
	storage, name, ok := strings.Cut(s, ":")
	if !ok || storage == "" || name == "" || strings.HasPrefix(s, "/") {
		return VolumeID{}, false
	}
	return VolumeID{storage, name}, true
}

// String is the volume id as Proxmox writes it.
func (v VolumeID) String() string { return v.Storage + ":" + v.Name }

// ParseTags splits a tag list and returns it in Proxmox's default form: lower case,
// sorted, each tag once.
func ParseTags(s string) []string {
	tags := strings.FieldsFunc(strings.ToLower(s), isListSeparator)
	slices.Sort(tags)
	return slices.Compact(tags)
}

// ParseList splits a list of name servers or domains, which Proxmox reads with
// blanks, commas or semicolons between and writes with blanks.
func ParseList(s string) []string { return strings.FieldsFunc(s, isListSeparator) }

// IndexedKeys lists the options PREFIX0, PREFIX1, … by their numbers.
func IndexedKeys(options map[string]string, prefix string) []string {
	var numbers []int
	for key := range options {
		digits, ok := strings.CutPrefix(key, prefix)
		if n, err := strconv.Atoi(digits); ok && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	keys := make([]string, len(numbers))
	for i, n := range numbers {
		keys[i] = prefix + strconv.Itoa(n)
	}
	return keys
}
