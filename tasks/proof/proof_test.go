package proof

import (
	"context"
	"slices"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

func TestTheChangeNamesWhatIsDifferent(t *testing.T) {
	type facts = map[string]string
	for name, c := range map[string]struct {
		recorded, now facts
		want          tasks.Diff
	}{
		"nothing differs":    {facts{"docker": "20.10.24"}, facts{"docker": "20.10.24"}, nil},
		"there is no record": {nil, facts{"kernel": "6.8", "docker": "20.10.24"}, tasks.Diff{{Path: "proof", To: "proven with docker 20.10.24, kernel 6.8", Effect: "live"}}},
		"one fact is another": {facts{"kernel": "6.8", "docker": "20.10.24"}, facts{"kernel": "6.8", "docker": "26.1.3"},
			tasks.Diff{{Path: "proof", From: "proven with docker 20.10.24", To: "proven with docker 26.1.3", Effect: "live"}}},
		"one fact is new": {facts{"kernel": "6.8"}, facts{"kernel": "6.8", "gpus": "1"}, tasks.Diff{{Path: "proof", To: "proven with gpus 1", Effect: "live"}}},
		"one fact went":   {facts{"kernel": "6.8", "gpus": "1"}, facts{"kernel": "6.8"}, tasks.Diff{{Path: "proof", From: "proven with gpus 1", To: "proven", Effect: "live"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Diff(c.recorded, c.now); !slices.Equal(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestARecordIsReadBackAndABrokenOneIsNone(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{"var/lib/": ""})
	facts := map[string]string{"docker": "20.10.24", "storage driver": "overlay2"}
	if got, err := Read(t.Context(), h, "docker"); got != nil || err != nil {
		t.Fatalf("before: %v, %v", got, err)
	}
	if err := Write(t.Context(), h, "docker", facts); err != nil {
		t.Fatal(err)
	}
	got, err := Read(t.Context(), h, "docker")
	if err != nil || len(Diff(got, facts)) > 0 || len(Diff(nil, facts)) == 0 {
		t.Fatalf("after: %v, %v", got, err)
	}
	if other, err := Read(t.Context(), h, "vllm"); other != nil || err != nil {
		t.Fatalf("of another feature: %v, %v", other, err)
	}
	for _, broken := range []string{"", "{", `{"docker": 1}`, `["a"]`} {
		taskstest.Put(t, h, "/var/lib/phoenix/proof-docker.json", broken)
		if got, err := Read(t.Context(), h, "docker"); len(Diff(got, facts)) == 0 || err != nil {
			t.Errorf("%q: %v, %v", broken, got, err)
		}
	}
}

func TestARecordIsOfOneContainer(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	in := func(ctid int) context.Context { return tasks.WithScope(t.Context(), tasks.Scope{CTID: ctid}) }
	if err := Write(in(900), h, "x", map[string]string{"a": "1"}); err != nil {
		t.Fatal(err)
	}
	for ctid, want := range map[int]string{900: "1", 901: ""} {
		if got, err := Read(in(ctid), h, "x"); err != nil || got["a"] != want {
			t.Errorf("container %d has %v, %v", ctid, got, err)
		}
	}
}
