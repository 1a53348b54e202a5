// Package interp hands scripts that operators wrote to an interpreter, on its standard
// input: no script is ever written to the machine or shown in its list of processes.
//
// The package starts nothing itself. Start reading at Script.
package interp

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

// maxScript keeps all scripts of a host well below the size of a job's message.
const maxScript = 256 << 10

// Default is the interpreter of a script that names none: Debian's dash.
func Default() []string { return []string{"/bin/sh", "-s"} }

// Script is a text and who runs it.
type Script struct {
	// Text of the script.
	Text string
	// Interpreter is a program that reads the script from its standard input, and its
	// arguments; none means Default.
	Interpreter []string
	// Env are variables, which must not be secret.
	Env map[string]string
}

// Cmd is the script as a program to start. What it runs gets an empty input.
func (s Script) Cmd() tasks.Cmd {
	argv := s.interpreter()
	c := tasks.Cmd{Argv: argv, Stdin: []byte(s.Text)}
	if shell(argv[0]) {
		c.Stdin = []byte(group(s.Text))
	}
	for _, name := range tasks.Keys(s.Env) {
		c.Env = append(c.Env, name+"="+s.Env[name])
	}
	return c
}

// group makes a shell read the whole script before it begins, and gives the programs in
// it an input of their own: one that reads its standard input would otherwise take the
// rest of the script, which would end early and well.
func group(text string) string { return "{ :; " + text + "\n} </dev/null\n" }

func (s Script) interpreter() []string {
	if len(s.Interpreter) == 0 {
		return Default()
	}
	return s.Interpreter
}

func shell(program string) bool {
	return slices.Contains([]string{"sh", "dash", "bash"}, path.Base(program))
}

// Problems are the faults of the text; at is its logical path in the spec.
func (s Script) Problems(at string) []tasks.Problem {
	add := func(summary, hint string) []tasks.Problem {
		return []tasks.Problem{{Path: at, Summary: summary, Hint: hint}}
	}
	switch {
	case strings.TrimSpace(s.Text) == "":
		return add("the script is empty", "")
	case strings.ContainsRune(s.Text, 0):
		return add("the script has a zero byte", "it must be text")
	case len(s.Text) > maxScript:
		return add(fmt.Sprintf("the script has %d bytes, more than %d", len(s.Text), maxScript), "put what is large into a file of the host")
	}
	argv := s.interpreter()
	if wants := shebang(s.Text); wants != "" && wants != path.Base(argv[0]) {
		return add(fmt.Sprintf("the script is for %s, and %s is to run it", wants, argv[0]), "name it: "+suggestion(wants))
	}
	return nil
}

// shebang is the program that the first line names, without its folder.
func shebang(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	line, ok := strings.CutPrefix(first, "#!")
	words := strings.Fields(line)
	if !ok || len(words) == 0 {
		return ""
	}
	if path.Base(words[0]) != "env" {
		return path.Base(words[0])
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") {
			return path.Base(w)
		}
	}
	return ""
}

func suggestion(program string) string {
	if shell(program) {
		return fmt.Sprintf(`"interpreter": [%q, "-s"]`, program)
	}
	return fmt.Sprintf(`"interpreter": [%q, "-"]`, program)
}

// CommonProblems are the faults of the interpreter and the variables.
func (s Script) CommonProblems() []tasks.Problem {
	var out tasks.Problems
	for i, word := range s.Interpreter {
		if word == "" || strings.ContainsRune(word, 0) {
			out.Add(fmt.Sprintf("interpreter.%d", i), "is empty or has a zero byte", `such as ["python3", "-"]`)
		}
	}
	if len(s.Interpreter) == 1 && shell(s.Interpreter[0]) {
		out.Add("interpreter", s.Interpreter[0]+" is not told to read the script", suggestion(s.Interpreter[0]))
	}
	for _, name := range tasks.Keys(s.Env) {
		if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) || strings.ContainsRune(s.Env[name], 0) {
			out.Add("env."+name, "is no variable", "letters, digits and underscores, no digit first; no zero byte in the value")
		}
	}
	return out
}
