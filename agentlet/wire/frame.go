package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"phoenix/tasks"
)

// FrameError is a frame that cannot be what the other end meant to send. Nothing
// that follows it on the stream can be trusted.
type FrameError struct {
	// Length is what the frame claims to be, in bytes.
	Length uint32
	// Quote is the beginning of the frame, made printable, at most 200 bytes.
	Quote string
	Err   error
}

func (e *FrameError) Error() string {
	s := fmt.Sprintf("read frame of %d bytes: %v", e.Length, e.Err)
	if e.Quote != "" {
		s += ": it begins with " + e.Quote
	}
	return s
}

// Unwrap returns the cause.
func (e *FrameError) Unwrap() error { return e.Err }

// Reader takes messages from a stream. It is for one goroutine at a time.
type Reader struct {
	r    *bufio.Reader
	buf  bytes.Buffer
	left int64 // of MaxSession
}

// NewReader returns a Reader on r. It reads ahead, so r must not be read by
// anybody else.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 16<<10), left: MaxSession}
}

// Read returns the next message. The end of the stream between two frames is
// io.EOF, and io.ErrUnexpectedEOF within one; a frame that is too long, no JSON, or
// no valid Message is a *FrameError.
func (r *Reader) Read() (Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return Message{}, fmt.Errorf("read frame: %w in its length", err)
		}
		return Message{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxMessage {
		return Message{}, &FrameError{
			Length: n, Quote: quote(r.glimpse(head[:])),
			Err: fmt.Errorf("the length must be from 1 to %d", MaxMessage),
		}
	}
	if r.left -= int64(n); r.left < 0 {
		return Message{}, &FrameError{Length: n, Err: fmt.Errorf("with it, more than %d bytes came in one session", MaxSession)}
	}
	// The buffer grows with what arrives, not with what is claimed.
	r.buf.Reset()
	r.buf.Grow(min(int(n), 8<<10) + bytes.MinRead)
	got, err := io.CopyN(&r.buf, r.r, int64(n))
	if errors.Is(err, io.EOF) {
		return Message{}, fmt.Errorf("read frame: %w after %d of %d bytes", io.ErrUnexpectedEOF, got, n)
	}
	if err != nil {
		return Message{}, fmt.Errorf("read frame: %w", err)
	}
	m, err := decode(r.buf.Bytes())
	if err != nil {
		return Message{}, &FrameError{Length: n, Quote: quote(r.buf.Bytes()), Err: err}
	}
	if m.Event != nil && m.Event.Sample != nil {
		r.left += int64(n) // nobody keeps it, and a step may go on with them for weeks
	}
	if r.buf.Cap() > 1<<20 {
		r.buf = bytes.Buffer{} // one large message must not stay in memory for good
	}
	return m, nil
}

// glimpse is head and what has already arrived behind it.
func (r *Reader) glimpse(head []byte) []byte {
	more, err := r.r.Peek(min(r.r.Buffered(), maxQuote))
	if err != nil {
		return head
	}
	return append(bytes.Clone(head), more...)
}

// decode takes exactly one valid message.
func decode(data []byte) (Message, error) {
	if len(data) > MaxValues { // in fewer bytes there cannot be more
		if n := values(data); n > MaxValues {
			return Message{}, fmt.Errorf("it holds %d values, more than %d", n, MaxValues)
		}
	}
	var m Message
	if err := tasks.UnmarshalStrict(data, &m); err != nil {
		return Message{}, err
	}
	if err := m.Validate(); err != nil {
		return Message{}, err
	}
	return m, nil
}

// values counts the values in JSON text, a few more or less: the commas outside of
// strings.
func values(data []byte) int {
	n, inside := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			inside = !inside
		case c == '\\' && inside:
			i++
		case c == ',' && !inside:
			n++
		}
	}
	return n
}

// Writer puts messages on a stream. It is for one goroutine at a time.
type Writer struct{ w io.Writer }

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends one message, in one write of the underlying stream. A message that is
// not valid, or too long, is an error and nothing of it is sent.
func (w *Writer) Write(m Message) error {
	frame, err := Encode(m)
	if err != nil {
		return err
	}
	if _, err := w.w.Write(frame); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// Encode returns the frame of a message: its length and its JSON.
func Encode(m Message) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	if len(body) > MaxMessage {
		return nil, fmt.Errorf("encode message: it has %d bytes, more than the %d of a frame", len(body), MaxMessage)
	}
	frame := make([]byte, 4, 4+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	return append(frame, body...), nil
}
