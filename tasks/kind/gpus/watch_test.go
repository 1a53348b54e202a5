package gpus_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/taskstest"
)

// talker is a machine whose probe goes on: play is its life, and ends with ended.
type talker struct {
	*taskstest.Tree
	play func(life int, out io.Writer, ended <-chan struct{})

	begun, ended int
	argv         []string
}

func (h *talker) Talk(c tasks.Cmd) (tasks.Talk, error) {
	if _, err := h.Stat(c.Argv[0]); err != nil {
		return tasks.Talk{}, err
	}
	h.begun++
	h.argv = c.Argv
	out, in := io.Pipe()
	told, over := make(chan struct{}), make(chan struct{})
	life := h.begun
	go func() {
		defer close(over)
		defer in.Close()
		h.play(life, in, told)
	}()
	end := sync.OnceFunc(func() {
		h.ended++
		close(told)
		out.Close()
		<-over
	})
	return tasks.Talk{Stdout: out, End: func() string { end(); return "last words\nand more" }}, nil
}

// ticking prints a document at once and then one every two seconds.
func ticking(out io.Writer, ended <-chan struct{}) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		if _, err := io.WriteString(out, document); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			return
		}
	}
}

// watched is what a step that went on has handed over.
type watched struct {
	samples []gpufacts.Host
	at      []time.Duration
	result  tasks.Result
	took    time.Duration
}

func (w *watched) sources() string {
	var out []string
	for _, s := range w.samples {
		out = append(out, s.Source)
	}
	return strings.Join(out, " ")
}

const watching = `{"probe":"` + hash + `","every_ms":2000}`

// follow watches a machine until enough samples came, or for a while; between is called
// after each.
func follow(t *testing.T, h tasks.Host, enough int, between func(n int)) *watched {
	t.Helper()
	w := &watched{}
	stop := make(chan struct{})
	once := sync.OnceFunc(func() { close(stop) })
	begin := time.Now()
	r := tasks.Runner{Host: h, Registry: tasks.NewRegistry(gpus.Kind()), Stop: stop, Emit: func(e tasks.Event) {
		if e.Result != nil {
			w.result, w.took = *e.Result, time.Since(begin)
		}
		if e.Sample == nil {
			return
		}
		var f gpufacts.Host
		if err := json.Unmarshal(e.Sample, &f); err != nil {
			t.Error(err)
		}
		w.samples, w.at = append(w.samples, f), append(w.at, time.Since(begin).Round(100*time.Millisecond))
		if len(w.samples) == enough {
			once()
		} else if between != nil {
			between(len(w.samples))
		}
	}}
	defer time.AfterFunc(time.Hour, once).Stop()
	job := tasks.Job{RunID: "r1", Mode: tasks.ModeCheck, Steps: []tasks.Step{{ID: "gpus:host", Kind: gpus.Name, TimeoutS: 7200, Spec: json.RawMessage(watching)}}}
	if err := r.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return w
}

// talking is the machine of host with programs and a probe that goes on.
func talking(t *testing.T, programs map[string]tasks.Output, play func(life int, out io.Writer, ended <-chan struct{})) *talker {
	t.Helper()
	if programs == nil {
		programs = map[string]tasks.Output{}
	}
	return &talker{Tree: machine(t, host(), programs), play: play}
}

func seconds(n ...float64) (out []time.Duration) {
	for _, s := range n {
		out = append(out, time.Duration(s*float64(time.Second)))
	}
	return out
}

func put(t *testing.T, tree *taskstest.Tree, name, text string) {
	t.Helper()
	at := filepath.Join(tree.Root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
}

func TestWatch_takesManySamplesOfOneProcessAndLooksUpTheOwnersOfEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := talking(t, map[string]tasks.Output{probe: says("", 1)}, func(_ int, out io.Writer, ended <-chan struct{}) { ticking(out, ended) })
		w := follow(t, h, 5, func(n int) {
			if n == 2 {
				put(t, h.Tree, "/proc/4001/cgroup", "0::/lxc/901/ns/system.slice/x.service\n")
			}
		})
		if !slices.Equal(w.at, seconds(0, 2, 4, 6, 8)) || w.sources() != "nvml nvml nvml nvml nvml" {
			t.Errorf("samples of %s at %v", w.sources(), w.at)
		}
		if h.begun != 1 || h.ended != 1 || strings.Join(h.argv[1:], " ") != "--deadline 15s --every 2s" {
			t.Errorf("the probe was started %d times and ended %d, as %q", h.begun, h.ended, h.argv)
		}
		if before, after := w.samples[1].Owner(4001), w.samples[2].Owner(4001); before == nil || before.CTID != 900 || after == nil || after.CTID != 901 {
			t.Errorf("process 4001 was %+v and is %+v", before, after)
		}
		var last gpufacts.Host
		if err := json.Unmarshal(w.result.Data, &last); err != nil || w.result.Status != tasks.StatusOK || !reflect.DeepEqual(last, w.samples[4]) || w.took > 10*time.Second {
			t.Errorf("the result, after %v, is %+v, %v", w.took, w.result, err)
		}
	})
}

func TestWatch_ofAProbeThatDoesNotGoOn(t *testing.T) {
	smi := map[string]tasks.Output{probe: says("", 1), "nvidia-smi": says(smiXML, 0)}
	for _, c := range []struct {
		name    string
		play    func(life int, out io.Writer, ended <-chan struct{})
		samples string
		kind    string // why the last one without the library is without it
		begun   int
		last    time.Duration
	}{
		{"it is killed once: another goes on with the next sample",
			func(life int, out io.Writer, ended <-chan struct{}) {
				if life > 1 {
					ticking(out, ended)
				} else {
					_, _ = io.WriteString(out, document)
				}
			}, "nvml proc nvml nvml", gpufacts.KindOther, 2, 6 * time.Second},
		{"it falls silent: it is ended, and the driver is not asked by others",
			func(life int, out io.Writer, ended <-chan struct{}) {
				if life > 1 {
					ticking(out, ended)
					return
				}
				_, _ = io.WriteString(out, document)
				<-ended
			}, "nvml proc proc nvml", gpufacts.KindTimeout, 2, 26 * time.Second},
		{"it has only an error to tell, with which it ends: it is asked again more and more rarely",
			func(_ int, out io.Writer, _ <-chan struct{}) {
				_, _ = io.WriteString(out, `{"error":{"kind":"`+gpufacts.KindDriverNotLoaded+`","text":"nvmlInit: Driver Not Loaded"}}`+"\n")
			}, strings.TrimSuffix(strings.Repeat("proc ", 40), " "), gpufacts.KindDriverNotLoaded, 7, 78 * time.Second},
		{"it prints what is no document", func(_ int, out io.Writer, ended <-chan struct{}) {
			_, _ = io.WriteString(out, strings.Repeat("x", 10<<20)+"\n")
			<-ended
		}, "proc proc", gpufacts.KindOther, 2, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := talking(t, smi, c.play)
				w := follow(t, h, strings.Count(c.samples, " ")+1, nil)
				if w.sources() != c.samples || h.begun != c.begun || h.ended != h.begun || w.at[len(w.at)-1] != c.last {
					t.Errorf("%s, the last at %v; the probe was started %d times, want %d, and ended %d", w.sources(), w.at[len(w.at)-1], h.begun, c.begun, h.ended)
				}
				for _, s := range w.samples {
					if s.Source == gpufacts.SourceNVML {
						continue
					}
					if s.Missed[0].Kind != c.kind || s.ProbeMissing || (s.SMI == "") != (c.kind == gpufacts.KindTimeout) {
						t.Errorf("missed %+v, XML of %d bytes", s.Missed, len(s.SMI))
					}
				}
			})
		})
	}
}

func TestWatch_findsAProbeThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := talking(t, map[string]tasks.Output{"nvidia-smi": says(smiXML, 0)}, func(_ int, out io.Writer, ended <-chan struct{}) { ticking(out, ended) })
		w := follow(t, h, 4, func(n int) {
			if n == 2 {
				put(t, h.Tree, probe, elf)
			}
		})
		if w.sources() != "proc proc nvml nvml" || !slices.Equal(w.at, seconds(0, 2, 4, 6)) {
			t.Errorf("%s at %v", w.sources(), w.at)
		}
		if !w.samples[1].ProbeMissing || w.samples[2].ProbeMissing || w.samples[1].SMI == "" {
			t.Errorf("%+v", w.samples[1])
		}
	})
}

// hangs is a program that nobody can end, but the end of the question.
func hangs(starts *int) taskstest.Program {
	return func(ctx context.Context, _ tasks.Host, _ tasks.Cmd) tasks.Output {
		*starts++
		<-ctx.Done()
		return tasks.Output{Code: -1}
	}
}

func TestWatch_asksANvidiaSMIThatHungMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := 0
		tree := machine(t, host(), map[string]tasks.Output{})
		tree.Programs["nvidia-smi"] = hangs(&starts)
		w := follow(t, &hungTree{tree}, 30, nil)
		if starts != 6 || w.at[0] != deadline || w.samples[29].Missed[1].Kind != gpufacts.KindTimeout {
			t.Errorf("started %d times within %v, first sample at %v: %+v", starts, w.at[29], w.at[0], w.samples[29].Missed)
		}
	})
}

const deadline = 20 * time.Second

// hungTree says of a program that was broken off that it was.
type hungTree struct{ *taskstest.Tree }

func (h *hungTree) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	out, err := h.Tree.Run(ctx, c)
	return out, errors.Join(err, ctx.Err())
}

func (h *hungTree) Talk(tasks.Cmd) (tasks.Talk, error) { return tasks.Talk{}, fs.ErrNotExist }

func TestWatch_endsAtOnceWhateverIsAskedRightNow(t *testing.T) {
	silent := func(_ int, _ io.Writer, ended <-chan struct{}) { <-ended }
	for _, hard := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := talking(t, map[string]tasks.Output{probe: says("", 1)}, silent)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop := make(chan struct{})
			time.AfterFunc(time.Second, func() {
				if hard {
					cancel()
				} else {
					close(stop)
				}
			})
			var got tasks.Result
			begin := time.Now()
			r := tasks.Runner{Host: h, Registry: tasks.NewRegistry(gpus.Kind()), Stop: stop, Emit: func(e tasks.Event) {
				if e.Result != nil {
					got = *e.Result
				}
			}}
			job := tasks.Job{RunID: "r1", Mode: tasks.ModeCheck, Steps: []tasks.Step{{ID: "gpus:host", Kind: gpus.Name, Spec: json.RawMessage(watching)}}}
			if err := r.Run(ctx, job); err != nil {
				t.Fatal(err)
			}
			if time.Since(begin) != time.Second || got.Status != tasks.StatusFailed || h.ended != 1 {
				t.Errorf("hard %v: after %v: %+v; ended %d", hard, time.Since(begin), got, h.ended)
			}
		})
	}
}

func TestWatch_onASimulatedMachine(t *testing.T) {
	_, h := lab(t)
	w := &watched{}
	stop := make(chan struct{})
	spec := strings.Replace(watching, "2000", "100", 1)
	r := tasks.Runner{Host: h, Registry: tasks.NewRegistry(gpus.Kind()), Stop: stop, Emit: func(e tasks.Event) {
		if e.Result != nil {
			w.result = *e.Result
		}
		var f gpufacts.Host
		if e.Sample == nil || json.Unmarshal(e.Sample, &f) != nil {
			return
		}
		if w.samples = append(w.samples, f); len(w.samples) == 3 {
			close(stop)
		}
	}}
	job := tasks.Job{RunID: "r1", Mode: tasks.ModeCheck, Steps: []tasks.Step{{ID: "gpus:host", Kind: gpus.Name, Spec: json.RawMessage(spec)}}}
	if err := r.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if w.sources() != "nvml nvml nvml" || w.result.Status != tasks.StatusOK || len(w.samples[2].GPUs) != 2 || w.samples[2].Owner(w.samples[2].GPUs[1].Processes[0].PID) == nil {
		t.Errorf("%s, %+v", w.sources(), w.result)
	}
}

func TestWatch_refusesAnIntervalOutOfBounds(t *testing.T) {
	for every, want := range map[int]int{0: 0, 100: 0, 86400000: 0, 99: 1, -1: 1, 86400001: 1} {
		s := gpus.Spec{EveryMS: every}
		if got := s.Validate(); len(got) != want || want > 0 && got[0].Path != "every_ms" {
			t.Errorf("%d: %v", every, got)
		}
	}
}
