package guest_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/taskstest"
)

func TestGroups(t *testing.T) {
	said, code := "root:x:0:\nvideo:x:44:ann,bob\r\nrender:x:991\nrender:x:5:\n\nbroken\nhuge:x:99999999999:\nnobody:x:4294967295:\nneg:x:-1:\n", 0
	h := taskstest.NewTree(t, nil)
	var argv []string
	h.Programs["lxc-attach"] = func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output {
		argv = c.Argv
		return tasks.Output{Stdout: []byte(said), Stderr: []byte("no such container"), Code: code}
	}
	got, err := guest.Groups(t.Context(), tasks.ReadOnly(h), 900)
	if want := map[string]int{"root": 0, "video": 44, "render": 991}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if line := strings.Join(argv, " "); line != "lxc-attach -n 900 --clear-env -- cat /etc/group" {
		t.Errorf("ran %q", line)
	}
	code = 1
	if _, err := guest.Groups(t.Context(), h, 900); err == nil || !strings.Contains(err.Error(), "read the groups of container 900: ") {
		t.Errorf("%v", err)
	}
}

func TestGroupsOfAContainerThatDoesNotAnswer(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	h.Programs["lxc-attach"] = func(ctx context.Context, _ tasks.Host, _ tasks.Cmd) tasks.Output {
		<-ctx.Done()
		return tasks.Output{Code: 143}
	}
	synctest.Test(t, func(t *testing.T) {
		_, err := guest.Groups(t.Context(), h, 900)
		if err == nil || !strings.Contains(err.Error(), "read the groups of container 900: it has not answered within 30s") {
			t.Errorf("%v", err)
		}
	})
}
