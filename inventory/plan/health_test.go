package plan_test

import (
	"slices"
	"testing"

	"phoenix/inventory"
	"phoenix/inventory/plan"
	"phoenix/tasks/kind/guestfirewall"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/secret"
)

func TestWhatGoesOverTheNetworkIsAskedFromTheHost(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Containers: []inventory.Container{{Spec: lxc.Spec{CTID: 900}, HealthChecks: []inventory.HealthCheck{
		{Spec: health.Spec{Name: "web", HTTP: &health.HTTP{URL: "http://10.0.0.5/", Headers: map[string]secret.Text{"Authorization": {Ref: &secret.Ref{Name: "token"}}}}}},
		{Spec: health.Spec{Name: "db", TCP: &health.TCP{Address: "10.0.0.5:5432"}}},
	}}}}
	p, err := plan.Build(h, plan.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"health:900/web": `{"name":"web","http":{"url":"http://10.0.0.5/","headers":{"Authorization":{"secret":"token"}}}}`,
		"health:900/db":  `{"name":"db","tcp":{"address":"10.0.0.5:5432"}}`,
	}
	for _, s := range p.Steps[len(p.Steps)-2:] {
		if string(s.Spec) != want[s.ID] {
			t.Errorf("%s: %s, want %s", s.ID, s.Spec, want[s.ID])
		}
	}
	alone, err := plan.ContainerHealth(&h.Containers[0], "power:900")
	if err != nil || !slices.Equal(p.Secrets, []string{"token"}) || !slices.Equal(plan.Secrets(alone), p.Secrets) {
		t.Errorf("secrets %q and %q, %v", p.Secrets, plan.Secrets(alone), err)
	}
}

func TestAContainerIsAskedInsideAndLast(t *testing.T) {
	ask := []inventory.HealthCheck{
		{Spec: health.Spec{Name: "web", Command: health.Command{Argv: []string{"curl", "-f", "localhost"}}, Retries: 1, TimeoutS: 10, IntervalS: 2}},
		{Spec: health.Spec{Name: "db", Command: health.Command{Script: "pg_isready && true"}}},
	}
	h := &inventory.Host{Name: "pve1", Containers: []inventory.Container{
		{Spec: lxc.Spec{CTID: 900, Tags: []string{"Prod"}}, Firewall: &guestfirewall.Spec{CTID: 900}, HealthChecks: ask},
		{Spec: lxc.Spec{CTID: 901, State: lxc.StateStopped}, HealthChecks: ask},
		{Spec: lxc.Spec{CTID: 902}},
	}}
	p, err := plan.Build(h, plan.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range p.Steps {
		ids = append(ids, s.ID)
	}
	if want := []string{"health:900/web", "health:900/db"}; !slices.Equal(ids[len(ids)-2:], want) {
		t.Fatalf("%q", ids)
	}
	web, db := p.Steps[len(ids)-2], p.Steps[len(ids)-1]
	inside := `["lxc-attach","-n","900","--clear-env","--set-var","PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","--",`
	if want := `{"name":"web","command":` + inside + `"curl","-f","localhost"],"retries":1,"interval_s":2,"timeout_s":10}`; string(web.Spec) != want {
		t.Errorf("%s, want %s", web.Spec, want)
	}
	if want := `{"name":"db","command":` + inside + `"/bin/sh","-c","pg_isready \u0026\u0026 true"]}`; string(db.Spec) != want {
		t.Errorf("%s, want %s", db.Spec, want)
	}
	if !slices.Equal(web.Needs, []string{"lxc:900", "firewall:900"}) || web.TimeoutS != 82 {
		t.Errorf("%+v", web)
	}
	if !p.Steps[len(p.Steps)-1].Asks {
		t.Error("a container whose change was refused would not be asked")
	}
	for _, tag := range []string{"health_checks", "ct900", "prod", "lxc_configs", "health"} {
		if !slices.Contains(web.Tags, tag) {
			t.Errorf("tags %q lack %s", web.Tags, tag)
		}
	}
	steps, err := plan.ContainerHealth(&h.Containers[0], "power:900")
	if err != nil || len(steps) != 2 || steps[0].ID != web.ID || !slices.Equal(steps[0].Needs, []string{"power:900"}) || steps[0].TimeoutS != 82 {
		t.Errorf("%+v, %v", steps, err)
	}
}
