package inside

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"phoenix/tasks"
)

// What one frame may hold, in bytes.
const (
	maxHead = 1 << 20
	// maxBody is above what a program's two outputs are kept of, and the largest file
	// that is read in a container.
	maxBody = 16 << 20
)

// operation is what the machine asks for.
type operation string

const (
	opRun     operation = "run"
	opRead    operation = "read"
	opReadDir operation = "readdir"
	opStat    operation = "stat"
	opWrite   operation = "write"
	// opMake asks for the present content before it says the new one, while the lock is
	// held; opKeep leaves the file as it is.
	opMake operation = "make"
	opKeep operation = "keep"
	// opCancel ends the program under way.
	opCancel operation = "cancel"
)

// request goes into the container. Its body is a program's input, or a file's content.
type request struct {
	ID int       `json:"id"`
	Op operation `json:"op"`
	// Path of a file.
	Path string `json:"path,omitempty"`
	// Cmd is the program of a run; its Stdin is the body.
	Cmd *tasks.Cmd `json:"cmd,omitempty"`
	// HasInput tells an empty input from none.
	HasInput bool `json:"has_input,omitempty"`
	// Edit is a change; its Data is the body.
	Edit *edit `json:"edit,omitempty"`
}

// edit is tasks.Edit as it travels.
type edit struct {
	Verb  tasks.Verb   `json:"verb"`
	Lock  string       `json:"lock,omitempty"`
	Mode  *fs.FileMode `json:"mode,omitempty"`
	Owner *tasks.Owner `json:"owner,omitempty"`
}

// reply comes out of the container. Its body is a file's content, or both outputs of a
// program, the first Stdout bytes being stdout.
type reply struct {
	ID int `json:"id"`
	// Log is a line of the program under way, Alive says that it goes on, Old that the
	// body is the present content of the file (or, with Absent, that there is none).
	// Otherwise the reply is the last to its request.
	Log    *tasks.Log `json:"log,omitempty"`
	Alive  bool       `json:"alive,omitempty"`
	Old    bool       `json:"old,omitempty"`
	Absent bool       `json:"absent,omitempty"`

	Names  []string        `json:"names,omitempty"`
	Info   *tasks.FileInfo `json:"info,omitempty"`
	Stdout int             `json:"stdout,omitempty"`
	Code   int             `json:"code,omitempty"`
	Error  string          `json:"error,omitempty"`
	// Is names the error that Error wraps.
	Is string `json:"is,omitempty"`
}

// kinds are the errors that a family may branch on.
func kinds() map[string]error {
	return map[string]error{"not exist": fs.ErrNotExist, "exist": fs.ErrExist, "permission": fs.ErrPermission}
}

// fail puts an error into a reply.
func (r *reply) fail(err error) {
	if err == nil {
		return
	}
	r.Error = err.Error()
	for name, kind := range kinds() {
		if errors.Is(err, kind) {
			r.Is = name
		}
	}
}

// maxError is how much of an error's text is believed, in bytes.
const maxError = 16 << 10

// failure is the error in a reply.
func (r *reply) failure() error {
	if r.Error == "" {
		return nil
	}
	text := r.Error
	if len(text) > maxError {
		text = text[:maxError] + "…"
	}
	return told{text, kinds()[r.Is]}
}

// told is an error in the words of the container.
type told struct {
	text string
	kind error
}

func (t told) Error() string { return t.text }
func (t told) Unwrap() error { return t.kind }

// writeFrame sends a head and a body in one write: the lengths of both, then both.
func writeFrame(w io.Writer, head any, body []byte) error {
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	if len(text) > maxHead || len(body) > maxBody {
		return fmt.Errorf("send a frame: %d and %d bytes are more than it can hold (%d and %d)", len(text), len(body), maxHead, maxBody)
	}
	frame := make([]byte, 8, 8+len(text)+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(text)))
	binary.BigEndian.PutUint32(frame[4:], uint32(len(body)))
	_, err = w.Write(append(append(frame, text...), body...))
	return err
}

// readFrame takes a frame. What it holds takes memory only as it comes.
func readFrame(r io.Reader, head any) (body []byte, err error) {
	var sizes [8]byte
	if _, err := io.ReadFull(r, sizes[:]); err != nil {
		return nil, err
	}
	first, second := binary.BigEndian.Uint32(sizes[:]), binary.BigEndian.Uint32(sizes[4:])
	if first > maxHead || second > maxBody {
		return nil, fmt.Errorf("take a frame: it says it has %d and %d bytes, more than %d and %d", first, second, maxHead, maxBody)
	}
	text, err := take(r, first)
	if err != nil {
		return nil, err
	}
	if err := tasks.UnmarshalStrict(text, head); err != nil {
		return nil, fmt.Errorf("take a frame: %w", err)
	}
	return take(r, second)
}

func take(r io.Reader, size uint32) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(size)); err != nil {
		return nil, fmt.Errorf("take a frame: it ended early: %w", err)
	}
	return b.Bytes(), nil
}
