package inventory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"phoenix/inventory/document"
)

// pctOptionsHint is for who writes Proxmox's features where phoenix has its own.
const pctOptionsHint = `Proxmox's features are pct_options, such as {"nesting": true}`

// pctOption tells whether a text is as Proxmox writes its features: nesting,
// "nesting=1,keyctl=1".
func pctOption(text string) bool {
	return slices.ContainsFunc(strings.Split(text, ","), func(part string) bool {
		name, _, _ := strings.Cut(part, "=")
		return slices.Contains([]string{"nesting", "keyctl", "fuse", "mknod", "mount", "force_rw_sys"}, strings.TrimSpace(name))
	})
}

// ofFeatures is the path of a container's list of features, of an item of it, and of the
// parameters that the item has.
var ofFeatures = regexp.MustCompile(`^(?:lxc_configs\.[0-9]+|profiles\.[^.]+|defaults)\.features(\.[0-9]+(?:\.([^.]+))?)?$`)

// ofSeveralFeatures tells whether a value is in an item of features that has several keys,
// which is fault enough.
func ofSeveralFeatures(root *document.Node, path []string) bool {
	if len(path) == 0 {
		return false
	}
	item, _ := root.Find(path[:len(path)-1])
	at := ofFeatures.FindStringSubmatch(item.Path)
	return item.Kind == document.Object && len(item.Members) > 1 && at != nil && at[1] != "" && at[2] == ""
}

// insideInWords says how to write features and packages where the schema refuses them.
// hint is empty for anything else, summary where that of the schema will do.
func insideInWords(e *jsonschema.ValidationError, n *document.Node) (summary, hint string) {
	if at := ofFeatures.FindStringSubmatch(n.Path); at != nil {
		return featuresInWords(n, at[1] != "", at[2])
	}
	switch e.ErrorKind.(type) {
	case *kind.Type:
		if words := strings.FieldsFunc(n.Text, func(r rune) bool { return r == ' ' || r == ',' }); n.Kind == document.String && len(words) > 0 && strings.HasSuffix("."+n.Path, ".packages") {
			return "", "write [" + quoteList(words) + "]"
		}
	case *kind.Pattern:
		if !strings.Contains(n.Path, ".packages.") || n.Kind != document.String {
			return "", ""
		}
		hint = `lower-case letters, digits, + - . _; "-NAME" for one to remove`
		name, version, pinned := strings.Cut(n.Text, "=")
		switch words := strings.Fields(n.Text); {
		case pinned && version != "" && len(words) == 1:
			hint = fmt.Sprintf("write %q: the version is the one that the container's package sources have", strings.TrimRight(name, "=<>~"))
		case len(words) > 1:
			hint = "write each by itself: " + quoteList(words)
		}
		return shown(n) + " is no package name", hint
	}
	return "", ""
}

// featuresInWords says how a list of features is written. n is the list, an item, or the
// parameters of the named feature.
func featuresInWords(n *document.Node, item bool, name string) (summary, hint string) {
	switch {
	case pctOption(n.Text), pctOption(name), slices.ContainsFunc(n.Keys(), pctOption):
		return "", pctOptionsHint
	case name != "":
		return "", fmt.Sprintf(`parameters are written {%q: {"PARAMETER": …}}`, name)
	case item && len(n.Members) > 1:
		return fmt.Sprintf("has %d keys, and a feature with parameters is one: its name", len(n.Members)), `write {"NAME": {"PARAMETER": …}}`
	case item:
		return "", `write "NAME" or, with parameters of a feature of your own, {"NAME": {"PARAMETER": …}}`
	case n.Kind == document.String && n.Text != "":
		return "", "write [" + quoteList(strings.FieldsFunc(n.Text, func(r rune) bool { return r == ' ' || r == ',' })) + "]"
	}
	return "", `write a list of names; settings of phoenix's own features are in the section of their name`
}
