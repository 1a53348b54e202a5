package lxc

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// The limits of a map of users: the kernel takes 340 ranges of 32-bit numbers
// (user_namespaces(7)), the last of which means nobody.
const maxRanges, maxID = 340, 1<<32 - 1

// The values of IDRange.Type.
const typeUsers, typeGroups, typeBoth = "uid", "gid", "both"

// kinds are the letters of the lines of a range. Proxmox reads no others (parse_id_maps,
// pve-container 5.3.5), though LXC has one for both.
func (r IDRange) kinds() []string {
	switch r.Type {
	case typeUsers:
		return []string{"u"}
	case typeGroups:
		return []string{"g"}
	}
	return []string{"u", "g"}
}

// idmapLines are the raw lines of the map.
func (s *Spec) idmapLines() []pve.RawOption {
	var out []pve.RawOption
	for _, kind := range []string{"u", "g"} {
		for _, r := range s.IDMap {
			if slices.Contains(r.kinds(), kind) {
				out = append(out, pve.RawOption{Key: keyIDMap, Value: fmt.Sprintf("%s %d %d %d", kind, r.ContainerID, r.HostID, r.Count)})
			}
		}
	}
	return out
}

// canonIDMap is what the lines of an unprivileged container come to, in an order of
// their own: LXC does not care for theirs.
func canonIDMap(lines []pve.RawOption) string {
	var out []string
	for _, kind := range []string{"u", "g"} {
		m := idmap(true, lines, kind)
		sort.Slice(m, func(i, j int) bool { return m[i].inside < m[j].inside })
		for _, r := range m {
			out = append(out, fmt.Sprintf("%s %d %d %d", kind, r.inside, r.outside, r.count))
		}
	}
	return strings.Join(out, "; ")
}

func (s *Spec) validateIDMap(p *problems) {
	if len(s.IDMap) == 0 {
		return
	}
	p.require(s.Unprivileged == nil || *s.Unprivileged, pathIDMap, "take it out, or set unprivileged to true",
		"a privileged container has the users of the host")
	p.require(len(s.IDMap) <= maxRanges, pathIDMap, "", "has %d ranges, more than %d", len(s.IDMap), maxRanges)
	for i, r := range s.IDMap {
		at := fmt.Sprintf("%s.%d.", pathIDMap, i)
		oneOf(p, at+"type", r.Type, typeUsers, typeGroups, typeBoth)
		p.require(r.Count >= 1 && r.Count <= maxID, at+"count", "", "%d is not a number of ids", r.Count)
		p.require(r.ContainerID >= 0 && r.ContainerID <= maxID-r.Count, at+"container_id", "", "%d is not the first of %d ids", r.ContainerID, r.Count)
		p.require(r.HostID != 0, at+"host_id", "a container that is to have it is privileged", "0 is root of the host")
		p.require(r.HostID >= 0 && r.HostID <= maxID-r.Count, at+"host_id", "", "%d is not the first of %d ids", r.HostID, r.Count)
		for j, other := range s.IDMap[:i] {
			if !slices.ContainsFunc(r.kinds(), func(k string) bool { return slices.Contains(other.kinds(), k) }) {
				continue
			}
			p.require(apart(r.ContainerID, r.Count, other.ContainerID, other.Count), at+"container_id", "", "overlaps with that of %s.%d", pathIDMap, j)
			p.require(apart(r.HostID, r.Count, other.HostID, other.Count), at+"host_id", "", "overlaps with that of %s.%d", pathIDMap, j)
		}
	}
	for _, kind := range []string{"u", "g"} {
		root, ok := idmap(true, s.idmapLines(), kind).host(0)
		p.require(ok, pathIDMap, "a range with container_id 0, of both users and groups", "root of the container is mapped to nobody")
		if !ok {
			return
		}
		if s.Template != "" && root != defaultShift {
			p.add(pathIDMap, fmt.Sprintf("map container_id 0 to host_id %d; or take template out, where the container is there and its files are others'", defaultShift),
				"root of the container would be %d of the host, and Proxmox makes the files of one from a template for %d", root, defaultShift)
			return
		}
	}
}

func apart(a, n, b, m int) bool { return a+n <= b || b+m <= a }

// refuseIDMap marks a map that the container could not be started with.
func (t *task) refuseIDMap(h tasks.Host, f *found, out []finding) ([]finding, error) {
	i := indexPath(out, pathIDMap)
	if i < 0 || out[i].op != opRaw {
		return out, nil
	}
	unprivileged, _ := pve.ParseBool(f.now["unprivileged"])
	why, err := t.idmapRefused(h, unprivileged, f.conf.Head().Raw())
	if why != "" {
		out[i].refused = &tasks.RefusedError{What: fmt.Sprintf("%s %s -> %s of container %d", pathIDMap, out[i].From, out[i].To, t.spec.CTID), Instead: why}
	}
	return out, err
}

// idmapRefused is why the container, whose raw lines are have, cannot get the wanted
// map; "" when nothing is in the way.
func (t *task) idmapRefused(h tasks.Host, unprivileged bool, have []pve.RawOption) (string, error) {
	if len(t.spec.IDMap) == 0 {
		return "", nil
	}
	if !unprivileged {
		return "the container is privileged: take idmap out", nil
	}
	want := t.spec.idmapLines()
	for _, kind := range []string{"u", "g"} {
		now, mapped := idmap(true, have, kind).host(0) // not mapped where a line was lost: nothing starts with that
		if next, _ := idmap(true, want, kind).host(0); mapped && now != next {
			return fmt.Sprintf("the files of its root belong to %d of the host: map container_id 0 to host_id %d", now, now), nil
		}
	}
	err := idsAllowed(h, want)
	var lacking *idsError
	if errors.As(err, &lacking) {
		return lacking.Error(), nil
	}
	return "", err
}

// idsError names the lines that root of the host lacks for a container's map.
type idsError struct{ lines []string }

func (e *idsError) Error() string {
	return "add " + strings.Join(e.lines, " and ") + " on the host: LXC starts no container with numbers that root may not give away"
}

// idsAllowed looks whether root may give away the numbers of a map, which LXC asks
// newuidmap and newgidmap at every start.
func idsAllowed(h tasks.Host, raw []pve.RawOption) error {
	if !slices.ContainsFunc(raw, func(o pve.RawOption) bool { return o.Key == keyIDMap }) {
		return nil
	}
	lacking := &idsError{}
	for _, ids := range []struct{ kind, file string }{{"u", "/etc/subuid"}, {"g", "/etc/subgid"}} {
		data, _, err := tasks.ReadIfExists(h, ids.file)
		if err != nil {
			return fmt.Errorf("look what root may give away: %w", err)
		}
		own := subordinate(string(data))
		for _, r := range idmap(true, raw, ids.kind) {
			if !own.covers(r.outside, r.count) {
				lacking.lines = append(lacking.lines, fmt.Sprintf("root:%d:%d to %s", r.outside, r.count, ids.file))
			}
		}
	}
	if lacking.lines == nil {
		return nil
	}
	return lacking
}

// subordinate reads what root has in /etc/subuid or /etc/subgid, in order.
func subordinate(text string) mapping {
	var out mapping
	for _, line := range tasks.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != "root" && f[0] != "0" {
			continue
		}
		first, err1 := strconv.Atoi(f[1])
		n, err2 := strconv.Atoi(f[2])
		if err1 == nil && err2 == nil {
			out = append(out, idRange{outside: first, count: n})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].outside < out[j].outside })
	return out
}

// covers tells whether a range is in those of the mapping, taken together.
func (m mapping) covers(first, count int) bool {
	for _, r := range m {
		if first >= r.outside && first-r.outside < r.count {
			done := min(count, r.outside+r.count-first)
			first, count = first+done, count-done
		}
	}
	return count == 0
}
