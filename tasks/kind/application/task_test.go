package application_test

import (
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/application"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

func guest(t *testing.T) taskstest.Machine {
	t.Helper()
	m, err := sim.NewGuest(t.TempDir(), "debian-12-standard_12.7-1_amd64.tar.zst", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return taskstest.Machine{Host: m.Host()}
}

func TestApplicationScript_conforms(t *testing.T) {
	taskstest.Suite{
		Kind: application.Kind(), New: guest,
		Spec: `{"apply":"echo $WORD > /etc/application","env":{"WORD":"made"}}`,
		Drifts: []taskstest.Drift{{
			Name: "the note is lost", Paths: []string{"apply"},
			Make: func(t *testing.T, h tasks.Host) {
				taskstest.Put(t, h, "/var/lib/phoenix/proof-application_script.json", "{")
			},
		}},
		// A script that fails in silence cannot be told from one that worked.
		Tolerates: []string{"/bin/sh -s: it claims success and does nothing"},
	}.Run(t)
}

func TestAScriptIsRunAgainWhenItIsAnother(t *testing.T) {
	h := guest(t).Host
	for i, tc := range []struct {
		spec string
		want tasks.Status
	}{
		{`{"apply":"echo x >> /etc/runs"}`, tasks.StatusChanged},
		{`{"apply":"echo x >> /etc/runs"}`, tasks.StatusOK},
		{`{"apply":"echo y >> /etc/runs"}`, tasks.StatusChanged},
		{`{"apply":"echo y >> /etc/runs","env":{"A":"1"}}`, tasks.StatusChanged},
		{`{"apply":"exit 3","env":{"A":"1"}}`, tasks.StatusFailed},
		{`{"apply":"echo y >> /etc/runs","env":{"A":"1"}}`, tasks.StatusOK},
		{`{"check":"grep -q z /etc/runs","apply":"echo z >> /etc/runs"}`, tasks.StatusChanged},
		{`{"check":"grep -q z /etc/runs","apply":"echo z >> /etc/runs"}`, tasks.StatusOK},
	} {
		if res := taskstest.Run(t, application.Kind(), tc.spec, h); res.Status != tc.want {
			t.Errorf("%d: %+v, want %s", i, res, tc.want)
		}
	}
	if data, err := h.ReadFile("/etc/runs"); err != nil || string(data) != "x\ny\ny\nz\n" {
		t.Errorf("the script was run so: %q, %v", data, err)
	}
}
