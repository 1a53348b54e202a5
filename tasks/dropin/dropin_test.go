package dropin_test

import (
	"strings"
	"testing"

	"phoenix/tasks/dropin"
	"phoenix/tasks/taskstest"
)

func TestRead_ordersByNameAndHidesByFolder(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{
		"/etc/x.d/20-b.conf":     "etc",
		"/usr/lib/x.d/20-b.conf": "hidden",
		"/usr/lib/x.d/10-a.conf": "a",
		"/usr/lib/x.d/30-c.conf": "masked",
		"/etc/x.d/30-c.conf":     "-> /dev/null",
		"/run/x.d/90-d.conf":     "d",
		"/etc/x.d/99-s.conf":     "-> ../x.conf",
		"/etc/x.conf":            "followed",
		"/etc/x.d/40-e.conf.bak": "another ending",
		"/etc/x.d/.50.conf":      "hidden by its dot",
		"/etc/x.d/60-f.conf":     "-> nowhere",
		"/etc/x.d/70-g.conf/":    "",
	})
	files, err := dropin.Read(h, ".conf", dropin.Folders("x.d")...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Path+"="+string(f.Data))
	}
	want := "/usr/lib/x.d/10-a.conf=a /etc/x.d/20-b.conf=etc /run/x.d/90-d.conf=d /etc/x.d/99-s.conf=followed"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestRead_missingFoldersAreEmpty(t *testing.T) {
	files, err := dropin.Read(taskstest.NewTree(t, nil), ".conf", dropin.Folders("x.d")...)
	if err != nil || len(files) != 0 {
		t.Errorf("got %v, %v", files, err)
	}
}
