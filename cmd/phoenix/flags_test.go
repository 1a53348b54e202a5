package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// quiet is a program that shows nothing and has an environment of its own.
func quiet() *program {
	return &program{
		stdout: io.Discard, stderr: io.Discard,
		environ: func(string) string { return "" }, variables: func() []string { return nil },
	}
}

func TestEveryFlagHasAVariableAndAMeaningInHelp(t *testing.T) {
	var grammar cli
	parser, err := quiet().parser(&grammar)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		if n.Type == kong.CommandNode && (n.Help == "" || !strings.HasSuffix(n.Help, ".")) {
			t.Errorf("%s: its help is %q", n.FullPath(), n.Help)
		}
		for _, f := range n.Flags {
			if f.Name == "help" {
				continue
			}
			seen++
			want := "PHOENIX_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
			if f.Name == "output" && f.Enum != "" {
				want = "PHOENIX_LISTING_OUTPUT"
			}
			if len(f.Envs) != 1 || f.Envs[0] != want {
				t.Errorf("%s --%s: its variables are %q, want %s", n.FullPath(), f.Name, f.Envs, want)
			}
			if f.Help == "" {
				t.Errorf("%s --%s has no help", n.FullPath(), f.Name)
			}
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(parser.Model.Node)
	if seen < 60 {
		t.Errorf("only %d flags were seen", seen)
	}
}

func TestAVariableSetsItsFlag(t *testing.T) {
	t.Setenv("PHOENIX_FORKS", "7")
	t.Setenv("PHOENIX_DIAL_LIMIT", "5")
	t.Setenv("PHOENIX_ALLOW_DESTROY", "900,901")
	t.Setenv("PHOENIX_NO_RESTART", "true")
	var grammar cli
	parser, err := quiet().parser(&grammar)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"run", "--dial-limit", "6"}); err != nil {
		t.Fatal(err)
	}
	r := grammar.Run
	if r.Reach.Forks != 7 || r.Reach.DialLimit != 6 || len(r.AllowDestroy) != 2 || !r.NoRestart {
		t.Errorf("run is %+v", r)
	}
	d := quiet().dialer(&r.Reach, nil, nil)
	if d.MaxDials != 6 {
		t.Errorf("the dialer opens %d connections at once", d.MaxDials)
	}
}

func TestOnlyNearMissesOfAVariableAreToldOf(t *testing.T) {
	var out bytes.Buffer
	p := quiet()
	p.stderr = &out
	p.variables = func() []string {
		return []string{"PHOENIX_LIMIT=a", "PHOENIX_TIMOUT=1m", "PHOENIX_SAMBA_PASSWORD=x", "HOME=/root", "LIMT=b"}
	}
	var grammar cli
	parser, err := p.parser(&grammar)
	if err != nil {
		t.Fatal(err)
	}
	p.misspelled(parser.Model)
	if want := "phoenix: warning: PHOENIX_TIMOUT sets nothing; did you mean PHOENIX_TIMEOUT?\n"; out.String() != want {
		t.Errorf("it said %q, want %q", out.String(), want)
	}
}
