package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxQuote is how much of the other end's words an error repeats, in bytes.
const maxQuote = 200

// Greeting is what either end sends before its first frame. It holds NUL bytes,
// which no shell, banner or motd prints, and the nonce of the session, so that
// neither an echo of an earlier session nor a terminal can produce it by chance.
func Greeting(nonce string) []byte {
	return []byte("\x00\x00phoenix-agentlet " + strconv.Itoa(Version) + " " + nonce + "\x00\n")
}

// CheckNonce refuses a nonce that could not travel as one word of a command line:
// it must have 16 to 64 characters from 0-9 and a-z.
func CheckNonce(nonce string) error {
	ok := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' }
	if len(nonce) < 16 || len(nonce) > 64 || strings.IndexFunc(nonce, func(r rune) bool { return !ok(r) }) >= 0 {
		return fmt.Errorf("check nonce %q: want 16 to 64 characters of 0-9, a-z", nonce)
	}
	return nil
}

// NoiseError is a stream that did not have the greeting among its first MaxNoise
// bytes.
type NoiseError struct {
	// Noise is the end of what came instead, without control characters, at most
	// 20 lines.
	Noise string
	// Bytes is how much came instead.
	Bytes int
	// Err is io.EOF when the stream ended, nil when it went on for too long, or the
	// error of reading.
	Err error
}

func (e *NoiseError) Error() string {
	s := "read greeting: "
	switch {
	case e.Err == nil:
		s += fmt.Sprintf("%d bytes came, and no greeting", e.Bytes)
	case errors.Is(e.Err, io.EOF):
		s += "the stream ended before it"
	default:
		s += e.Err.Error()
	}
	if e.Noise != "" {
		s += "; what came instead: " + strings.ReplaceAll(e.Noise, "\n", " | ")
	}
	return s
}

// Unwrap returns the error of reading.
func (e *NoiseError) Unwrap() error { return e.Err }

// ReadGreeting reads past noise up to and including the greeting of the session,
// and returns the noise, made printable; a greeting with another nonce is noise. The
// error is a *NoiseError.
func (r *Reader) ReadGreeting(nonce string) (noise string, err error) {
	want := Greeting(nonce)
	var seen []byte
	for len(seen) < MaxNoise+len(want) {
		b, err := r.r.ReadByte()
		if err != nil {
			return "", &NoiseError{Noise: Printable(seen), Bytes: len(seen), Err: err}
		}
		seen = append(seen, b)
		if b == '\n' && bytes.HasSuffix(seen, want) {
			return Printable(seen[:len(seen)-len(want)]), nil
		}
	}
	return "", &NoiseError{Noise: Printable(seen), Bytes: len(seen)}
}

// Printable makes text of a remote fit for a terminal: the last 20 lines, at most
// 2,000 bytes, without control characters and without what is no UTF-8.
func Printable(data []byte) string {
	const most = 2000
	if len(data) > most {
		data = data[len(data)-most:]
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029', r == '\ufffd',
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069': // direction of text
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(data), ""))
	lines := strings.Split(strings.TrimSpace(clean), "\n")
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	return strings.Join(lines, "\n")
}

// quote is the beginning of data as a Go string literal, which is printable
// whatever it holds.
func quote(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	if len(data) > maxQuote {
		return strconv.QuoteToASCII(string(data[:maxQuote])) + "…"
	}
	return strconv.QuoteToASCII(string(data))
}
