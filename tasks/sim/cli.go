package sim

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// cliVerb is one command of pvesm, pveam or pvesh, told as their schemas tell it.
type cliVerb struct {
	// usage is the line that ends every complaint: "pvesm path <volume>".
	usage string
	// fixed names the positional arguments; those in brackets may be left out.
	fixed   []string
	options []cliOption
	run     func(c *call, a cliArgs) int
}

// cliOption is an option of a verb. kind is "string", "boolean", "integer", "prompt"
// for one whose value may be left out and is then asked for, or "a|b|c" for one of a
// few words.
type cliOption struct{ name, kind string }

// cliArgs holds positional arguments and options by name.
type cliArgs map[string]string

// cliProgram is a program with verbs. code is what it usually exits with after a
// complaint: whatever errno Perl had left over.
type cliProgram struct {
	name  string
	code  int
	verbs []cliVerb
}

// run finds the verb, reads its arguments and runs it.
func (p cliProgram) run(c *call) int {
	if len(c.argv) < 2 {
		c.errorf("ERROR: no command specified\n")
		p.help(c.err)
		return 255
	}
	if c.argv[1] == "help" {
		p.help(c.out)
		return 0
	}
	prefix := p.name + " " + c.argv[1]
	i := slices.IndexFunc(p.verbs, func(v cliVerb) bool { return v.usage == prefix || strings.HasPrefix(v.usage, prefix+" ") })
	if i < 0 {
		c.errorf("ERROR: unknown command '%s'\n", prefix)
		p.help(c.err)
		return 255
	}
	v := p.verbs[i]
	args, problem := v.parse(c.argv[2:])
	if problem != "" {
		c.errorf("%s%s\n", problem, v.usage)
		return p.code
	}
	return v.run(c, args)
}

func (p cliProgram) help(w io.Writer) {
	fmt.Fprintf(w, "USAGE: %s <COMMAND> [ARGS] [OPTIONS]\n\n", p.name)
	for _, v := range p.verbs {
		fmt.Fprintf(w, "       %s\n", v.usage)
	}
	fmt.Fprintf(w, "\n       %s help [<extra-args>] [OPTIONS]\n", p.name)
}

// parse reads the arguments after the verb; the problem is the text before the
// usage line.
func (v cliVerb) parse(words []string) (args cliArgs, problem string) {
	args = cliArgs{}
	var rest []string
	for i := 0; i < len(words); i++ {
		word := words[i]
		if len(word) < 2 || word[0] != '-' {
			rest = append(rest, word)
			continue
		}
		name, value, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
		o, ok := v.option(name)
		if !ok {
			return nil, fmt.Sprintf("Unknown option: %s\n400 unable to parse option\n", name)
		}
		next := i+1 < len(words) && (o.kind != "boolean" && o.kind != "prompt" || !strings.HasPrefix(words[i+1], "-"))
		switch {
		case inline:
		case next:
			i++
			value = words[i]
		case o.kind == "boolean":
			value = "1"
		case o.kind == "prompt": // asked for on standard input
		default:
			return nil, fmt.Sprintf("Option %s requires an argument\n400 unable to parse option\n", o.name)
		}
		if o.kind == "boolean" {
			b, ok := boolean(value)
			if !ok {
				return nil, "400 unable to parse boolean option\n"
			}
			value = b
		}
		args[o.name] = value
	}
	if problem := v.place(rest, args); problem != "" {
		return nil, problem
	}
	return args, v.check(args)
}

// place gives the positional arguments their names.
func (v cliVerb) place(rest []string, args cliArgs) (problem string) {
	for i, name := range v.fixed {
		optional := strings.HasPrefix(name, "[")
		switch {
		case i < len(rest):
			args[strings.Trim(name, "[]")] = rest[i]
		case !optional:
			return "400 not enough arguments\n"
		}
	}
	if len(rest) > len(v.fixed) {
		return "400 too many arguments\n"
	}
	return ""
}

// check compares values with what their options allow.
func (v cliVerb) check(args cliArgs) (problem string) {
	var bad []string
	for _, o := range v.options {
		value, given := args[o.name]
		words := strings.Split(o.kind, "|")
		switch {
		case !given:
		case o.kind == "integer":
			if _, err := strconv.Atoi(value); err != nil {
				bad = append(bad, fmt.Sprintf("%s: type check ('integer') failed - got '%s'", o.name, value))
			}
		case len(words) > 1 && !slices.Contains(words, value):
			bad = append(bad, fmt.Sprintf("%s: value '%s' does not have a value in the enumeration '%s'", o.name, value, strings.Join(words, ", ")))
		}
	}
	return complaint(bad...)
}

// complaint is how Proxmox reports bad parameters, each as "option: reason".
func complaint(bad ...string) string {
	if len(bad) == 0 {
		return ""
	}
	slices.SortFunc(bad, cmp.Compare)
	return "400 Parameter verification failed.\n" + strings.Join(bad, "\n") + "\n"
}

// option finds an option by its name or an unambiguous beginning of it.
func (v cliVerb) option(name string) (cliOption, bool) {
	var found []cliOption
	for _, o := range v.options {
		if o.name == name {
			return o, true
		}
		if name != "" && strings.HasPrefix(o.name, name) {
			found = append(found, o)
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return cliOption{}, false
}

// boolean reads Proxmox's words for yes and no as "1" and "0".
func boolean(s string) (string, bool) {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return "1", true
	case "0", "off", "no", "false":
		return "0", true
	}
	return "", false
}
