package sim

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"
)

// fingerprintOf makes up the fingerprint of a certificate.
func fingerprintOf(name string) string {
	sum := sha256.Sum256([]byte("certificate of " + name))
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

func pveshList(c *call, a cliArgs) int {
	path := strings.Trim(a["api_path"], "/")
	lists := map[string]string{
		"": "Dr---        access\nDr---        cluster\nDr---        nodes\nDr-c-        pools\nDr-c-        storage\n-r---        version\n",
	}
	node := "-r-c-        aplinfo\nDr---        apt\nDr---        capabilities\nDr---        ceph\nDr---        certificates\nDr---        disks\nDr---        firewall\nDr---        hardware\nDr-c-        lxc\nDr-cd        network\nDr-c-        qemu\nDr---        services\nDr---        storage\nDr---        tasks\n-r---        version\n"
	lists["nodes/localhost"], lists["nodes/"+c.m.Node] = node, node
	lists["nodes"] = "Dr---        " + c.m.Node + "\n"
	text, ok := lists[path]
	if !ok {
		c.errorf("no such resource '%s'\n", a["api_path"])
		return 255
	}
	c.printf("%s", text)
	return 0
}

// yamlText writes one level of keys, as YAML quotes them.
func yamlText(v any) string {
	var b strings.Builder
	fields, ok := v.(map[string]any)
	if !ok {
		return jsonText(v, false) + "\n"
	}
	for _, k := range sortedKeys(fields) {
		text := fmt.Sprint(fields[k])
		if strings.Trim(text, "0123456789.") == "" && strings.Count(text, ".") < 2 {
			text = "'" + text + "'"
		}
		fmt.Fprintf(&b, "%s: %s\n", k, text)
	}
	return b.String()
}

// plainText is pvesh's text format: a box around a list, nothing for an empty one.
func plainText(v any) string {
	switch v := v.(type) {
	case []any:
		return boxed(v)
	case map[string]any:
		rows := []any{}
		for _, k := range sortedKeys(v) {
			rows = append(rows, map[string]any{"key": k, "value": v[k]})
		}
		return boxed(rows)
	}
	return fmt.Sprintln(v)
}

// boxed draws a table of all fields, sorted by name.
func boxed(rows []any) string {
	if len(rows) == 0 {
		return ""
	}
	widths := map[string]int{}
	for _, row := range rows {
		fields, _ := row.(map[string]any)
		for k, v := range fields {
			widths[k] = max(widths[k], len(k), utf8.RuneCountInString(fmt.Sprint(v)))
		}
	}
	keys := sortedKeys(widths)
	var b strings.Builder
	rule := func(left, line, mid, right string) {
		var parts []string
		for _, k := range keys {
			parts = append(parts, strings.Repeat(line, widths[k]+2))
		}
		b.WriteString(left + strings.Join(parts, mid) + right + "\n")
	}
	cells := func(cell func(k string) string) {
		for _, k := range keys {
			fmt.Fprintf(&b, "│ %-*s ", widths[k], cell(k))
		}
		b.WriteString("│\n")
	}
	rule("┌", "─", "┬", "┐")
	cells(func(k string) string { return k })
	rule("╞", "═", "╪", "╡")
	for i, row := range rows {
		if i > 0 {
			rule("├", "─", "┼", "┤")
		}
		fields, _ := row.(map[string]any)
		cells(func(k string) string {
			if fields[k] == nil {
				return ""
			}
			return fmt.Sprint(fields[k])
		})
	}
	rule("└", "─", "┴", "┘")
	return b.String()
}
