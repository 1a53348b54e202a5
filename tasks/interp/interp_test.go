package interp_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/interp"
)

// start runs a script with the real interpreter.
func start(t *testing.T, s interp.Script) (stdout string, code int) {
	t.Helper()
	c := s.Cmd()
	cmd := exec.CommandContext(t.Context(), c.Argv[0], c.Argv[1:]...)
	cmd.Stdin, cmd.Env = bytes.NewReader(c.Stdin), append(os.Environ(), c.Env...)
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestScripts_runWholeInRealShells(t *testing.T) {
	for name, tc := range map[string]struct {
		script interp.Script
		stdout string
		code   int
	}{
		"lines":                               {interp.Script{Text: "echo a\necho b\n"}, "a\nb\n", 0},
		"a program that reads its input":      {interp.Script{Text: "cat\necho after\n"}, "after\n", 0},
		"the same in bash":                    {interp.Script{Text: "cat\necho after\n", Interpreter: []string{"bash", "-s"}}, "after\n", 0},
		"an exit":                             {interp.Script{Text: "exit 3\necho never"}, "", 3},
		"the status of the last line":         {interp.Script{Text: "true\nfalse"}, "", 1},
		"a comment at the end":                {interp.Script{Text: "echo a # the end"}, "a\n", 0},
		"nothing but a comment":               {interp.Script{Text: "# later"}, "", 0},
		"a first line that names the program": {interp.Script{Text: "#!/bin/sh -e\necho a\n"}, "a\n", 0},
		"a here document":                     {interp.Script{Text: "cat <<E\nx\nE"}, "x\n", 0},
		"a mistake runs nothing before it":    {interp.Script{Text: "echo a\nif\n"}, "", 2},
		"a variable":                          {interp.Script{Text: `echo "$A"`, Env: map[string]string{"A": "b c"}}, "b c\n", 0},
		"perl":                                {interp.Script{Text: "print \"a\\n\";\nexit 4;\n", Interpreter: []string{"perl", "-"}}, "a\n", 4},
	} {
		t.Run(name, func(t *testing.T) {
			if out, code := start(t, tc.script); out != tc.stdout || code != tc.code {
				t.Errorf("printed %q, status %d; want %q, %d", out, code, tc.stdout, tc.code)
			}
		})
	}
}

func TestScripts_areNeverArguments(t *testing.T) {
	c := interp.Script{Text: "echo hidden", Env: map[string]string{"B": "2", "A": "1"}}.Cmd()
	if !slices.Equal(c.Argv, []string{"/bin/sh", "-s"}) || !slices.Equal(c.Env, []string{"A=1", "B=2"}) {
		t.Errorf("%+v", c)
	}
}

func TestProblems_areFound(t *testing.T) {
	for name, tc := range map[string]struct {
		script interp.Script
		hint   string
	}{
		"nothing":           {interp.Script{Text: " \n"}, ""},
		"a zero byte":       {interp.Script{Text: "a\x00"}, "text"},
		"too long":          {interp.Script{Text: strings.Repeat("x", 256<<10+1)}, "file"},
		"another program":   {interp.Script{Text: "#!/usr/bin/env -S python3 -u\nx"}, `"interpreter": ["python3", "-"]`},
		"another shell":     {interp.Script{Text: "#!/bin/bash\nx"}, `"interpreter": ["bash", "-s"]`},
		"sh where bash was": {interp.Script{Text: "#!/bin/sh\nx", Interpreter: []string{"bash", "-s"}}, `"interpreter": ["sh", "-s"]`},
	} {
		t.Run(name, func(t *testing.T) {
			p := tc.script.Problems("check")
			if len(p) != 1 || p[0].Path != "check" || !strings.Contains(p[0].Hint, tc.hint) {
				t.Errorf("%v, want one with the hint %s", p, tc.hint)
			}
		})
	}
	if p := (interp.Script{Text: "#!/usr/bin/python3\nx", Interpreter: []string{"/usr/bin/python3", "-"}}).Problems("check"); len(p) > 0 {
		t.Errorf("%v", p)
	}
}

func TestCommonProblems_areFound(t *testing.T) {
	s := interp.Script{Interpreter: []string{"python3", ""}, Env: map[string]string{"1A": "x", "OK": "a\nb", "Z": "\x00"}}
	var paths []string
	for _, p := range s.CommonProblems() {
		paths = append(paths, p.Path)
	}
	if want := []string{"interpreter.1", "env.1A", "env.Z"}; !slices.Equal(paths, want) {
		t.Errorf("problems at %q, want %q", paths, want)
	}
	if p := (interp.Script{Interpreter: []string{"/bin/bash"}}).CommonProblems(); len(p) != 1 {
		t.Errorf("a shell without -s: %v", p)
	}
}

func TestScripts_leaveNoFileBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	start(t, interp.Script{Text: "cat <<E >/dev/null\nx\nE\ntrue"})
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
