package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
		for line := range bytes.Lines(s.data) {
			log(Log{Stream: s.name, Text: LogLine(line)})
		}
	}
}

// LogLine makes one line of a program's output fit for a Log: no line break, of
// text that overwrote itself (progress bars) only the last state, valid UTF-8, at
// most 8 KiB.
func LogLine(line []byte) string {
	line = bytes.TrimRight(line, "\r\n")
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	const limit = 8 << 10
	if len(line) > limit {
		line = line[:limit]
	}
	return string(bytes.ToValidUTF8(line, nil))
}
