package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/docker"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/script"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// insides is a file of containers in which something is made.
const insides = `{
  "version": 1,
  "defaults": {"template": "debian-12-standard", "storage_pool": "local-lvm", "pct_options": {"nesting": true}},
  "lxc_configs": {
    "900": {"is_template": true, "features": ["base_setup"]},
    "901": {"clone_from_ctid": 900, "features": ["docker"], "packages": ["curl"], "files": {"/etc/motd": {"content": "x"}}, "application_script": {"apply": "true"},
      "health_checks": {"up": {"command": ["true"]}}},
    "902": {"template_snapshot_name": "base", "features": ["docker", "base_setup"], "depends_on": [901]},
    "903": {"state": "absent", "clone_from_ctid": 900},
    "904": {"clone_from_ctid": 902, "clone_from_snapshot": "base", "base_setup": {"timezone": "Etc/UTC"}, "features": ["base_setup"]},
  }
}`

// shown is a line for each step of the containers: its ID, what it needs, and where it is.
func shown(t *testing.T, sel Selection) string {
	t.Helper()
	p := build(t, newWhole(t, insides, sim.Options{Seed: 1}).host, sel)
	var b strings.Builder
	for _, s := range p.Steps {
		if s.ID == "containers:host" {
			continue
		}
		fmt.Fprintf(&b, "%s <- %s", s.ID, strings.Join(s.Needs, " "))
		if s.Inside != nil {
			fmt.Fprintf(&b, " in %d", s.Inside.CTID)
			if s.Inside.Receipt != "" {
				b.WriteString(", noted")
			}
			if !slices.Contains(s.Uses, fmt.Sprint("ct:", s.Inside.CTID)) {
				t.Errorf("%s does not use its container", s.ID)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestWhatIsMadeInsideComesBetweenAContainersTwoSteps(t *testing.T) {
	want := `lxc:900 <- 
lxc:901 <- lxc:900/finish
lxc:902 <- application_script:901
lxc:903 <- 
lxc:904 <- lxc:902/finish
base_setup:900 <- lxc:900 in 900, noted
lxc:900/finish <- lxc:900 base_setup:900
base_setup:901 <- lxc:901 in 901
docker:901 <- base_setup:901 in 901
packages:901 <- docker:901 in 901
file:901/etc/motd <- packages:901 in 901
application_script:901 <- file:901/etc/motd in 901
docker:902 <- lxc:902 in 902
base_setup:902 <- docker:902 in 902
lxc:902/finish <- lxc:902 docker:902 base_setup:902
docker:904 <- lxc:904 in 904
base_setup:904 <- docker:904 in 904
health:901/up <- lxc:901 base_setup:901 docker:901 packages:901 file:901/etc/motd application_script:901
`
	if got := shown(t, Selection{}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestAContainerIsNotFinishedWhenNotAllInsideIsChosen(t *testing.T) {
	for name, tc := range map[string]struct {
		sel  Selection
		want string
	}{
		"a family":    {Selection{Tags: []string{"lxc"}}, "lxc:900 <- \nlxc:901 <- \nlxc:902 <- \nlxc:903 <- \nlxc:904 <- \n"},
		"a feature":   {Selection{Tags: []string{"docker"}, OnlyCT: []int{902}}, "docker:902 <-  in 902\n"},
		"a container": {Selection{OnlyCT: []int{902}}, "lxc:902 <- \ndocker:902 <- lxc:902 in 902\nbase_setup:902 <- docker:902 in 902\nlxc:902/finish <- lxc:902 docker:902 base_setup:902\n"},
		"all but one": {Selection{OnlyCT: []int{902}, SkipTags: []string{"base_setup"}}, "lxc:902 <- \ndocker:902 <- lxc:902 in 902\n"},
	} {
		if got := shown(t, tc.sel); got != tc.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, tc.want)
		}
	}
}

func TestWhatIsMadeInsideConvergesAndIsLookedAtInEachClone(t *testing.T) {
	text, _, _ := strings.Cut(insides, `,
      "health_checks"`)
	_, rest, _ := strings.Cut(insides, `"up": {"command": ["true"]}}`)
	w := newWhole(t, text+rest, sim.Options{Seed: 1})
	h := w.sim.Host()
	w.job(t, h, tasks.ModeRun)
	w.converged(t)
	taskstest.Put(t, h, "/var/lib/lxc/901/rootfs/etc/motd", "by hand")
	taskstest.Put(t, h, "/var/lib/lxc/904/rootfs/etc/docker/daemon.json", "{}")
	got := w.job(t, h, tasks.ModeCheck)
	if want := []string{"docker:904 log_options.max-file", "docker:904 log_options.max-size", "file:901/etc/motd content"}; !slices.Equal(got, want) {
		t.Errorf("changed by hand: %q, want %q", got, want)
	}
	w.job(t, h, tasks.ModeRun)
	w.converged(t)
}

// An own feature is chosen by its bare name, as phoenix's are.
func TestAnOwnFeatureHasItsNameAsATag(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Containers: []inventory.Container{{
		Spec:   lxc.Spec{CTID: 900, Template: "t"},
		Inside: []inventory.Inside{{Name: "docker", Feature: true, Kind: "docker", Spec: new(docker.Spec)}, {Name: "feature/greeting", Feature: true, Kind: script.Name, Spec: new(script.Spec)}},
	}}}
	for tag, want := range map[string]string{"greeting": "feature:900/greeting", "feature/greeting": "feature:900/greeting", "docker": "docker:900"} {
		if got := ids(build(t, h, Selection{Tags: []string{tag}})); got != want {
			t.Errorf("%s: got %q, want %q", tag, got, want)
		}
	}
}
