package parts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/parts"
	"phoenix/tasks/taskstest"
)

// part wants a file to have its name in it, and says what it does.
type part struct {
	name string
	said *[]string
	err  error
	// undoes is what making this part takes back of another.
	undoes *bool
	made   bool
}

func (p *part) Check(context.Context, tasks.Host) (tasks.Diff, error) {
	if p.made {
		return nil, nil
	}
	return tasks.Diff{{Path: "exists", To: p.name}}, nil
}

func (p *part) Apply(context.Context, tasks.Host, tasks.Diff) error {
	*p.said = append(*p.said, p.name)
	if p.err != nil {
		return p.err
	}
	p.made = true
	if p.undoes != nil {
		*p.undoes = false
	}
	return nil
}

func shown(d tasks.Diff) string {
	var out []string
	for _, c := range d {
		out = append(out, c.Path)
	}
	return strings.Join(out, ",")
}

func TestPartsAreMadeInTheirOrder(t *testing.T) {
	var said []string
	h := taskstest.NewTree(t, nil)
	a, b, c := &part{name: "a", said: &said, made: true}, &part{name: "b", said: &said}, &part{name: "c", said: &said, made: true}
	b.undoes = &c.made // which shows only when b is made
	all := parts.New(parts.Part{Name: "a", Task: a}, parts.Part{Name: "b", Task: b}, parts.Part{Task: c})
	d, err := all.Check(t.Context(), h)
	if err != nil || shown(d) != "b.exists" {
		t.Fatalf("%s, %v", shown(d), err)
	}
	if err := all.Apply(t.Context(), h, d); err != nil || fmt.Sprint(said) != "[b c]" {
		t.Errorf("made %v, %v", said, err)
	}
	if d, err := all.Check(t.Context(), h); err != nil || len(d) > 0 {
		t.Errorf("afterwards %s, %v", shown(d), err)
	}
}

func TestAPartThatFailsHoldsTheOthersUpAndOneThatIsRefusedDoesNot(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		made string
		want string
	}{
		"failed":  {errors.New("no"), "[a]", "a: no"},
		"refused": {&tasks.RefusedError{What: "changing a"}, "[a b]", "changing a"},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			h := taskstest.NewTree(t, nil)
			all := parts.New(parts.Part{Name: "a", Task: &part{name: "a", said: &said, err: tc.err}}, parts.Part{Name: "b", Task: &part{name: "b", said: &said}})
			d, err := all.Check(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			if err := all.Apply(t.Context(), h, d); err == nil || !strings.Contains(err.Error(), tc.want) || fmt.Sprint(said) != tc.made {
				t.Errorf("made %v, %v", said, err)
			}
		})
	}
}
