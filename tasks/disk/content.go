package disk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
)

// signatures asks wipefs, which only looks when it is told not to act. It reads the
// devices themselves; blkid would answer from a cache.
func signatures(ctx context.Context, h tasks.Host, devices []string) (map[string][]Content, error) {
	argv := []string{"wipefs", "--no-act", "--json"}
	for _, d := range devices {
		argv = append(argv, "/dev/"+d)
	}
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("look for signatures: %w", err)
	}
	return parseSignatures(out.Stdout)
}

// parseSignatures reads the output of wipefs --json (util-linux 2.38). It has one
// entry for each copy of a signature, so the same thing comes many times.
func parseSignatures(data []byte) (map[string][]Content, error) {
	var doc struct {
		Signatures []struct {
			Device string `json:"device"`
			Type   string `json:"type"`
			Label  string `json:"label"`
		} `json:"signatures"`
	}
	out := make(map[string][]Content)
	if strings.TrimSpace(string(data)) == "" {
		return out, nil // what wipefs before 2.37 prints for empty devices
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("look for signatures: read what wipefs printed: %w", err)
	}
	for _, s := range doc.Signatures {
		c := Content{Device: s.Device, Type: s.Type, Label: s.Label}
		if !slices.Contains(out[s.Device], c) {
			out[s.Device] = append(out[s.Device], c)
		}
	}
	return out, nil
}

// String describes the disk in one line, for people: model, serial number, size, and
// what is on it.
func (d Disk) String() string {
	what := []string{d.Model, "serial " + d.Serial, size(d.Bytes)}
	if d.Serial == "" {
		what[1] = ""
	}
	what = slices.DeleteFunc(what, func(s string) bool { return s == "" })
	return d.Path + " (" + d.Name + ", " + strings.Join(what, ", ") + "): " + d.Held()
}

// Held says what is on the disk.
func (d Disk) Held() string {
	var out []string
	for _, dev := range append([]string{d.Name}, d.Parts...) {
		var types []string
		for _, c := range d.Content {
			if c.Device != dev {
				continue
			}
			text := c.Type
			if c.Label != "" {
				text += fmt.Sprintf(" %q", c.Label)
			}
			types = append(types, text)
		}
		switch {
		case len(types) > 0 && dev == d.Name:
			out = append(out, strings.Join(types, ", "))
		case len(types) > 0:
			out = append(out, dev+" with "+strings.Join(types, ", "))
		case dev != d.Name:
			out = append(out, dev+" without a signature")
		}
	}
	out = append(out, d.Uses...)
	if len(out) == 0 {
		return "empty"
	}
	return strings.Join(out, "; ")
}

// size is a number of bytes with one decimal of its largest binary unit.
func size(n int64) string {
	unit, f := "B", float64(n)
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f < 1024 {
			break
		}
		unit, f = u, f/1024
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + " " + unit
}
