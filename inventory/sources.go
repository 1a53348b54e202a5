package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
)

// dynamicTimeout bounds an executable source.
const dynamicTimeout = 30 * time.Second

// roots reads every source into a document.
func (l *loader) roots() []*document.Node {
	sources := l.opts.Sources
	if len(sources) == 0 {
		sources = []string{DefaultSource}
	}
	var out []*document.Node
	for _, name := range sources {
		for _, file := range l.files(name) {
			if root := l.root(file); root != nil {
				out = append(out, root)
			}
		}
	}
	return out
}

// files is the source itself or, for a directory, what lies in it.
func (l *loader) files(name string) []string {
	if name == "-" {
		return []string{name}
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return []string{name} // not a directory, or not readable: said when it is read
	}
	var out []string
	for _, e := range entries {
		path := filepath.Join(name, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), "~") || strings.HasSuffix(e.Name(), lockSuffix) {
			continue
		}
		if dataFile(path) || executable(path) {
			out = append(out, path)
		}
	}
	if len(out) == 0 {
		l.found.Add(diag.Diagnostic{Severity: diag.Error, File: name, Summary: "the directory holds no inventory",
			Hint: "*.yaml, *.yml, *.json and executables are read"})
	}
	return slices.DeleteFunc(out, l.isConfig)
}

// isConfig passes over the configuration files that commonly lie beside hosts.yaml:
// JSON that has their sections and no hosts.
func (l *loader) isConfig(path string) bool {
	if !strings.HasPrefix(strings.ToLower(filepath.Ext(path)), ".json") {
		return false
	}
	data, fault := l.readFile(path)
	if fault != nil {
		return false // said when it is read as an inventory
	}
	root, _ := document.ParseJSON(document.NewSource(path, "", data), data)
	config := func(key string) bool {
		return (l.schemas.has("hypervisor", key) || l.schemas.has("lxc", key)) && !l.schemas.has("inventory", key)
	}
	return root != nil && slices.ContainsFunc(root.Keys(), config) && root.Get("hosts") == nil && root.Get("groups") == nil
}

func dataFile(path string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json", ".jsonc"}, strings.ToLower(filepath.Ext(path)))
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func (l *loader) root(name string) *document.Node {
	data, src, fault := l.source(name)
	if fault != nil {
		l.found.Add(*fault)
		return nil
	}
	root, faults := document.Parse(src, data)
	l.found.Add(faults...)
	if root == nil {
		return nil
	}
	root = l.accept(root, "inventory")
	if name != "-" && (dataFile(name) || !executable(name)) {
		l.exposed(name, root)
	}
	return root
}

func (l *loader) source(name string) ([]byte, *document.Source, *diag.Diagnostic) {
	var data []byte
	var err error
	dir := filepath.Dir(name)
	switch {
	case name == "-":
		if l.opts.Stdin == nil {
			return nil, nil, &diag.Diagnostic{Severity: diag.Error, File: "<stdin>", Summary: "there is no standard input to read"}
		}
		name, dir = "<stdin>", "."
		data, err = io.ReadAll(io.LimitReader(l.opts.Stdin, document.MaxSize+1))
	case executable(name) && !dataFile(name):
		if fault := l.untrusted(name); fault != nil {
			return nil, nil, fault
		}
		data, err = l.dynamic(name)
	default:
		var fault *diag.Diagnostic
		if data, fault = l.readFile(name); fault != nil {
			return nil, nil, fault
		}
	}
	if err != nil {
		return nil, nil, &diag.Diagnostic{Severity: diag.Error, File: name, Summary: err.Error()}
	}
	return data, document.NewSource(name, dir, data), nil
}

// dynamic runs an executable source. The absolute path keeps PATH out of it.
func (l *loader) dynamic(name string) ([]byte, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(l.ctx, dynamicTimeout)
	defer cancel()
	run := l.opts.Run
	if run == nil {
		run = runProgram
	}
	data, err := run(ctx, []string{path})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, fmt.Errorf("run dynamic inventory: no end after %s", dynamicTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("run dynamic inventory: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("run dynamic inventory: it printed nothing")
	}
	return data, nil
}

func runProgram(ctx context.Context, argv []string) ([]byte, error) {
	var stdout, stderr limited
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // a child that keeps the pipe open must not hold us
	err := cmd.Run()
	if text := strings.TrimSpace(string(stderr.data)); err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text[max(0, len(text)-500):])
	}
	return stdout.data, err
}

// limited keeps a little more than the largest document, so that too much is seen
// to be too much.
type limited struct{ data []byte }

func (b *limited) Write(p []byte) (int, error) {
	room := max(0, document.MaxSize+1-len(b.data))
	b.data = append(b.data, p[:min(room, len(p))]...)
	return len(p), nil
}

// readFile reads a file that only trusted people can have written.
func (l *loader) readFile(name string) ([]byte, *diag.Diagnostic) {
	if fault := l.untrusted(name); fault != nil {
		return nil, fault
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, unreadableFile(name, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, document.MaxSize+1))
	if err != nil {
		return nil, unreadableFile(name, err)
	}
	return data, nil
}

// untrusted refuses what somebody else could have written: a configuration decides
// what runs as root on every host.
func (l *loader) untrusted(name string) *diag.Diagnostic {
	d := &diag.Diagnostic{Severity: diag.Error, File: name}
	info, err := os.Stat(name)
	if err != nil {
		return unreadableFile(name, err)
	}
	if !info.Mode().IsRegular() {
		d.Summary = "it is not a regular file"
		return d
	}
	if info.Mode()&0o002 != 0 {
		d.Summary, d.Hint = "anybody can write to the file", "chmod o-w "+name
		return d
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != l.opts.UID {
		d.Summary = fmt.Sprintf("the file belongs to user %d, neither to you nor to root", st.Uid)
		d.Hint = "copy it, or chown it after reading it"
		return d
	}
	return nil
}

// exposed warns of what looks like a secret in a file that everybody can read. The line
// is not shown: it has the secret.
func (l *loader) exposed(name string, root *document.Node) {
	if info, err := os.Stat(name); err != nil || info.Mode()&0o004 == 0 {
		return
	}
	root.Walk(func(m *document.Member, n *document.Node) {
		if n.Kind != document.String || m != nil && document.SecretKey(m.Key) {
			return // of the latter, checkTexts tells
		}
		if what := document.PlaintextSecret(n.Text); what != "" {
			d := n.Fault("everybody can read the file, and this looks like "+what, `write {"secret": "NAME"} where that is taken, or chmod o-r `+name)
			d.Severity, d.Source = diag.Warning, ""
			l.found.Add(d)
		}
	})
}

func unreadableFile(name string, err error) *diag.Diagnostic {
	d := &diag.Diagnostic{Severity: diag.Error, File: name, Summary: err.Error()}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		d.Summary = pathErr.Err.Error()
	}
	if errors.Is(err, fs.ErrNotExist) && name == DefaultSource {
		d.Hint = "name the inventory with -i FILE"
	}
	return d
}
