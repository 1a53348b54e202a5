package deploy

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"phoenix/tasks"
)

// stalled is a host whose line takes no upload to its end.
type stalled struct {
	*shell
	begun chan struct{}
}

func (h stalled) Upload(ctx context.Context, _ string, _ []byte) error {
	close(h.begun)
	<-ctx.Done()
	return ctx.Err()
}

func TestAnUploadEndsWhenTheRunIsStopped(t *testing.T) {
	h := stalled{newShell(t), make(chan struct{})}
	stop, cancel := context.WithCancel(t.Context())
	o := options(tasks.ModeRun, "ok")
	told := ""
	o.Stop, o.Uploading = stop, func(host, _ string) { told = host }
	go func() { <-h.begun; cancel() }()
	limit, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	_, err := Start(limit, h, target, o)
	if !errors.Is(err, ErrStopped) {
		t.Errorf("error %v, want that the run was stopped", err)
	}
	if want := []Script{Launch, Probe}; !slices.Equal(h.started, want) || told != "pve1" {
		t.Errorf("%d scripts were sent, want %d; it was said to be uploading to %q", len(h.started), len(want), told)
	}
}

func TestAHelperThatIsThereIsStartedWithoutAWordOfUploading(t *testing.T) {
	h := newShell(t)
	for i := range 2 {
		o := options(tasks.ModeCheck, "ok")
		uploads := 0
		o.Stop, o.Uploading = t.Context(), func(string, string) { uploads++ }
		a, err := Start(t.Context(), h, target, o)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, a)
		if uploads != 1-i {
			t.Errorf("start %d: it was told of %d uploads, want %d", i, uploads, 1-i)
		}
	}
}
