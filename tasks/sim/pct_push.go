package sim

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// pctPush copies a file of the host into a running container. Whatever goes wrong in
// its task, it exits 0: the complaint on standard error is all there is.
func pctPush(p *pctCall) error {
	if !p.m.running(p.id) {
		return die(255, "can only push files to a running CT")
	}
	mode, err := p.perms()
	if err != nil {
		return err
	}
	g := p.m.guestMachine(p.id)
	if err := p.owners(g); err != nil {
		return err
	}
	data, err := p.m.read(p.args["file"])
	if err != nil && !isFolder(p.m.path(p.args["file"])) {
		return die(0, "failed to open %s for reading", p.args["file"])
	}
	return copyInto(g, p.args["destination"], data, mode)
}

// isFolder tells whether the path is a folder, which pct copies as an empty file.
func isFolder(full string) bool {
	st, err := os.Stat(full)
	return err == nil && st.IsDir()
}

// perms reads --perms: octal, 0644 when absent.
func (p *pctCall) perms() (fs.FileMode, error) {
	text := p.args["perms"]
	if text == "" {
		return 0o644, nil
	}
	mode, err := strconv.ParseUint(text, 8, 12)
	if err != nil {
		if !strings.HasPrefix(text, "0") {
			text = "0" + text
		}
		return 0, die(0, "invalid mode: '%s'", text)
	}
	return fs.FileMode(mode), nil
}

// owners refuses names that the container does not know.
func (p *pctCall) owners(g *Machine) error {
	for _, what := range [][3]string{{"user", "/etc/passwd", "uid"}, {"group", "/etc/group", "gid"}} {
		name := p.args[what[0]]
		if name == "" || matchInteger(name) {
			continue
		}
		if !strings.Contains("\n"+g.text(what[1]), "\n"+name+":") {
			return die(0, "failed to get %s for: %s", what[2], name)
		}
	}
	return nil
}

// copyInto writes a file where the folder above it must be there.
func copyInto(m *Machine, destination string, data []byte, mode fs.FileMode) error {
	full := m.path(destination)
	var reason string
	switch st, err := os.Stat(full); {
	case err == nil && st.IsDir():
		reason = "Is a directory"
	case !isFolder(path.Dir(full)):
		reason = "No such file or directory"
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		return m.write(destination, data, mode)
	}
	return die(0, "failed to create file: %s: %s", destination, reason)
}

func pctPull(p *pctCall) error {
	if !p.m.running(p.id) {
		return die(255, "can only pull files from a running VM at /usr/share/perl5/PVE/CLI/pct.pm line 657.")
	}
	mode, err := p.perms()
	if err != nil {
		return err
	}
	g := p.m.guestMachine(p.id)
	data, err := g.read(p.args["path"])
	if err != nil && !isFolder(g.path(p.args["path"])) {
		return die(0, "failed to open %s: No such file or directory", p.args["path"])
	}
	return copyInto(p.m, p.args["destination"], data, mode)
}
