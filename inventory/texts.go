package inventory

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks/pve"
)

// checkTexts finds control characters, which could smuggle a line into another
// file's syntax or a command into a terminal, and plaintext secrets.
func checkTexts(root *document.Node) diag.List {
	var out diag.List
	root.Walk(func(m *document.Member, n *document.Node) {
		if m != nil {
			if c, bad := control(m.Key, ""); bad {
				out.Add(document.At(m.KeyPos, n.Path, fmt.Sprintf("the key has the control character %U", c), "take it out"))
			}
			out.Add(plaintext(m)...)
		}
		out.Add(controlFault(m, n)...)
	})
	return out
}

// controlFault checks one string. m is nil for what has no key.
func controlFault(m *document.Member, n *document.Node) diag.List {
	if n.Kind != document.String {
		return nil
	}
	c, bad := control(n.Text, allowedControls(m, n.Path))
	switch {
	case !bad:
		return nil
	case c == '\n':
		return diag.List{n.Fault("a line break is not allowed here", "it would begin a new line of another file")}
	}
	return diag.List{n.Fault(fmt.Sprintf("the control character %U is not allowed here", c), "take it out")}
}

// allowedControls is what a text may hold: a file's content may be any text, a
// description may have several lines, variables become one or the other, and an argument
// may be a script.
func allowedControls(m *document.Member, path string) string {
	switch {
	case m != nil && m.Key == "description":
		return "\n"
	case m != nil && m.Key == "content" && (strings.HasPrefix(path, "files.") || strings.Contains(path, ".files.")):
		return "\n\t\r\u061c\u200e\u200f" // the marks that text in Arabic and Hebrew has
	case strings.Contains("."+path, ".vars."):
		return "\n\t\r"
	case m == nil && strings.HasPrefix(path, "secrets.") && strings.Contains(path, ".command."):
		return "\n\t" // an argument of a program, handed over as it is
	case strings.Contains("."+path, ".docker.compose.") && strings.Contains(path, ".files."):
		return "\n\t\r\u061c\u200e\u200f" // a file's content
	case m != nil && m.Key == "signed_by" && strings.HasPrefix(path, "apt.extra_sources."):
		return "\n\r" // an armoured key
	case strings.Contains("."+path, ".trusted_ca.certificates."):
		return "\n\r" // PEM
	case strings.Contains("."+path, ".health_checks.") && (m != nil && m.Key == "command" || m == nil && strings.Contains(path, ".command.")):
		return "\n\t" // a script, or an argument
	case m != nil && (m.Key == "check" || m.Key == "apply") && (strings.HasPrefix(path, "steps.") || strings.Contains(path, ".application_script.")):
		return "\n\t" // a script
	}
	return ""
}

func control(text, allowed string) (rune, bool) {
	for _, r := range text {
		if pve.IsControl(r) && !strings.ContainsRune(allowed, r) {
			return r, true
		}
	}
	return 0, false
}

// plaintext finds a secret that was written down. Its value is never quoted.
func plaintext(m *document.Member) diag.List {
	n := m.Value
	if !document.SecretKey(m.Key) || n.Kind == document.Null || n.Kind == document.Object || n.Kind == document.Bool {
		return nil
	}
	if m.Key == "secret" || strings.HasPrefix(n.Path, "secrets.") {
		return nil // a name, or a place where a value comes from
	}
	if strings.HasPrefix(n.Path, "features.") || strings.Contains(n.Path, ".features.") || strings.Contains(n.Path, "application_script.env.") {
		return diag.List{n.Fault("a secret in plain text", noSecret+"; change the value: it was written down")}
	}
	hint := `write {"secret": "NAME"}, say under secrets in hosts.yaml where NAME comes from, and change the value: it was written down`
	return diag.List{n.Fault("a secret in plain text", hint)}
}

// unknownKeys reports keys that a schema does not know, with what may have been meant.
func unknownKeys(n *document.Node, keys []string, meant func(key string) string) diag.List {
	var out diag.List
	for _, k := range keys {
		for _, m := range n.Members {
			if m.Key == k {
				out.Add(document.At(m.KeyPos, m.Value.Path, fmt.Sprintf("unknown key %q", k), meant(k)))
			}
		}
	}
	return out
}

// badNames reports keys that people choose and that have the wrong form.
func badNames(n *document.Node, keys []string) diag.List {
	hint := "letters, digits, underscores, hyphens and dots"
	switch {
	case strings.HasSuffix(n.Path, "lxc_configs"):
		hint = "a CTID, from 100 to 999999999"
	case n.Path == "storage":
		hint = "at least two characters: a lower-case letter, then letters, digits, - _ . and a letter or digit last"
	case strings.HasSuffix(n.Path, "files"):
		hint = "an absolute path"
	case n.Path == "nvidia.gpus":
		hint = cardNames
	case strings.HasSuffix(n.Path, "vars"):
		hint = "letters, digits and underscores, no digit first"
	}
	var out diag.List
	for _, m := range n.Members {
		if slices.Contains(keys, m.Key) {
			out.Add(document.At(m.KeyPos, m.Value.Path, fmt.Sprintf("%q cannot be a name here", m.Key), hint))
		}
	}
	return out
}
