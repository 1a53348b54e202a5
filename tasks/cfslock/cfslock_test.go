package cfslock_test

import (
	"context"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/cfslock"
	"phoenix/tasks/taskstest"
)

func TestRun_startsAgainOnlyWhileTheLockIsHeld(t *testing.T) {
	held := tasks.Output{Code: 17, Stderr: []byte("error: cfs-lock 'file-user_cfg' error: got lock request timeout\n")}
	for _, tc := range []struct {
		name   string
		answer func(n int) tasks.Output
		starts int
		fails  bool
	}{
		{"free", func(int) tasks.Output { return tasks.Output{} }, 1, false},
		{"held twice", func(n int) tasks.Output {
			if n < 3 {
				return held
			}
			return tasks.Output{}
		}, 3, false},
		{"held for ever", func(int) tasks.Output { return held }, 6, true},
		{"another failure", func(int) tasks.Output { return tasks.Output{Code: 255, Stderr: []byte("no such user\n")} }, 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := taskstest.NewTree(t, nil)
			n := 0
			h.Programs["pveum"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
				n++
				return tc.answer(n)
			}
			err := cfslock.Run(t.Context(), h, tasks.Cmd{Argv: []string{"pveum", "user", "add", "a@pve"}})
			if n != tc.starts || (err != nil) != tc.fails {
				t.Errorf("%d starts, %v; want %d, failure %v", n, err, tc.starts, tc.fails)
			}
		})
	}
}
