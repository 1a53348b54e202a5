package sim

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// iface is one iface stanza, as ifupdown2 reads it.
type iface struct {
	name, family, method string
	auto                 bool
	options              [][2]string
}

// values are those of all options of that name.
func (i iface) values(key string) []string {
	var out []string
	for _, o := range i.options {
		if o[0] == key {
			out = append(out, o[1])
		}
	}
	return out
}

// interfaces reads files as ifupdown2 3.0 does: networkinterfaces.py.
type interfaces struct {
	m      *Machine
	auto   map[string]bool
	found  []iface
	faults []string
}

func (r *interfaces) fault(file string, line int, format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf("error: %s: line%d: %s", file, line, fmt.Sprintf(format, args...)))
}

// parse reads one file. A backslash, wherever it is, joins what is around it.
func (r *interfaces) parse(file, text string) {
	var joined []string
	for part := range strings.SplitSeq(text, `\`) {
		joined = append(joined, strings.TrimSpace(part))
	}
	inside := false
	for n, l := range strings.Split(strings.Join(joined, " "), "\n") {
		words := strings.Fields(l)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		key, _, _ := strings.Cut(words[0], "-")
		switch {
		case words[0] == "source":
			inside = false
			r.source(words[1:])
		case words[0] == "auto" || key == "allow":
			inside = false
			for _, name := range words[1:] {
				r.auto[name] = r.auto[name] || words[0] == "auto"
			}
		case words[0] == "iface" || words[0] == "vlan":
			inside = true
			r.iface(file, n+1, words[1:])
		case !inside:
			r.fault(file, n+1, "error processing line '%s'", strings.TrimSpace(l))
		case len(words) < 2:
			r.fault(file, n, "iface %s: invalid syntax '%s'", r.found[len(r.found)-1].name, words[0])
		default:
			i := &r.found[len(r.found)-1]
			value := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(l), words[0]))
			i.options = append(i.options, [2]string{strings.ReplaceAll(words[0], "_", "-"), strings.ReplaceAll(value, "$IFACE", i.name)})
		}
	}
}

func (r *interfaces) iface(file string, line int, words []string) {
	words = append(words, "", "", "")
	i := iface{name: words[0], family: words[1], method: words[2], auto: r.auto[words[0]] || r.auto["all"]}
	known := strings.Fields("static manual loopback dhcp dhcp6 ppp tunnel")
	switch {
	case i.family != "" && i.family != "inet" && i.family != "inet6":
		r.fault(file, line, "iface %s: unsupported address family '%s'", i.name, i.family)
	case i.method != "" && !slices.Contains(known, i.method):
		r.fault(file, line, "iface %s: unsupported address method '%s'", i.name, i.method)
	}
	r.found = append(r.found, i)
}

func (r *interfaces) source(words []string) {
	if len(words) == 0 || !filepath.IsAbs(words[0]) {
		return
	}
	names, err := filepath.Glob(r.m.path(words[0]))
	if err != nil {
		return
	}
	for _, full := range names {
		if data, err := os.ReadFile(full); err == nil && !strings.HasPrefix(filepath.Base(full), ".") {
			r.parse("/"+strings.TrimPrefix(strings.TrimPrefix(full, r.m.Root), "/"), string(data))
		}
	}
}

const mainInterfaces = "/etc/network/interfaces"

// interfaces reads the machine's own files, or what from has in place of them.
func (m *Machine) interfaces(from io.Reader) (*interfaces, error) {
	r := &interfaces{m: m, auto: map[string]bool{}}
	if from == nil {
		r.parse(mainInterfaces, m.text(mainInterfaces))
		return r, nil
	}
	data, err := io.ReadAll(io.LimitReader(from, maxOutput))
	r.parse("None", string(data))
	return r, err
}

// ifquery prints the interfaces that come up at boot. It exits with 0 whatever is
// wrong with the files.
func ifquery(c *call) int {
	var from io.Reader
	all := false
	for i := 1; i < len(c.argv); i++ {
		switch {
		case c.argv[i] == "-a" || c.argv[i] == "--all":
			all = true
		case c.argv[i] == "-i" && i+1 < len(c.argv) && c.argv[i+1] == "-":
			from = c.in
			i++
		case strings.HasPrefix(c.argv[i], "-"):
			c.errorf("usage: ifquery [-h] [-a] [-i INTERFACESFILE] [IFACE ...]\nifquery: error: unrecognized arguments: %s\n", c.argv[i])
			return 1
		default:
			c.errorf("error: main exception: cannot find interfaces: %s\n", c.argv[i])
			return 1
		}
	}
	if !all {
		c.errorf("error: '-a' option or interface list are required\n")
		return 1
	}
	r, err := c.m.interfaces(from)
	if err != nil {
		return c.died(err, 1)
	}
	for _, f := range r.faults {
		c.errorf("%s\n", f)
	}
	w := bufio.NewWriter(c.out)
	defer w.Flush()
	for _, i := range r.found {
		if !i.auto {
			continue
		}
		fmt.Fprintf(w, "auto %s\niface %s\n", i.name, strings.TrimSpace(i.name+" "+i.family+" "+i.method))
		for _, o := range i.options {
			fmt.Fprintf(w, "\t%s %s\n", o[0], o[1])
		}
		fmt.Fprintln(w)
	}
	return 0
}
