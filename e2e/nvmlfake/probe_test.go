package nvmlfake

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"phoenix/agentlet/dist"
	"phoenix/tasks/gpufacts"
)

var update = flag.Bool("update", false, "write what was seen to testdata")

// shared is a folder with the probe that phoenix carries, and with each library in a
// folder named by its release: they are made once for all tests.
var shared string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "phoenix-nvmlfake-")
	if err == nil {
		shared = dir
		err = prepare(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

func prepare(dir string) error {
	gz, _, err := dist.Probe(runtime.GOARCH)
	if err != nil {
		return err
	}
	unzip, err := gzip.NewReader(bytes.NewReader(gz))
	if err != nil {
		return err
	}
	data, err := io.ReadAll(unzip)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "agentlet-nvml"), data, 0o700); err != nil {
		return err
	}
	for _, r := range []Release{Current, Old} {
		lib := filepath.Join(dir, "lib"+string(r))
		if err := os.Mkdir(lib, 0o755); err != nil {
			return err
		}
		if err := Build(context.Background(), lib, r); err != nil {
			return err
		}
	}
	return nil
}

// rig is a machine with simulated cards.
type rig struct {
	lib, file string
	env       []string
}

func newRig(t *testing.T, release Release, m Machine) *rig {
	t.Helper()
	r := &rig{lib: filepath.Join(shared, "lib"+string(release)), file: filepath.Join(t.TempDir(), "cards")}
	if err := m.Write(r.file); err != nil {
		t.Fatal(err)
	}
	return r
}

// command starts the probe as a parent with a deadline of its own would.
func (r *rig) command(t *testing.T, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(shared, "agentlet-nvml"), args...)
	cmd.Env = append([]string{"LD_LIBRARY_PATH=" + r.lib, Variable + "=" + r.file}, r.env...)
	return cmd
}

// sample runs the probe once. A document with an error comes with exit status 1, and
// one with cards with 0.
func (r *rig) sample(t *testing.T, args ...string) gpufacts.Document {
	t.Helper()
	cmd := r.command(t, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	doc, parseErr := gpufacts.Parse(out)
	if parseErr != nil {
		t.Fatalf("%v: %s%s (%v)", parseErr, out, errs.String(), err)
	}
	if status := cmd.ProcessState.ExitCode(); status != 0 != (doc.Error != nil) || status > 1 || errs.Len() > 0 {
		t.Errorf("exit status %d, standard error %q, document %s", status, errs.String(), out)
	}
	return *doc
}

// golden compares a document with the one in testdata.
func golden(t *testing.T, name string, doc gpufacts.Document) {
	t.Helper()
	got, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Errorf("%s differs; got\n%s", path, got)
	}
}

func TestTheProbe_tellsAllThatTheDriverGives(t *testing.T) {
	busy := RTX4090(0)
	busy.Lines = append(busy.Lines, "process compute 1234 1073741824 - -", "process graphics 99 20971520 - -", "process graphics 1234 1073741824 - -")
	for _, c := range []struct {
		name    string
		release Release
		machine Machine
	}{
		{"two-consumer-cards", Current, Machine{Driver(), []Card{busy, RTX4090(1)}}},
		{"divided-card", Current, Machine{Driver(), []Card{A100(0)}}},
		{"old-library", Old, Machine{Driver(), []Card{busy, A100(1)}}},
		{"old-card", Current, Machine{Driver(), []Card{{Lines: []string{"name Tesla P40", "uuid GPU-AB", "ecc 1 0", "ecc_aggregate 3 0", "retired_pages 5 2", "retired_pending 1"}}}}},
		{"no-card", Current, Machine{Lines: Driver()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			golden(t, c.name, newRig(t, c.release, c.machine).sample(t))
		})
	}
}

// whole tells whether a card was read to its end: every card here has processes then.
func whole(g gpufacts.GPU) bool { return g.Error == nil && g.Power != nil && g.Processes != nil }

func TestACardThatFails_costsOnlyItsOwnFacts(t *testing.T) {
	for _, c := range []struct {
		name       string
		line       string
		kind, text string
		// before tells whether the card's facts up to there are kept.
		before bool
	}{
		{"off the bus from the start", "lost now", gpufacts.KindLost, "nvmlDeviceGetHandleByIndex: GPU is lost", false},
		{"falls off the bus", "fault nvmlDeviceGetPowerUsage 15", gpufacts.KindLost, "nvmlDeviceGetPowerUsage: GPU is lost", true},
		{"hangs", "fault nvmlDeviceGetPowerUsage hang", gpufacts.KindTimeout, "the driver did not answer within 2s (at its power)", true},
		{"hangs at once", "fault nvmlDeviceGetHandleByIndex_v2 hang", gpufacts.KindTimeout, "the driver did not answer within 2s (at its identity)", false},
		{"aborts", "fault nvmlDeviceGetPowerUsage abort", gpufacts.KindCrash, "the driver's library ended the probe: SIGABRT: abort (at its power)", true},
		{"reads where it may not", "fault nvmlDeviceGetPowerUsage segv", gpufacts.KindCrash, "the driver's library ended the probe: SIGSEGV: segmentation violation (at its power)", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			doc := newRig(t, Current, Machine{Driver(), []Card{RTX4090(0), RTX4090(1, c.line), RTX4090(2)}}).sample(t, "--deadline", "8s")
			if len(doc.GPUs) != 3 || !whole(doc.GPUs[0]) || !whole(doc.GPUs[2]) || doc.DriverVersion == "" {
				t.Fatalf("the others are not whole: %+v", doc)
			}
			bad := doc.GPUs[1]
			if bad.Index != 1 || bad.Error == nil || bad.Error.Kind != c.kind || bad.Error.Text != c.text {
				t.Errorf("its error is %+v, want %s: %s", bad.Error, c.kind, c.text)
			}
			if c.before != (bad.UUID != "" && bad.Temperature != nil) || bad.Processes != nil {
				t.Errorf("it has %+v", bad)
			}
		})
	}
}

func TestAGroupThatFails_costsOnlyItself(t *testing.T) {
	doc := newRig(t, Current, Machine{Driver(), []Card{RTX4090(0, "fault nvmlDeviceGetUtilizationRates 999", "fault nvmlDeviceGetComputeRunningProcesses_v3 4")}}).sample(t)
	g := doc.GPUs[0]
	want := []gpufacts.GroupFault{
		{Group: "utilization", Fault: gpufacts.Fault{Kind: gpufacts.KindOther, Text: "nvmlDeviceGetUtilizationRates: Unknown Error"}},
		{Group: "processes", Fault: gpufacts.Fault{Kind: gpufacts.KindPermission, Text: "nvmlDeviceGetComputeRunningProcesses: Insufficient Permissions"}},
	}
	if len(g.GroupErrors) != 2 || g.GroupErrors[0] != want[0] || g.GroupErrors[1] != want[1] {
		t.Errorf("its errors are %+v, want %+v", g.GroupErrors, want)
	}
	if g.Utilization != nil || g.Temperature == nil || g.Power == nil || g.Error != nil {
		t.Errorf("it has %+v", g)
	}
}

func TestEveryCardHangs_andTheDeadlineHolds(t *testing.T) {
	t.Parallel()
	const hang = "fault nvmlDeviceGetTemperature hang"
	cards := make([]Card, 8)
	for i := range cards {
		cards[i] = RTX4090(i, hang)
	}
	start := time.Now()
	doc := newRig(t, Current, Machine{Driver(), cards}).sample(t, "--deadline", "4s")
	if took := time.Since(start); took > 12*time.Second {
		t.Errorf("it took %v", took)
	}
	if len(doc.GPUs) != 8 {
		t.Fatalf("got %d cards", len(doc.GPUs))
	}
	for _, g := range doc.GPUs {
		if g.Error == nil || g.Error.Kind != gpufacts.KindTimeout {
			t.Errorf("card %d: %+v", g.Index, g.Error)
		}
	}
}

func TestNoDriver_saysWhy(t *testing.T) {
	for _, c := range []struct{ name, line, kind, text string }{
		{"driver not loaded", "fault nvmlInit_v2 9", gpufacts.KindDriverNotLoaded, "nvmlInit: Driver Not Loaded"},
		{"version mismatch", "fault nvmlInit_v2 18", gpufacts.KindVersionMismatch, "nvmlInit: Driver/library version mismatch"},
		{"no permission", "fault nvmlInit_v2 4", gpufacts.KindPermission, "nvmlInit: Insufficient Permissions"},
		{"an unknown error", "fault nvmlInit_v2 999", gpufacts.KindOther, "nvmlInit: Unknown Error"},
		{"no count", "fault nvmlDeviceGetCount_v2 999", gpufacts.KindOther, "nvmlDeviceGetCount: Unknown Error"},
		{"hangs as it is loaded", "fault nvmlInit_v2 hang", gpufacts.KindTimeout, "the driver did not answer within 3s"},
		{"crashes as it is loaded", "fault nvmlInit_v2 segv", gpufacts.KindOther, "the driver's library ended the probe: SIGSEGV: segmentation violation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			doc := newRig(t, Current, Machine{append(Driver(), c.line), []Card{RTX4090(0)}}).sample(t, "--deadline", "3s")
			if want := (gpufacts.Fault{Kind: c.kind, Text: c.text}); doc.Error == nil || *doc.Error != want {
				t.Errorf("got %+v, want %+v", doc.Error, want)
			}
		})
	}
	r := newRig(t, Current, Machine{Lines: Driver()})
	r.lib = t.TempDir()
	for _, c := range []struct {
		name, env, kind, text string
		library               string
	}{
		{"symbols bound at the start", "LD_BIND_NOW=1", gpufacts.KindOther, "LD_BIND_NOW is set", ""},
		{"another library of that name", "", gpufacts.KindOther, "libnvidia-ml.so.1 has no nvmlInit", "int nothing;"},
		{"a file that is no library", "", gpufacts.KindOther, "libnvidia-ml.so.1", "-"},
		{"no library", "LD_LIBRARY_PATH=/nonexistent", gpufacts.KindLibraryMissing, "libnvidia-ml.so.1: cannot open shared object file", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(r.lib, "libnvidia-ml.so.1")
			switch c.library {
			case "":
			case "-":
				if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			default:
				cc := exec.Command("gcc", "-xc", "-", "-shared", "-fPIC", "-o", file)
				cc.Stdin = strings.NewReader(c.library)
				if out, err := cc.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			r.env = []string{c.env}
			doc := r.sample(t)
			if doc.Error == nil || doc.Error.Kind != c.kind || !strings.Contains(doc.Error.Text, c.text) {
				t.Errorf("got %+v, want %s: %s", doc.Error, c.kind, c.text)
			}
		})
	}
}

func TestWrongArguments_areRefused(t *testing.T) {
	r := newRig(t, Current, Machine{Lines: Driver()})
	for _, args := range [][]string{{"--every", "-1s"}, {"--once", "--every", "1s"}, {"--deadline", "0s"}, {"now"}, {"--what"}} {
		cmd := r.command(t, args...)
		if out, err := cmd.Output(); err == nil || cmd.ProcessState.ExitCode() != 64 || len(out) > 0 {
			t.Errorf("%v: exit status %d, output %q", args, cmd.ProcessState.ExitCode(), out)
		}
	}
}
