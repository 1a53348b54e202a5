package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"phoenix/tasks"
)

func TestUnmarshalStrict(t *testing.T) {
	type spec struct {
		Name string `json:"name"`
	}
	for _, tc := range []struct {
		name, in string
		ok       bool
	}{
		{"known keys", ` {"name": "a"} `, true},
		{"an unknown key", `{"name": "a", "nmae": "b"}`, false},
		{"a second value", `{"name": "a"} {}`, false},
		{"a stray brace", `{"name": "a"}}`, false},
		{"another type", `{"name": 1}`, false},
		{"nothing", ``, false},
		{"half", `{"name": "a"`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tasks.UnmarshalStrict([]byte(tc.in), new(spec)); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDecode_refusesWhatItDoesNotKnow(t *testing.T) {
	r := tasks.NewRegistry(tasks.Kind{Name: "fake", New: func() tasks.Spec { return new(fake) }})
	for name, tc := range map[string]struct{ kind, spec, want string }{
		"an unknown kind": {"fkae", `{"do":"x"}`, `unknown kind "fkae"`},
		"an unknown key":  {"fake", `{"do":"x","dont":"y"}`, `unknown field "dont"`},
		"a fault":         {"fake", `{}`, "do: is missing (say what)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Decode(tasks.Step{ID: "s", Kind: tc.kind, Spec: json.RawMessage(tc.spec)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestNewRegistry_aKindTwiceIsAMistakeInTheProgram(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was accepted")
		}
	}()
	k := tasks.Kind{Name: "fake"}
	tasks.NewRegistry(k, k)
}

// witness remembers what reached it.
type witness struct {
	tasks.Host
	ran, wrote int
}

func (w *witness) Run(context.Context, tasks.Cmd) (tasks.Output, error) {
	w.ran++
	return tasks.Output{}, nil
}
func (w *witness) Write(context.Context, tasks.Edit) error { w.wrote++; return nil }
func (w *witness) ReadFile(string) ([]byte, error)         { return nil, fs.ErrNotExist }

func TestReadOnly_letsNothingThroughThatChanges(t *testing.T) {
	w := &witness{}
	h := tasks.ReadOnly(w)
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/x"}); !errors.Is(err, tasks.ErrReadOnly) || w.wrote > 0 {
		t.Errorf("a write: %v", err)
	}
	if _, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{"pct", "set"}}); !errors.Is(err, tasks.ErrReadOnly) || w.ran > 0 {
		t.Errorf("a program: %v", err)
	}
	if _, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{"cat"}, ReadOnly: true}); err != nil || w.ran != 1 {
		t.Errorf("a harmless program: %v", err)
	}
	if _, there, err := tasks.ReadIfExists(h, "/x"); there || err != nil {
		t.Errorf("a missing file: %v, %v", there, err)
	}
}

func TestFailed_keepsTheEndOfWhatWasSaid(t *testing.T) {
	c := tasks.Cmd{Argv: []string{"pct", "start", "900"}}
	for name, tc := range map[string]struct {
		out  tasks.Output
		want string
	}{
		"stderr":                     {tasks.Output{Code: 2, Stdout: []byte("o"), Stderr: []byte("e\n")}, "run pct start 900: exit status 2: e"},
		"stdout where stderr is mum": {tasks.Output{Code: 2, Stdout: []byte("o\n"), Stderr: []byte(" \n")}, "run pct start 900: exit status 2: o"},
		"nothing said":               {tasks.Output{Code: 2}, "run pct start 900: exit status 2"},
		"twenty lines at most":       {tasks.Output{Code: 1, Stderr: []byte(strings.Repeat("first\n", 30) + strings.Repeat("last\n", 20))}, "run pct start 900: exit status 1: " + strings.TrimSpace(strings.Repeat("last\n", 20))},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tasks.Failed(c, tc.out, nil); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	if err := tasks.Failed(c, tasks.Output{}, nil); err != nil {
		t.Error(err)
	}
	if err := tasks.Failed(c, tasks.Output{Code: 1}, fs.ErrNotExist); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestDiff(t *testing.T) {
	var d tasks.Diff
	d.Add("same", "1", "1", tasks.EffectLive)
	if d.Only(tasks.EffectLive) {
		t.Error("an empty diff is only live")
	}
	d.Add("memory_mb", "512", "1024", tasks.EffectLive)
	if len(d) != 1 || !d.Has("memory_mb") || d.Has("same") || !d.Only(tasks.EffectLive) {
		t.Errorf("%+v", d)
	}
	d.Add("cores", "1", "2", tasks.EffectRestart)
	if d.Only(tasks.EffectLive) || len(d.With(tasks.EffectRestart)) != 1 {
		t.Errorf("%+v", d)
	}
}

func TestEvent_isExactlyOneThing(t *testing.T) {
	for name, e := range map[string]tasks.Event{
		"nothing":    {Step: "s"},
		"two things": {Step: "s", Started: &tasks.Started{}, Result: &tasks.Result{}},
		"no step":    {Log: &tasks.Log{}},
	} {
		if e.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := (tasks.Event{Step: "s", Log: &tasks.Log{}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestJob_validate(t *testing.T) {
	for name, tc := range map[string]struct {
		job tasks.Job
		ok  bool
	}{
		"a run":          {tasks.Job{Mode: tasks.ModeRun}, true},
		"no mode":        {tasks.Job{}, false},
		"a mode of mine": {tasks.Job{Mode: "destroy"}, false},
		"a cycle":        {tasks.Job{Mode: tasks.ModeRun, Steps: []tasks.Step{step("a", "x", "a")}}, false},
	} {
		if err := tc.job.Validate(); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestScope_withoutOneNothingIsAllowed(t *testing.T) {
	ctx := t.Context()
	if c := tasks.ConsentOf(ctx); c.Restart || c.Reboot || c.DestroyAllowed(900) {
		t.Errorf("%+v", c)
	}
	if _, err := tasks.SecretValue(ctx, "x"); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("got %v", err)
	}
	tasks.Logf(ctx, "to nobody")
	ctx = tasks.WithScope(ctx, tasks.Scope{Consent: tasks.Consent{Destroy: []int{900}}, Secrets: map[string]string{"x": "v"}})
	if v, err := tasks.SecretValue(ctx, "x"); v != "v" || err != nil || !tasks.ConsentOf(ctx).DestroyAllowed(900) {
		t.Errorf("%q, %v", v, err)
	}
}

func TestLogLine(t *testing.T) {
	for in, want := range map[string]string{
		"text\r\n":                  "text",
		"10%\r20%\r30%":             "30%",
		"a\xffb":                    "ab",
		"hun\x1b[31;1mter2\x1b[0m":  "hunter2",
		"end\x1b[":                  "end",
		strings.Repeat("x", 10<<10): strings.Repeat("x", 8<<10),
	} {
		if got := tasks.LogLine([]byte(in)); got != want {
			t.Errorf("%.20q became %.20q", in, got)
		}
	}
	var got []string
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) { got = append(got, l.Stream+" "+l.Text) }})
	tasks.LogOutput(ctx, tasks.Output{Stdout: []byte("a\nb"), Stderr: []byte("c\n")})
	if s := strings.Join(got, ","); s != "stdout a,stdout b,stderr c" {
		t.Errorf("said %q", s)
	}
}
