package systemd_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/systemd"
	"phoenix/tasks/taskstest"
)

func TestShow_readsSystemdsOwnWords(t *testing.T) {
	tr := taskstest.NewTree(t, nil)
	for _, tc := range []struct {
		name, said string
		want       systemd.Unit
		err        string
	}{
		{"a unit", "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=yes\n",
			systemd.Unit{Name: "a.timer", Load: "loaded", Active: "active", File: "enabled", NeedReload: true}, ""},
		{"the order does not matter", "UnitFileState=\nActiveState=inactive\nLoadState=not-found\n",
			systemd.Unit{Name: "a.timer", Load: "not-found", Active: "inactive"}, ""},
		{"something else", "Hello\n", systemd.Unit{}, "no LoadState and ActiveState"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr.Programs["systemctl"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
				return tasks.Output{Stdout: []byte(tc.said)}
			}
			got, err := systemd.Show(t.Context(), tasks.ReadOnly(tr), "a.timer")
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestSet_readsChangedUnitFilesInFirst(t *testing.T) {
	tr := taskstest.NewTree(t, map[string]string{taskstest.UnitFile("a.service"): taskstest.Unit("loaded", "inactive", "disabled")})
	tr.Programs["systemctl"] = taskstest.Systemctl()
	rec := taskstest.NewRecorder(tr)
	on := true
	if err := systemd.Set(t.Context(), rec, systemd.Unit{Name: "a.service", NeedReload: true}, &on, &on); err != nil {
		t.Fatal(err)
	}
	want := []string{"systemctl daemon-reload", "systemctl enable a.service", "systemctl start a.service"}
	if got := rec.Commands(); !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestSet_aUnitThatDoesNotStartSaysWhy(t *testing.T) {
	tr := taskstest.NewTree(t, nil)
	tr.Programs["systemctl"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Code: 1, Stderr: []byte("Job for a.service failed.\n")}
	}
	tr.Programs["journalctl"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte("a: bad option in line 3\n")}
	}
	var said []string
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) { said = append(said, l.Text) }})
	on := true
	err := systemd.Set(ctx, tr, systemd.Unit{Name: "a.service"}, nil, &on)
	if err == nil || !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "bad option in line 3") }) {
		t.Errorf("got %v, said %q", err, said)
	}
}

func TestFullName(t *testing.T) {
	for in, want := range map[string]string{"chrony": "chrony.service", "a.timer": "a.timer", "getty@tty1": "getty@tty1.service", "x.y": "x.y.service"} {
		if got := systemd.FullName(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

func TestVerb_readsChangedUnitsFirstAndSaysWhyItFailed(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	var ran []string
	reload, code := "yes", 0
	h.Programs["systemctl"] = func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output {
		ran = append(ran, c.Argv[1])
		if c.Argv[1] == "show" {
			return tasks.Output{Stdout: []byte("LoadState=loaded\nActiveState=failed\nUnitFileState=enabled\nNeedDaemonReload=" + reload + "\n")}
		}
		if c.Argv[1] == "restart" {
			return tasks.Output{Code: code, Stderr: []byte("Job failed.\n")}
		}
		return tasks.Output{}
	}
	h.Programs["journalctl"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte("no such option: --nope\n")}
	}
	if err := systemd.Verb(t.Context(), h, "restart", "docker"); err != nil || strings.Join(ran, " ") != "show daemon-reload restart" {
		t.Errorf("%v, ran %v", err, ran)
	}
	ran, reload, code = nil, "no", 1
	err := systemd.Verb(t.Context(), h, "restart", "docker")
	if err == nil || !strings.Contains(err.Error(), "Job failed.") || !strings.HasSuffix(err.Error(), "its journal ends with: no such option: --nope") || strings.Join(ran, " ") != "show restart" {
		t.Errorf("%v, ran %v", err, ran)
	}
}
