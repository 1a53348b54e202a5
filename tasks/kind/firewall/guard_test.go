package firewall_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guard"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/taskstest"
)

// applied makes what differs, with somebody who follows the run or nobody, and tells
// how long that took.
func applied(t *testing.T, text string, h tasks.Host, confirm func(tasks.Confirm)) (time.Duration, error) {
	t.Helper()
	s := new(firewall.Spec)
	if err := tasks.UnmarshalStrict([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Helper: "/var/lib/phoenix/agentlet", Confirm: confirm})
	d, err := s.Task().Check(ctx, h)
	if err != nil || len(d) == 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	begin := time.Now()
	err = s.Task().Apply(ctx, h, d)
	return time.Since(begin), err
}

const (
	shutOut     = `{"cluster":{"enabled":true,"policy_in":"DROP"},"keep_management_open":false,"confirm_timeout_s":20}`
	shutOutHost = `{"host":{"rules":[{"type":"in","action":"DROP"}]},"keep_management_open":false,"confirm_timeout_s":20}`
	isOn        = "[OPTIONS]\n\nenable: 1\n\n"
)

func TestFirewall_whatNobodyConfirmsIsTakenBack(t *testing.T) {
	for _, tc := range []struct {
		name, spec, path string
		files            map[string]string // as they are before
		readOnly         bool              // what is in effect shuts the cluster out
	}{
		{"one that goes on", shutOut, clusterFile, map[string]string{clusterFile: foreign}, false},
		{"one that is on", `{"cluster":{"policy_in":"DROP"},"confirm_timeout_s":20}`, clusterFile, map[string]string{clusterFile: isOn}, false},
		{"the host's, while that of the cluster is on", shutOutHost, hostFile, map[string]string{clusterFile: isOn, hostFile: "# mine\n"}, false},
		{"a file that was not there", shutOutHost, hostFile, map[string]string{clusterFile: isOn}, false},
		{"one that shuts the cluster out", shutOut, clusterFile, map[string]string{clusterFile: foreign}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := machine(t)
				for path, text := range tc.files {
					taskstest.Put(t, m, path, text)
				}
				before := content(m, tc.path)
				inEffect, now, shut := before, "", false
				m.Programs["pve-firewall"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
					switch c.Argv[1] {
					case "restart":
						inEffect = content(h, tc.path)
						shut = tc.readOnly && inEffect != before
					case "stop":
						shut = false
					}
					return pveFirewall(ctx, h, c)
				}
				rec := taskstest.NewRecorder(m)
				rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
					if shut && o.Edit != nil && strings.HasPrefix(o.Edit.Path, "/etc/pve/") {
						return &taskstest.Answer{Err: syscall.EACCES}
					}
					return nil
				}
				asked := 0
				took, err := applied(t, tc.spec, rec, func(tasks.Confirm) { asked++; now = content(m, tc.path) })
				if !errors.Is(err, guard.ErrTakenBack) || !strings.Contains(err.Error(), "the firewall is as it was before") || took < 20*time.Second || took > 25*time.Second {
					t.Errorf("after %s: %v", took, err)
				}
				if asked != 1 || now != before {
					t.Errorf("asked %d times to confirm, when the file had become\n%s", asked, now)
				}
				if got := content(m, tc.path); got != before || inEffect != before {
					t.Errorf("the file is\n%s\nand in effect is\n%s\nwant\n%s", got, inEffect, before)
				}
			})
		})
	}
}

// content is the text of a file, or that there is none.
func content(h tasks.Host, path string) string {
	data, err := h.ReadFile(path)
	if err != nil {
		return "none"
	}
	return string(data)
}

func TestFirewall_nothingIsChangedWhereNobodyCouldConfirm(t *testing.T) {
	m := machine(t)
	rec := taskstest.NewRecorder(m)
	if _, err := applied(t, shutOut, rec, nil); err == nil || !strings.Contains(err.Error(), "nobody follows the run") {
		t.Errorf("got %v", err)
	}
	if got := rec.Changes(); len(got) > 0 {
		t.Errorf("did %v", got)
	}
}

func TestFirewall_offNobodyIsAskedToConfirm(t *testing.T) {
	for name, spec := range map[string]string{
		"one that is off":    `{"host":{"rules":[{"type":"in","action":"DROP"}]}}`,
		"one that goes off":  `{"cluster":{"enabled":false,"policy_in":"DROP"}}`,
		"one that stays off": `{"cluster":{"policy_in":"DROP"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			rec := taskstest.NewRecorder(machine(t))
			if _, err := applied(t, spec, rec, func(tasks.Confirm) { t.Error("somebody is asked") }); err != nil {
				t.Error(err)
			}
			if got := rec.Commands(); slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "systemd-run") }) {
				t.Errorf("ran %q", got)
			}
		})
	}
}
