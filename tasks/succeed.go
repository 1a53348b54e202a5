package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// ReadIfExists returns the content of a file, and false when there is none. Many
// of Proxmox's files are absent until the first write, which means their defaults.
func ReadIfExists(h Host, path string) ([]byte, bool, error) {
	data, err := h.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", path, err)
	}
	return data, true, nil
}

// Lines splits a text into its lines, each with its line break. It is strings.Lines as
// a slice: the body of a loop over an iterator is a function of its own, and the helper
// would have a hundred of them.
func Lines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		return lines[:last]
	}
	return lines
}

// Succeed runs a program and turns every end but status 0 into an error.
func Succeed(ctx context.Context, h Host, c Cmd) (Output, error) {
	out, err := h.Run(ctx, c)
	return out, Failed(c, out, err)
}

// LogOutput says what a program printed, line by line, for a Host that has the
// output only when the program has ended.
func LogOutput(ctx context.Context, out Output) {
	log := ScopeOf(ctx).Log
	if log == nil {
		return
	}
	for _, s := range []struct {
		name string
		data []byte
	}{{"stdout", out.Stdout}, {"stderr", out.Stderr}} {
		for _, line := range Lines(string(s.data)) {
			log(Log{Stream: s.name, Text: LogLine([]byte(line))})
		}
	}
}

// LogLine makes one line of a program's output fit for a Log: no line break, of
// text that overwrote itself (progress bars) only the last state, without the sequences
// that colour a terminal, valid UTF-8, at most 8 KiB.
func LogLine(line []byte) string {
	line = bytes.TrimRight(line, "\r\n")
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	const limit = 8 << 10
	if len(line) > limit {
		line = line[:limit]
	}
	return string(bytes.ToValidUTF8(plain(line), nil))
}

// plain takes out escape sequences (ECMA-48: ESC [ … a letter): in the middle of a secret
// they would hide it from the redactor, and they are of no use in a log.
func plain(line []byte) []byte {
	if bytes.IndexByte(line, 0x1b) < 0 {
		return line
	}
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] != 0x1b {
			out = append(out, line[i])
			continue
		}
		if i++; i < len(line) && line[i] == '[' {
			for i++; i < len(line) && (line[i] < '@' || line[i] > '~'); i++ {
			}
		}
	}
	return out
}
