package sim

import (
	"os"
	"testing"

	"phoenix/tasks"
)

func TestOwnersThatCannotBeGivenAreRemembered(t *testing.T) {
	m := accounts(t)
	ann := tasks.Owner{UID: 1500, GID: 1000}
	if err := m.remember("/srv/a", &ann); err != nil {
		t.Fatal(err)
	}
	if got := m.owners()["/srv/a"]; got != ann {
		t.Errorf("remembered %+v, want %+v", got, ann)
	}
	if err := m.remember("/srv/a", nil); err != nil || len(m.owners()) != 0 {
		t.Errorf("forgotten: %v, %v", m.owners(), err)
	}
}

func TestWhatIsWrittenForSomebodyIsShownAsTheirs(t *testing.T) {
	m := accounts(t)
	h := m.Host()
	ann := &tasks.Owner{UID: 1500, GID: 1000}
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/srv/a", Data: []byte("x"), Owner: ann}); err != nil {
		t.Fatal(err)
	}
	if err := m.giveAll("/srv", 1500, 1501); err != nil {
		t.Fatal(err)
	}
	if fi, err := h.Stat("/srv/a"); err != nil || fi.UID != 1501 || fi.GID != 1000 {
		t.Errorf("%+v, %v", fi, err)
	}
	if fi, err := h.Stat("/srv"); err != nil || fi.UID != 0 {
		t.Errorf("the folder is not theirs: %+v, %v", fi, err)
	}
}

func TestBehindIsWhereALinkLeads(t *testing.T) {
	m := accounts(t)
	for link, target := range map[string]string{"/srv/one": "two", "/srv/two": "/etc/motd", "/srv/round": "round"} {
		if err := os.Symlink(target, m.path(link)); err != nil {
			t.Fatal(err)
		}
	}
	for p, want := range map[string]string{"/srv/one": "/etc/motd", "/srv/none": "/srv/none", "/etc/motd": "/etc/motd", "/srv/round": "/srv/round"} {
		if got := m.behind(p); got != want {
			t.Errorf("behind %s is %s, want %s", p, got, want)
		}
	}
}
