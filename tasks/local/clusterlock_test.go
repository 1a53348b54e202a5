package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
)

func TestLock_thatOfTheClusterIsADirectory(t *testing.T) {
	const lock = "/etc/pve/priv/lock/firewall-cluster"
	h := tree(t)
	h.LockWait = 50 * time.Millisecond
	dir := filepath.Join(h.Root, lock)
	inside := tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/pve/x", Lock: lock, Update: func([]byte) ([]byte, error) {
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
			t.Errorf("the lock is not held: %v", err)
		}
		return []byte("new"), nil
	}}
	if err := h.Write(t.Context(), inside); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock stays: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	other := tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/pve/x", Lock: lock, Data: []byte("other")}
	if err := h.Write(t.Context(), other); err == nil || !strings.Contains(err.Error(), "held by another writer in the cluster") {
		t.Errorf("got %v", err)
	}
	fi, err := os.Stat(dir)
	if err != nil || fi.ModTime().Unix() != 0 {
		t.Errorf("the holder was not asked to give the lock up: %v, %v", fi, err)
	}
	h.LockWait = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := h.Write(ctx, other); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := read(t, h, "/etc/pve/x"); got != "new" {
		t.Errorf("the file is now %q", got)
	}
}
