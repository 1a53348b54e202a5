package lxc_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

// comments are the lines of a description in the file.
func comments(t *testing.T, m *machine) string {
	t.Helper()
	head, _, _ := strings.Cut(m.conf(t), "\n[")
	var out []string
	for line := range strings.Lines(head) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			out = append(out, strings.ReplaceAll(text, "%3A", ":"))
		}
	}
	return strings.Join(out, "|")
}

func TestTheLineOfTheOriginIsWrittenOnceAndKept(t *testing.T) {
	m := newGuest(t, spec(`"description":"a\nb"`))
	for _, c := range []struct{ more, want string }{
		{`"description":"a\nb"`, "a|b|" + fromTemplate},
		{`"description":"other"`, "other|" + fromTemplate},
		{`"description":""`, fromTemplate},
		{`"tags":["x"]`, fromTemplate},
		{`"description":"again\n\n"`, "again|" + fromTemplate},
	} {
		if res := m.apply(t, spec(c.more), tasks.Consent{}); res.Status == tasks.StatusFailed {
			t.Fatalf("%s: %s", c.more, res.Why)
		}
		if got := comments(t, m); got != c.want {
			t.Errorf("with %s the description is %s, want %s", c.more, got, c.want)
		}
		wantStatus(t, m.check(t, spec(c.more)), tasks.StatusOK)
	}
}

func TestWhatPeopleMakeOfTheLineIsKeptAndIgnored(t *testing.T) {
	old := "#" + strings.ReplaceAll(fromTemplate, ":", "%3A") + "\n"
	for name, c := range map[string]struct{ fresh, kept string }{
		"taken out":          {"", ""},
		"text behind it":     {old, fromTemplate},
		"broken":             {"#<!-- phoenix%3A ctid=900 clo\n", "<!-- phoenix: ctid=900 clo"},
		"nonsense":           {"#<!-- phoenix%3A ctid=900 clone=x -->\n", "<!-- phoenix: ctid=900 clone=x -->"},
		"of another":         {"#<!-- phoenix%3A ctid=901 clone=700 -->\n", "<!-- phoenix: ctid=901 clone=700 -->"},
		"twice":              {old + old, fromTemplate + "|" + fromTemplate},
		"with blanks before": {"#  <!-- phoenix%3A x -->\n", "  <!-- phoenix: x -->"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(`"description":"a"`))
			m.hand(t, "#a\n"+old, c.fresh+"#a\n")
			before := m.conf(t)
			for _, more := range []string{`"description":"a"`, `"name":"web1"`, `"description":"a","clone_from_ctid":800`} {
				s := `{"ctid":900,` + more + `}`
				wantStatus(t, m.check(t, s), tasks.StatusOK)
			}
			if m.conf(t) != before {
				t.Errorf("changed to\n%s", m.conf(t))
			}
			wantStatus(t, m.apply(t, `{"ctid":900,"description":"b"}`, tasks.Consent{}), tasks.StatusChanged)
			if got := comments(t, m); got != strings.TrimSuffix("b|"+c.kept, "|") {
				t.Errorf("the description is %s, want b and then %s", got, c.kept)
			}
			wantStatus(t, m.check(t, `{"ctid":900,"description":"b"}`), tasks.StatusOK)
		})
	}
}

func TestACloneRecordsItsParentAndNotThatOfItsParent(t *testing.T) {
	m := newMachine(t, "8.4")
	wantStatus(t, m.apply(t, strings.Replace(spec(`"description":"the base","state":"stopped"`), "900", "800", 1), tasks.Consent{}), tasks.StatusChanged)
	s := `{"ctid":900,"clone_from_ctid":800,"state":"stopped"}`
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	if got := comments(t, m); got != "the base|<!-- phoenix: ctid=900 clone=800 -->" {
		t.Errorf("the description is %s", got)
	}
	m.sh(t, "pct clone 800 801 --full 1")
	m.sh(t, "pct clone 900 902 --full 1")
	for ctid, parent := range map[string]string{"900": "801", "902": "801"} {
		res := m.check(t, strings.NewReplacer("900", ctid, "800", parent).Replace(s))
		switch got := paths(res.Changes); ctid {
		case "900": // a parent that is recorded
			if !slices.Equal(got, []string{"clone_from_ctid"}) || res.Changes[0].From != "800" || res.Changes[0].Effect == tasks.EffectReplace ||
				!res.Changes[0].Held() || !strings.Contains(res.Changes[0].Note, "set clone_from_ctid to 800 or, where the line is wrong, take that out of the description") {
				t.Errorf("%+v", res.Changes)
			}
			before := m.conf(t)
			res = m.apply(t, strings.Replace(s, "800", "801", 1), tasks.Consent{Destroy: []int{900}})
			if res.Cause != tasks.CauseRefused || len(res.Allow) > 0 || m.conf(t) != before {
				t.Errorf("%+v", res)
			}
		default: // a clone by hand, with the line of the one it was made of
			if len(got) > 0 {
				t.Errorf("container %s: %+v", ctid, res.Changes)
			}
		}
	}
	wantStatus(t, m.check(t, `{"ctid":900,"template":"ubuntu-24.04-standard","state":"stopped"}`), tasks.StatusOK)
	wantStatus(t, m.apply(t, `{"ctid":903,"clone_from_ctid":900,"description":"own","state":"stopped"}`, tasks.Consent{}), tasks.StatusChanged)
	conf := taskstest.Get(t, m.sim.Host(), "/etc/pve/lxc/903.conf")
	if !strings.HasPrefix(conf, "#own\n#<!-- phoenix%3A ctid=903 clone=900 -->\n") || strings.Count(conf, "phoenix") != 1 {
		t.Errorf("configuration of 903\n%s", conf)
	}
}

func TestADescriptionThatFillsItsPlaceHasNoLine(t *testing.T) {
	m := newGuest(t, spec(`"description":"`+strings.Repeat("x", 8192)+`"`))
	if got := comments(t, m); strings.Contains(got, "phoenix") || len(got) != 8192 {
		t.Errorf("the description has %d bytes", len(got))
	}
}
