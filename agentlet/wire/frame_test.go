package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"phoenix/tasks"
)

func golden() map[string]Message {
	at := time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)
	return map[string]Message{
		"job": {Job: &tasks.Job{
			RunID: "20261105-100000-ab12", Operator: "ann@laptop", Mode: tasks.ModeRun,
			Steps: []tasks.Step{
				{ID: "apt:packages", Kind: "apt", Spec: json.RawMessage(`{"packages":["curl"]}`)},
				{ID: "file:/etc/motd", Kind: "file", Leader: "pve1", Needs: []string{"apt:packages"}, Tags: []string{"motd"}, Uses: []string{"node"}, TimeoutS: 30, Asks: true, Spec: json.RawMessage(`{"path":"/etc/motd"}`)},
				{ID: "file:900/etc/motd", Kind: "file", Inside: &tasks.Inside{CTID: 900, Receipt: "1a2b", Safety: &tasks.Safety{Step: "lxc:900", IfPossible: true, Rollback: true, Keep: 3}}, Spec: json.RawMessage(`{"path":"/etc/motd"}`)},
			},
			Limits:       map[string]int{"node": 4},
			Secrets:      map[string]string{"root": "correct horse"},
			Consent:      tasks.Consent{Destroy: []int{900}, Restart: true, Reboot: true, Wipe: []string{"/dev/disk/by-id/x"}, Rollback: []int{901}},
			AfterBoot:    "0b1c",
			StepTimeoutS: 600, QuietAfterS: 120,
		}},
		"cancel":    {Cancel: &Cancel{Hard: true}},
		"confirm":   {Confirm: &Confirm{Token: "20261105-100000-ab12", Ticket: "cd34"}},
		"hello":     {Hello: &Hello{Version: Version, SHA256: strings.Repeat("ab", 32), Hostname: "pve1", Arch: "amd64", PID: 4711}},
		"started":   {Event: &tasks.Event{Time: at, Step: "apt:packages", Started: &tasks.Started{Index: 1, Total: 2}}},
		"log":       {Event: &tasks.Event{Time: at, Step: "apt:packages", Log: &tasks.Log{Stream: "stdout", Text: "Reading package lists…"}}},
		"sample":    {Event: &tasks.Event{Time: at, Step: "gpus:host", Sample: json.RawMessage(`{"gpus":[]}`)}},
		"heartbeat": {Heartbeat: &Heartbeat{Step: "apt:packages", ForMS: 5000}},
		"result": {Event: &tasks.Event{Time: at, Step: "apt:packages", Result: &tasks.Result{
			Status: tasks.StatusSkipped, Why: "written, and waits for a restart", Cause: tasks.CausePending,
			Changes:   tasks.Diff{{Path: "packages.curl", To: "installed", Effect: tasks.EffectLive, Note: "a\nb"}},
			Remaining: tasks.Diff{{Path: "memory_mb", From: "512", To: "1024", Effect: tasks.EffectPending}},
			Allow:     []tasks.Allow{{Flag: tasks.AllowDestroy, Name: "900", Loss: "container 900"}},
			Warnings:  []string{"lxc.apparmor.profile: unconfined"},
			Data:      json.RawMessage(`{"code":3}`), DurationMS: 1200,
		}}},
		"passed": {Passed: []Passed{{Step: "apt:packages", AtUS: at.UnixMicro(), DurationMS: 12}, {Step: "file:/etc/motd", AtUS: at.UnixMicro() + 1}}},
		"journal": {Journal: &Journal{RunID: "20261104-090000-cd34", Operator: "bob@desk", Finished: true,
			Events: []tasks.Event{{Time: at, Step: "lxc:900", Started: &tasks.Started{Index: 1, Total: 1}}}}},
		"asked":  {Event: &tasks.Event{Time: at, Step: "network:interfaces", Confirm: &tasks.Confirm{Token: "ef56", TimeoutS: 60, Addresses: []string{"10.0.0.2"}}}},
		"reboot": {Event: &tasks.Event{Time: at, Step: "reboot:host", Reboot: &tasks.Reboot{BootID: "0b1c", Changes: tasks.Diff{{Path: "boot", From: "6.8.12-4-pve", To: "6.8.12-9-pve"}}}}},
		"done":   {Done: &Done{Ticket: "cd34", Error: "lock host: held", Holder: &Holder{RunID: "20261104-090000-cd34", Operator: "bob@desk", PID: 12, Since: at}}},
	}
}

var update = flag.Bool("update", false, "write the golden frames anew")

func TestEveryMessageHasItsGoldenFrame(t *testing.T) {
	for name, m := range golden() {
		t.Run(name, func(t *testing.T) {
			frame, err := Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".frame")
			if *update {
				if err := os.WriteFile(path, frame, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(frame, want) {
				t.Errorf("frame changed:\n got %q\nwant %q", frame, want)
			}
			got, err := NewReader(iotest.OneByteReader(bytes.NewReader(want))).Read()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, m) {
				t.Errorf("read back %+v, want %+v", got, m)
			}
		})
	}
}

// A field that no golden message sets is a field that may change its name unseen.
func TestTheGoldenMessagesSetEveryField(t *testing.T) {
	set := map[string]bool{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range v.NumField() {
				name := v.Type().String() + "." + v.Type().Field(i).Name
				set[name] = set[name] || !v.Field(i).IsZero()
				walk(v.Field(i))
			}
		}
	}
	for _, m := range golden() {
		walk(reflect.ValueOf(m))
	}
	for name, is := range set {
		if !is && name != "wire.Hello.UID" { // which is 0 wherever the helper is accepted
			t.Errorf("no golden message sets %s", name)
		}
	}
}

func TestFramesFollowEachOther(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, step := range []string{"a", "b", "c"} {
		if err := w.Write(Message{Heartbeat: &Heartbeat{Step: step}}); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(&b)
	for _, want := range []string{"a", "b", "c"} {
		if m, err := r.Read(); err != nil || m.Heartbeat.Step != want {
			t.Fatalf("got %+v, %v; want a heartbeat of %s", m, err, want)
		}
	}
	if _, err := r.Read(); err != io.EOF {
		t.Errorf("at the end: %v, want io.EOF", err)
	}
}

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func TestAnUnfitFrameIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"text of a login shell", []byte("Last login: today"), "the length must be from 1 to 8388608"},
		{"an empty frame", []byte{0, 0, 0, 0}, "the length must be from 1"},
		{"a length one over the limit", binary.BigEndian.AppendUint32(nil, MaxMessage+1), "the length must be from 1 to 8388608"},
		{"half a length", []byte{0, 0}, "in its length"},
		{"half a frame", frame(`{"heartbeat":{}}`)[:10], "unexpected EOF after 6 of 16 bytes"},
		{"no JSON", frame("\x01\x02"), "invalid character"},
		{"an unknown field", frame(`{"heartbeat":{},"root":1}`), `unknown field "root"`},
		{"an unknown field inside", frame(`{"heartbeat":{"x":1}}`), `unknown field "x"`},
		{"two messages in one frame", frame(`{"heartbeat":{}}{"heartbeat":{}}`), "data follows the JSON value"},
		{"no field", frame(`{}`), "0 fields are set, want 1"},
		{"null", frame(`null`), "0 fields are set, want 1"},
		{"two fields", frame(`{"heartbeat":{},"done":{}}`), "2 fields are set, want 1"},
		{"an event that is nothing", frame(`{"event":{"time":"2026-01-01T00:00:00Z","step":"a"}}`), "0 of started, log, sample, confirm, reboot, result"},
		{"a hello of another version", frame(`{"hello":{"version":2,"sha256":"","hostname":"","arch":"","pid":0,"uid":0}}`), "protocol version 2, want 1"},
		{"a confirm without a token", frame(`{"confirm":{"token":""}}`), "no token"},
		{"a job of an unknown mode", frame(`{"job":{"run_id":"x","mode":"raze","steps":[]}}`), `unknown mode "raze"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := NewReader(bytes.NewReader(c.bytes)).Read()
			if err == nil {
				t.Fatalf("accepted as %+v", m)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want it to say %q", err, c.want)
			}
		})
	}
}

func TestAnUnfitMessageIsNotSent(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	long := Message{Event: &tasks.Event{Step: "a", Log: &tasks.Log{Text: strings.Repeat("x", MaxMessage)}}}
	for name, m := range map[string]Message{"nothing": {}, "too long": long} {
		if err := w.Write(m); err == nil {
			t.Errorf("%s: was sent", name)
		}
	}
	if b.Len() > 0 {
		t.Errorf("%d bytes were sent", b.Len())
	}
}

// The claim is within the limit, so only what has arrived may be allocated.
func TestALyingLengthAllocatesNothing(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, MaxMessage)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, err := NewReader(bytes.NewReader(append(claim, "{}"...))).Read()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("error %v, want an unexpected EOF", err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 100*64<<10 {
		t.Errorf("100 lying frames allocated %d bytes", got)
	}
}

// zeros is a host that never stops talking.
type zeros struct{ n int }

func (z *zeros) Read(p []byte) (int, error) {
	z.n += len(p)
	return copy(p, bytes.Repeat([]byte{'x'}, len(p))), nil
}

func TestAnEndlessHostIsReadNoFurtherThanTheLimits(t *testing.T) {
	z := &zeros{}
	if _, err := NewReader(z).ReadGreeting(nonce); err == nil || z.n > MaxNoise+64<<10 {
		t.Errorf("greeting: error %v after %d bytes", err, z.n)
	}
	z = &zeros{}
	claims := io.MultiReader(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff}), z) // 4 GiB
	var fault *FrameError
	if _, err := NewReader(claims).Read(); !errors.As(err, &fault) || fault.Length != 1<<32-1 || z.n > 64<<10 {
		t.Errorf("frame: error %v after %d bytes", err, z.n)
	}
}

func FuzzReader(f *testing.F) {
	for _, m := range golden() {
		if b, err := Encode(m); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte("\xff\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		for {
			m, err := r.Read()
			if err != nil {
				return
			}
			again, err := Encode(m)
			if err != nil {
				t.Fatalf("accepted %+v, which cannot be sent: %v", m, err)
			}
			back, err := NewReader(bytes.NewReader(again)).Read()
			if err != nil || !reflect.DeepEqual(canonical(t, back), canonical(t, m)) {
				t.Fatalf("%+v came back as %+v, %v", m, back, err)
			}
		}
	})
}

func canonical(t *testing.T, m Message) string {
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
