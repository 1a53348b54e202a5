package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxSize bounds a value and an age file, in bytes.
const maxSize = 1 << 20

// Resolver finds values. Its fields stand for the world around the process.
type Resolver struct {
	// Sources says where each secret comes from, by name.
	Sources map[string]Source
	// Env looks up an environment variable; nil knows none.
	Env func(name string) (string, bool)
	// Home is the operator's home directory, where ~/.config/phoenix/age.key is.
	Home string
	// UID is the operator: a file that belongs to anybody else but root is refused.
	UID int
	// Run starts a program and returns what it printed; nil runs it for real.
	Run func(ctx context.Context, argv []string) (stdout []byte, err error)
	// Stderr receives what programs say to people; nil drops it. It is never part of
	// an error, because nobody can tell what is in it.
	Stderr io.Writer
	// Prompt asks for the passphrase of an encrypted age identity; nil cannot ask.
	Prompt func(question string) (string, error)
}

// Resolve returns the values of the named secrets. The error joins what is wrong
// with every one of them, and holds no value.
func (r *Resolver) Resolve(ctx context.Context, names []string) (map[string]string, error) {
	out := make(map[string]string, len(names))
	age := &ageFiles{r: r, contents: make(map[string]map[string]string)}
	var errs []error
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		value, err := r.value(ctx, age, name)
		if err == nil && value == "" {
			err = errors.New("the value is empty")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("resolve secret %s: %w", name, err))
			continue
		}
		out[name] = value
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

func (r *Resolver) value(ctx context.Context, age *ageFiles, name string) (string, error) {
	s, ok := r.Sources[name]
	switch {
	case !ok:
		known := slices.Sorted(maps.Keys(r.Sources))
		return "", fmt.Errorf("find its source: the inventory knows only %s", strings.Join(known, ", "))
	case s.Env != "":
		if r.Env != nil {
			if v, ok := r.Env(s.Env); ok {
				return v, nil
			}
		}
		return "", fmt.Errorf("read environment variable %s: it is not set", s.Env)
	case s.File != "":
		data, err := r.private(s.File)
		return chomp(data), err
	case len(s.Command) > 0:
		data, err := r.command(ctx, s)
		return chomp(data), err
	case s.Age != "":
		key := s.Key
		if key == "" {
			key = name
		}
		return age.value(s.Age, key)
	}
	return "", errors.New("find its source: there is none of env, file, command and age")
}

// chomp takes one line end off.
func chomp(data []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
}

// private reads a file that nobody but its owner can read.
func (r *Resolver) private(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, cause(err))
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, cause(err))
	}
	if mode := info.Mode(); !mode.IsRegular() {
		return nil, fmt.Errorf("read %s: it is not a regular file", name)
	} else if mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read %s: others can read or write it (mode %04o; chmod 600 %s)", name, mode.Perm(), name)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != r.UID {
		return nil, fmt.Errorf("read %s: it belongs to user %d, neither to you nor to root", name, st.Uid)
	}
	return readAll(f, name)
}

func readAll(f io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, cause(err))
	case len(data) > maxSize:
		return nil, fmt.Errorf("read %s: it has more than %d bytes", name, maxSize)
	}
	return data, nil
}

// cause drops the path that the message already has.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (r *Resolver) command(ctx context.Context, s Source) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	run := r.Run
	if run == nil {
		run = r.start
	}
	data, err := run(ctx, s.Command)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("run %s: no end after %s (timeout_s)", s.Command[0], s.timeout())
	case err != nil:
		return nil, fmt.Errorf("run %s: %w", s.Command[0], err)
	case len(data) > maxSize:
		return nil, fmt.Errorf("run %s: it printed more than %d bytes", s.Command[0], maxSize)
	}
	return data, nil
}

func (r *Resolver) start(ctx context.Context, argv []string) ([]byte, error) {
	var out capped
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, r.Stderr
	cmd.WaitDelay = time.Second // a child that keeps the pipe open must not hold us
	err := cmd.Run()
	return out.data, err
}

// capped keeps a little more than the largest value, so that too much is seen to be
// too much.
type capped struct{ data []byte }

func (c *capped) Write(p []byte) (int, error) {
	room := max(0, maxSize+1-len(c.data))
	c.data = append(c.data, p[:min(room, len(p))]...)
	return len(p), nil
}

// identityFile is where the age identities are.
func (r *Resolver) identityFile() string {
	if r.Env != nil {
		if v, ok := r.Env("PHOENIX_AGE_IDENTITY"); ok && v != "" {
			return v
		}
	}
	return filepath.Join(r.Home, ".config", "phoenix", "age.key")
}

// identityName is the identity file for messages; a key given directly is not shown.
func (r *Resolver) identityName() string {
	if name := r.identityFile(); !strings.HasPrefix(name, "AGE-SECRET-KEY-") {
		return name
	}
	return "PHOENIX_AGE_IDENTITY"
}

// encrypted reads an age file.
func (r *Resolver) encrypted(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return readAll(f, name)
}
