package main

import (
	"bufio"
	"context"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/reboot"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/zpool"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

const spareDisk = "/dev/disk/by-id/ata-SPARE"

// hostOf has a container 900, one that needs it, a pool on a spare disk, and a reboot.
func hostOf(name, cluster string) assignment {
	return assignment{
		host: &inventory.Host{
			Name: name, Cluster: cluster,
			Containers: []inventory.Container{{Spec: lxc.Spec{CTID: 900, Name: "web-" + name}}, {Spec: lxc.Spec{CTID: 901, Name: "app"}}},
			Hypervisor: &inventory.Hypervisor{Pools: []zpool.Spec{{Name: "tank", Disks: []string{spareDisk}}}},
		},
		steps: []tasks.Step{
			{ID: "file:/etc/motd", Kind: "file"},
			{ID: "zpool:tank", Kind: zpool.Name},
			{ID: "storage:tank", Kind: storage.Name, Needs: []string{"zpool:tank"}, Leader: "pve0"},
			{ID: "reboot:host", Kind: reboot.Name},
			{ID: "lxc:900", Kind: lxc.Name, Needs: []string{"file:/etc/motd"}},
			{ID: "lxc:901", Kind: lxc.Name, Needs: []string{"lxc:900"}},
		},
	}
}

// ask is a run on a terminal whose hosts have ended, each with the same results.
func ask(t *testing.T, p *program, work []assignment, steps map[string]tasks.Result) *asking {
	t.Helper()
	rec := &recording{
		p: p, g: &cli{}, display: term.Open(term.Options{Out: p.stderr, Verbosity: term.Quiet}),
		stream: report.NewStream(report.StreamOptions{RunID: "r"}), intr: newInterrupts(t.Context(), func(string) {}),
	}
	p.environ = func(string) string { return "" }
	t.Cleanup(rec.display.Close)
	t.Cleanup(rec.intr.release)
	rec.stream.Emit(report.Event{RunStarted: &report.RunStarted{Command: "run"}})
	for _, w := range work {
		rec.stream.Emit(report.Event{Host: w.host.Name, HostStarted: &report.HostStarted{}})
		for id, r := range steps {
			rec.stream.Emit(report.Event{Host: w.host.Name, Step: &tasks.Event{Step: id, Result: &r}})
		}
		rec.stream.Emit(report.Event{Host: w.host.Name, HostDone: &report.HostDone{}})
	}
	return &asking{rec: rec, work: work, asked: map[string]bool{}}
}

func lacking(flag, name, loss string) tasks.Result {
	return tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CauseRefused, Why: "refused", Allow: []tasks.Allow{{Flag: flag, Name: name, Loss: loss}}}
}

// typing answers the questions in their order and returns what the terminal showed. An
// answer of "^C" presses that in place of typing.
func typing(control *os.File, press func(), answers ...string) <-chan string {
	shown := make(chan string, 1)
	go func() {
		r := bufio.NewReader(control)
		var screen strings.Builder
		for asked := 0; ; {
			b, err := r.ReadByte()
			if err != nil {
				break
			}
			screen.WriteByte(b)
			if n := strings.Count(screen.String(), "leave it: "); n > asked && n <= len(answers) {
				asked = n
				if answers[n-1] == "^C" {
					press()
				} else {
					_, _ = control.WriteString(answers[n-1])
				}
			}
			if asked == len(answers) && b == '\n' {
				break
			}
		}
		shown <- screen.String()
	}()
	return shown
}

func ids(steps []tasks.Step) string {
	var out []string
	for _, s := range steps {
		out = append(out, s.ID)
	}
	return strings.Join(out, " ")
}

func TestConsentForAContainerIsOneHostsAlone(t *testing.T) {
	p, control := terminal(t)
	work := []assignment{hostOf("pve1", "a"), hostOf("pve2", "b")}
	a := ask(t, p, work, map[string]tasks.Result{"lxc:900": lacking(tasks.AllowDestroy, "900", "container 900 is destroyed\nmemory")})
	screen := typing(control, nil, "web-pve2\n", "web-pve2\n") // the first is another host's
	more := a.more()
	if len(more) != 1 || more[0].host.Name != "pve2" || !slices.Equal(more[0].agreed.Destroy, []int{900}) || more[0].agreed.Reboot {
		t.Fatalf("goes on with %+v", more)
	}
	if got := ids(more[0].steps); got != "lxc:900 lxc:901" || len(more[0].steps[0].Needs) != 0 || len(more[0].steps[1].Needs) != 1 {
		t.Errorf("the steps that go on are %s: %+v", got, more[0].steps)
	}
	shown := <-screen
	for _, text := range []string{"2 things were left undone", "pve1: container 900 is destroyed\r\n  memory\r\nType web-pve1 to go on", "pve2: container 900"} {
		if !strings.Contains(shown, text) {
			t.Errorf("the terminal does not show %q:\n%s", text, shown)
		}
	}
	if notes := a.rec.stream.Report().Hosts[1].Notes; len(notes) != 1 || !strings.Contains(notes[0].Text, "agreed to --allow-destroy 900") {
		t.Errorf("the record says %+v", notes)
	}
	if len(work[0].agreed.Destroy)+len(work[1].agreed.Destroy) != 0 {
		t.Error("the consent outlives its turn")
	}
	if more := a.more(); len(more) != 0 {
		t.Errorf("the second time it goes on with %+v", more)
	}
}

func TestOnlyWhatIsTypedRightGoesOn(t *testing.T) {
	steps := map[string]tasks.Result{"zpool:tank": lacking(tasks.AllowWipe, spareDisk, "a disk is wiped")}
	for name, tc := range map[string]struct{ answer, goesOn string }{
		"the disk's path":       {spareDisk + "\n", "zpool:tank storage:tank"},
		"the pool's name":       {"tank\n", ""},
		"a part of the path":    {"ata-SPARE\n", ""},
		"yes":                   {"yes\n", ""},
		"just Enter":            {"\n", ""},
		"the end of the input":  {"\x04", ""},
		"a path in other cases": {strings.ToLower(spareDisk) + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, control := terminal(t)
			a := ask(t, p, []assignment{hostOf("pve1", "a")}, steps)
			typing(control, nil, tc.answer)
			more := a.more()
			got := ""
			if len(more) > 0 {
				got = ids(more[0].steps)
				if !slices.Equal(more[0].agreed.Wipe, []string{spareDisk}) || len(more[0].agreed.Destroy) > 0 || more[0].agreed.Reboot {
					t.Errorf("agreed to %+v", more[0].agreed)
				}
				if more[0].steps[1].Leader != "" {
					t.Error("it waits for a host that makes nothing more")
				}
			}
			if got != tc.goesOn {
				t.Errorf("%q lets %q go on", tc.answer, got)
			}
		})
	}
}

// interrupt is what Ctrl-C makes the terminal send.
func interrupt() { _ = syscall.Kill(os.Getpid(), syscall.SIGINT) }

func TestACtrlCTakesBackTheAnswersBeforeIt(t *testing.T) {
	p, control := terminal(t)
	a := ask(t, p, []assignment{hostOf("pve1", "a"), hostOf("pve2", "b")}, map[string]tasks.Result{"lxc:900": lacking(tasks.AllowDestroy, "900", "gone")})
	shown := typing(control, interrupt, "web-pve1\n", "^C")
	if more := a.more(); len(more) != 0 {
		t.Errorf("goes on with %+v", more)
	}
	if screen := <-shown; !strings.Contains(screen, "pve2: gone") {
		t.Errorf("the terminal shows %q", screen)
	}
	if s := a.rec.intr.signal(); s != "" || a.rec.intr.Stop.Err() != nil {
		t.Errorf("the run ends by %q", s)
	}
}

func TestTheEndOfTheRunEndsTheQuestion(t *testing.T) {
	p, control := terminal(t)
	a := ask(t, p, []assignment{hostOf("pve1", "a")}, map[string]tasks.Result{"lxc:900": lacking(tasks.AllowDestroy, "900", "gone")})
	typing(control, func() { a.rec.intr.press("", 2) }, "^C") // as --timeout does
	if more := a.more(); len(more) != 0 {
		t.Errorf("goes on with %+v", more)
	}
}

func TestNothingIsAskedThatIsNotToBeAsked(t *testing.T) {
	destroy := map[string]tasks.Result{"lxc:900": lacking(tasks.AllowDestroy, "900", "gone")}
	for name, tc := range map[string]struct {
		steps map[string]tasks.Result
		spoil func(*asking)
	}{
		"without a terminal for the answer":   {destroy, func(a *asking) { a.rec.p.stdinTTY = false }},
		"without a terminal for the question": {destroy, func(a *asking) { a.rec.p.stderrTTY = false }},
		"of a host that was lost": {destroy, func(a *asking) {
			a.rec.stream.Emit(report.Event{Host: "pve1", HostDone: &report.HostDone{Error: &report.Error{Class: report.ClassLost}}})
		}},
		"of a container that another step is about":  {map[string]tasks.Result{"lxc:901": lacking(tasks.AllowDestroy, "900", "x")}, nil},
		"of a container that is not its own":         {map[string]tasks.Result{"lxc:999": lacking(tasks.AllowDestroy, "999", "x")}, nil},
		"of a disk that its configuration lacks":     {map[string]tasks.Result{"zpool:tank": lacking(tasks.AllowWipe, "/dev/disk/by-id/ata-ROOT", "x")}, nil},
		"of a rollback, which no run makes":          {map[string]tasks.Result{"lxc:900": lacking(tasks.AllowRollback, "900", "x")}, nil},
		"of a refusal that no consent takes back":    {map[string]tasks.Result{"lxc:900": {Status: tasks.StatusSkipped, Cause: tasks.CauseRefused}}, nil},
		"of what a flag agreed to, which lacks none": {map[string]tasks.Result{"lxc:900": {Status: tasks.StatusChanged}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := terminal(t)
			a := ask(t, p, []assignment{hostOf("pve1", "a")}, tc.steps)
			if tc.spoil != nil {
				tc.spoil(a)
			}
			a.rec.intr.press("", 1) // a question would end at once, and be noted
			if more := a.more(); len(more) != 0 || len(a.asked) != 0 {
				t.Errorf("asked %v, goes on with %+v", a.asked, more)
			}
		})
	}
}

func TestAfterARebootAllBehindItIsLookedAtAgain(t *testing.T) {
	steps := []tasks.Step{
		{ID: "file:/etc/motd"}, {ID: "kernel:settings", Needs: []string{"file:/etc/motd"}}, {ID: "lxc:902"},
		{ID: "reboot:host", Kind: reboot.Name, Needs: []string{"kernel:settings"}}, {ID: "lxc:900"}, {ID: "lxc:901"},
	}
	waiting := report.Step{ID: "kernel:settings", Result: tasks.Result{Remaining: tasks.Diff{{Path: "running", Effect: tasks.EffectReboot}}}}
	for name, tc := range map[string]struct {
		lacked  string
		reboots bool
		want    string
	}{
		"a reboot":                      {"reboot:host", true, "kernel:settings reboot:host lxc:900 lxc:901"},
		"no reboot, a container behind": {"lxc:900", false, "lxc:900"},
		"no reboot, a container before": {"lxc:902", false, "lxc:902"},
	} {
		if got := ids(rest(steps, []report.Step{waiting}, map[string]bool{tc.lacked: true}, tc.reboots)); got != tc.want {
			t.Errorf("%s: %s go on, want %s", name, got, tc.want)
		}
	}
}

func TestASignalBesideAQuestionIsTheRunsAgainAfterwards(t *testing.T) {
	i := watchSignals(t.Context(), func(string) {})
	defer i.release()
	i.aside(func(ctx context.Context) {
		interrupt()
		<-ctx.Done()
	})
	if s := i.signal(); s != "" || i.Stop.Err() != nil {
		t.Fatalf("the question's Ctrl-C ended the run: %q", s)
	}
	interrupt()
	<-i.Stop.Done()
	if s := i.signal(); s != "interrupt" {
		t.Errorf("then the run ends by %q", s)
	}
}
