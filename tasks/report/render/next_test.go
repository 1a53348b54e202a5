package render

import (
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
)

func TestNext(t *testing.T) {
	hosts := func(statuses ...report.HostStatus) []report.Host {
		var out []report.Host
		for i, s := range statuses {
			out = append(out, report.Host{Name: "pve" + string(rune('1'+i)), Status: s})
		}
		return out
	}
	refused := hosts(report.HostDrifted, report.HostOK)
	refused[0].Steps = []report.Step{
		{Result: tasks.Result{Cause: tasks.CauseRefused, Why: (&tasks.RefusedError{What: "replacing container 950", Allow: []tasks.Allow{{Flag: tasks.AllowDestroy, Name: "950"}}}).Error()}},
		{Result: tasks.Result{Cause: tasks.CauseRefused, Why: (&tasks.RefusedError{What: "rebooting", Allow: []tasks.Allow{{Flag: tasks.AllowReboot}}}).Error()}},
		{Result: tasks.Result{Cause: tasks.CauseRefused, Why: (&tasks.RefusedError{What: "rebooting again", Allow: []tasks.Allow{{Flag: tasks.AllowReboot}}}).Error()}},
	}
	differing := func(d ...tasks.Diff) []report.Host {
		var out []report.Host
		for i, h := range hosts(report.HostDrifted, report.HostDrifted, report.HostOK)[:len(d)] {
			h.Steps = []report.Step{{Result: tasks.Result{Status: tasks.StatusWouldChange, Changes: d[i]}}}
			out = append(out, h)
		}
		return append(out, hosts(report.HostOK, report.HostOK, report.HostOK)[2])
	}
	failing := func(ids ...string) []report.Host {
		out := hosts(report.HostOK, report.HostFailed)
		for _, id := range ids {
			out[1].Steps = append(out[1].Steps, report.Step{ID: id, Result: tasks.Result{Status: tasks.StatusFailed}})
		}
		return out
	}
	live := tasks.Change{Path: "cores", Effect: tasks.EffectLive}
	replace := tasks.Change{Path: "storage_size_gb", Effect: tasks.EffectReplace,
		Note: (&tasks.RefusedError{Allow: []tasks.Allow{{Flag: tasks.AllowDestroy, Name: "950"}}, Instead: "set storage_size_gb to 8"}).Note()}
	protected := tasks.Change{Path: "unprivileged", Effect: tasks.EffectReplace, Note: (&tasks.RefusedError{Instead: "it is protected"}).Note()}
	restart := tasks.Change{Path: "timezone", Effect: tasks.EffectPending, Note: "written\n" + tasks.NoteNoRestart}
	pending := tasks.Change{Path: "timezone", Effect: tasks.EffectPending, Note: "written"}
	check := report.Report{Command: "check", Mode: tasks.ModeCheck}
	run := report.Report{Command: "run", Mode: tasks.ModeRun}
	dry := report.Report{Command: "run", Mode: tasks.ModeCheck, DryRun: true}
	dryInterrupted := report.Report{Command: "run", DryRun: true, Signal: "interrupt"}
	interrupted := report.Report{Command: "run", Signal: "interrupt"}
	for _, c := range []struct {
		name  string
		r     report.Report
		hosts []report.Host
		want  string
	}{
		{"nothing is left to do", run, hosts(report.HostOK, report.HostChanged), ""},
		{"a check found differences", check, hosts(report.HostDrifted, report.HostOK), "phoenix run -i 'my hosts.yaml' --limit 'pve*'"},
		{"a dry run found differences", dry, hosts(report.HostDrifted), "phoenix run -i 'my hosts.yaml' --limit 'pve*'"},
		{"a run would refuse all", check, differing(tasks.Diff{replace, replace}), ""},
		{"a run would refuse some", check, differing(tasks.Diff{replace}, tasks.Diff{live}), "phoenix run -i 'my hosts.yaml' --limit 'pve*'"},
		{"a run would refuse all, and no flag helps", dry, differing(tasks.Diff{protected}), ""},
		{"a restart that a run does not make", check, differing(tasks.Diff{restart}), ""},
		{"a restart that a run makes", check, differing(tasks.Diff{pending}), "phoenix run -i 'my hosts.yaml' --limit 'pve*'"},
		{"what only a reboot makes", check, differing(tasks.Diff{{Path: "running.cmdline.iommu=pt", To: "iommu=pt", Effect: tasks.EffectReboot}}), ""},
		{"one host failed", run, hosts(report.HostOK, report.HostFailed), "phoenix run -i 'my hosts.yaml' --limit pve2 -v"},
		{"a dry run failed", dry, hosts(report.HostOK, report.HostFailed), "phoenix run -i 'my hosts.yaml' --limit pve2 --dry-run -v"},
		{"all hosts failed", check, hosts(report.HostFailed, report.HostFailed), "phoenix check -i 'my hosts.yaml' --limit 'pve*' -v"},
		{"only the cards of one host failed", check, failing(gpus.StepID), "phoenix gpus -i 'my hosts.yaml' --limit pve2"},
		{"the cards and something else failed", check, failing(gpus.StepID, "lxc:900"), "phoenix check -i 'my hosts.yaml' --limit pve2 -v"},
		{"something else failed", check, failing("apt:packages"), "phoenix check -i 'my hosts.yaml' --limit pve2 -v"},
		{"what is left is for people", check, differing(tasks.Diff{{Path: "mig.0.mode", Effect: tasks.EffectPending, Note: tasks.NoteByHand + " stop container 900"}}), ""},
		{"two were unreachable", check, hosts(report.HostUnreachable, report.HostOK, report.HostUnreachable), "phoenix check -i 'my hosts.yaml' --limit pve1:pve3"},
		{"something was refused", run, refused, ""},
		{"the run was interrupted", interrupted, hosts(report.HostFailed), "phoenix check -i 'my hosts.yaml' --limit 'pve*'"},
		{"a dry run was interrupted", dryInterrupted, hosts(report.HostFailed), "phoenix run -i 'my hosts.yaml' --limit 'pve*' --dry-run"},
		{"what waits for a restart waits", run, hosts(report.HostDrifted), ""},
		{"another command has no next", report.Report{Command: "facts"}, hosts(report.HostFailed), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.Args, c.r.Limit, c.r.Hosts = []string{"-i", "my hosts.yaml"}, "pve*", c.hosts
			for _, h := range c.hosts {
				switch h.Status {
				case report.HostFailed:
					c.r.Totals.Hosts.Failed++
				case report.HostUnreachable:
					c.r.Totals.Hosts.Unreachable++
				case report.HostDrifted:
					c.r.Totals.Hosts.Drifted++
				}
			}
			if got := Next(c.r); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
