package guest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/taskstest"
)

func TestPct_waitsForTheLockOfAStorageAndNamesWhoMayHaveIt(t *testing.T) {
	for name, said := range map[string]string{
		"of the node":    "unable to create CT 900 - can't lock file '/var/lock/pve-manager/pve-storage-local' - got timeout",
		"of the cluster": "unable to create CT 900 - cfs-lock 'storage-nfs' error: got lock request timeout",
	} {
		t.Run(name, func(t *testing.T) {
			h := taskstest.NewTree(t, map[string]string{"/var/log/pve/tasks/active": "" +
				"UPID:pve1:0000ABCD:00001234:65000000:vzcreate:901:root@pam: 0\n" +
				"UPID:pve1:0000ABCE:00001234:65000000:imgcopy::ann@pve:\n" +
				"UPID:pve1:0000ABCF:00001234:65000000:vzcreate:900:root@pam: 1 65000009 unable to create\n"})
			calls := 0
			h.Programs["pct"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
				if calls++; calls < 3 {
					return tasks.Output{Code: 255, Stderr: []byte("trying to acquire lock...\n" + said + "\n")}
				}
				return tasks.Output{}
			}
			synctest.Test(t, func(t *testing.T) {
				var logged []string
				ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) { logged = append(logged, l.Text) }})
				begin := time.Now()
				if _, err := guest.Pct(ctx, h, 900, "create", "900"); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); calls != 3 || took != 3*time.Second {
					t.Errorf("%d calls in %s, want 3 with 1 and 2 seconds between", calls, took)
				}
				want := "another program holds Proxmox's lock (vzcreate 901, started by root@pam; imgcopy, started by ann@pve); waiting"
				if !slices.ContainsFunc(logged, func(l string) bool { return strings.Contains(l, want) }) {
					t.Errorf("said %q", logged)
				}
			})
		})
	}
}
