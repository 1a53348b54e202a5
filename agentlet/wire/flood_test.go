package wire

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestAMessageOfTooManyValuesIsRefusedBeforeItTakesMemory(t *testing.T) {
	head := `{"event":{"time":"2026-11-05T10:00:00Z","step":"s","result":{"status":"ok","duration_ms":1,"changes":[`
	stream := frame(head + strings.Repeat("{},", (MaxMessage-len(head)-10)/3) + `{}]}}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := NewReader(bytes.NewReader(stream)).Read()
	runtime.ReadMemStats(&after)
	var fault *FrameError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "values, more than") {
		t.Errorf("error %.200v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 128<<20 {
		t.Errorf("reading it took %d MiB", took>>20)
	}
}

func TestCommasInTextAreNoValues(t *testing.T) {
	for text, want := range map[string]int{
		`{}`: 0, `{"a":1,"b":[2,3]}`: 2, `{"a":",,,","b":"\",,\\","c":","}`: 2, `"\\",`: 1,
	} {
		if got := values([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// endless repeats a frame.
type endless struct {
	frame []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.frame[e.at:])
	e.at = (e.at + n) % len(e.frame)
	return n, nil
}

func TestASessionIsReadNoFurtherThanItsLimit(t *testing.T) {
	big := frame(`{"done":{"error":"` + strings.Repeat("x", 1<<20) + `"}}`)
	r := NewReader(&endless{frame: big})
	r.left = 10 << 20
	for range 20 {
		_, err := r.Read()
		if errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		var fault *FrameError
		if errors.As(err, &fault) {
			if !strings.Contains(err.Error(), "in one session") {
				t.Error(err)
			}
			return
		}
	}
	t.Error("it is read without a limit")
}

func TestSamplesMayGoOnForWeeks(t *testing.T) {
	big := frame(`{"event":{"time":"2026-11-05T10:00:00Z","step":"s","sample":"` + strings.Repeat("x", 1<<20) + `"}}`)
	r := NewReader(&endless{frame: big})
	r.left = 3 << 20
	for i := range 20 {
		if _, err := r.Read(); err != nil {
			t.Fatalf("sample %d: %v", i, err)
		}
	}
}
