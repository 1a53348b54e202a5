package kernel

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dropin"
)

const (
	grubFile = "/etc/default/grub"
	grubDir  = "/etc/default/grub.d"
	// ordinary holds the words of every entry but the recovery ones, always those of
	// all.
	ordinary = "GRUB_CMDLINE_LINUX_DEFAULT"
	always   = "GRUB_CMDLINE_LINUX"
)

// grubDefaults are GRUB's settings: shell files, read one after the other.
type grubDefaults struct{ files []dropin.File }

// grubLine is an assignment that can be read without a shell: one text, quoted or not.
var grubLine = regexp.MustCompile(`^(\s*(?:export\s+)?(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=)(?:"([^"\\` + "`" + `]*)"|'([^']*)'|([^\s"'#;\\$` + "`" + `]*))(\s*(?:#.*)?)$`)

// grubAny is a line that sets one of the variables in any way.
var grubAny = regexp.MustCompile(`^[^#]*\bGRUB_CMDLINE_LINUX(_DEFAULT)?\+?=`)

var grubReference = regexp.MustCompile(`\$(\w+|\{\w+\})`)

// readGrub reads the settings; nil without any.
func readGrub(h tasks.Host) (*grubDefaults, error) {
	data, there, err := tasks.ReadIfExists(h, grubFile)
	if err != nil || !there {
		return nil, err
	}
	files, err := dropin.Read(h, ".cfg", grubDir)
	if err != nil {
		return nil, err
	}
	return &grubDefaults{append([]dropin.File{{Path: grubFile, Data: data}}, files...)}, nil
}

// words are those of an ordinary entry, and the file that says the last of them.
func (g *grubDefaults) words() ([]string, string, error) {
	vars := make(map[string]string)
	last := grubFile
	for _, f := range g.files {
		n := 0
		for _, line := range tasks.Lines(string(f.Data)) {
			n++
			line = strings.TrimRight(line, "\r\n")
			if !grubAny.MatchString(line) {
				continue
			}
			m := grubLine.FindStringSubmatch(line)
			if m == nil {
				return nil, "", &tasks.UnknownError{Why: fmt.Sprintf("%s:%d sets the command line with more than one quoted text, which only a shell can read", f.Path, n)}
			}
			value, err := expand(m, vars)
			if err != nil {
				return nil, "", &tasks.UnknownError{Why: fmt.Sprintf("%s:%d: %v", f.Path, n, err)}
			}
			vars[m[2]], last = value, f.Path
		}
	}
	return strings.Fields(vars[always] + " " + vars[ordinary]), last, nil
}

// expand fills in the two variables, the only ones that a file can be sure of.
func expand(m []string, vars map[string]string) (string, error) {
	var unknown error
	value := grubReference.ReplaceAllStringFunc(m[3], func(ref string) string {
		name := strings.Trim(ref, "${}")
		if name != always && name != ordinary {
			unknown = fmt.Errorf("the command line is made of $%s, which only a shell can read", name)
		}
		return vars[name]
	})
	if strings.Contains(grubReference.ReplaceAllString(m[3], ""), "$") {
		unknown = fmt.Errorf("the command line is made of a command, which only a shell can run")
	}
	return value + m[4] + m[5], unknown
}

// edits takes words out of every file and adds the missing ones to the last assignment
// in /etc/default/grub, or, where a file after it begins anew, to that one's.
func (g *grubDefaults) edits(add []string, gone func(string) bool) ([]tasks.Edit, error) {
	before := make(map[string]string)
	for i, f := range g.files {
		before[f.Path] = string(f.Data)
		g.files[i].Data = rewrite(f.Data, func(_ int, _ string, words []string) []string { return changed(words, nil, gone) })
	}
	have, file, err := g.words()
	if err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(add), func(w string) bool { return slices.Contains(have, w) })
	if len(missing) > 0 {
		g.append(grubFile, missing)
		if have, _, err = g.words(); err != nil {
			return nil, err
		}
		if !contains(have, missing) {
			g.append(file, missing)
		}
	}
	var out []tasks.Edit
	for _, f := range g.files {
		if string(f.Data) != before[f.Path] {
			out = append(out, tasks.Edit{Verb: tasks.VerbPut, Path: f.Path, Data: f.Data})
		}
	}
	return out, nil
}

func contains(words, all []string) bool {
	return !slices.ContainsFunc(all, func(w string) bool { return !slices.Contains(words, w) })
}

// append adds words to the last assignment of the ordinary variable in a file, or adds
// an assignment.
func (g *grubDefaults) append(file string, words []string) {
	f := &g.files[slices.IndexFunc(g.files, func(f dropin.File) bool { return f.Path == file })]
	last := -1
	f.Data = rewrite(f.Data, func(n int, name string, have []string) []string {
		if name == ordinary {
			last = n
		}
		return have
	})
	if last < 0 {
		f.Data = []byte(started(f.Data, "") + ordinary + `="` + strings.Join(words, " ") + "\"\n")
		return
	}
	f.Data = rewrite(f.Data, func(n int, _ string, have []string) []string {
		if n == last {
			return changed(have, words, func(string) bool { return false })
		}
		return have
	})
}

// rewrite changes the words of each assignment, which it counts. A line whose words
// stay is left as it is, byte for byte, like every other line.
func rewrite(data []byte, change func(n int, name string, words []string) []string) []byte {
	var out strings.Builder
	n := 0
	for _, line := range tasks.Lines(string(data)) {
		bare := strings.TrimRight(line, "\r\n")
		m := grubLine.FindStringSubmatch(bare)
		if m == nil {
			out.WriteString(line)
			continue
		}
		have := strings.Fields(m[3] + m[4] + m[5])
		want := change(n, m[2], slices.Clone(have))
		n++
		if slices.Equal(have, want) {
			out.WriteString(line)
			continue
		}
		quote := `"`
		if strings.HasPrefix(bare[len(m[1]):], "'") {
			quote = "'"
		}
		out.WriteString(m[1] + quote + strings.Join(want, " ") + quote + m[6] + line[len(bare):])
	}
	return []byte(out.String())
}
