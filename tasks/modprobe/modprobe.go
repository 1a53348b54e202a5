// Package modprobe reads what modprobe is told in its configuration, adds to phoenix's
// own file of it, and tells from /proc which modules are loaded.
//
// It loads nothing, starts no program and never edits a file of others: what another
// file says counts where it is enough, and is told where it is in the way. The grammar
// is that of modprobe.d(5). Start reading at Read and Own.
package modprobe

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/boot"
	"phoenix/tasks/dropin"
)

// Own is phoenix's file: the last one by its name, because the last value of an option
// is the one that counts.
const Own = "/etc/modprobe.d/zz-phoenix.conf"

const header = "# Written by phoenix. What others write here stays.\n"

// Config is what all files say together.
type Config struct {
	blacklist map[string]string // the file that says it, by module
	options   map[string]map[string]Option
}

// Option is a parameter of a module.
type Option struct {
	// Word is the parameter as it is written: "modeset=0", or "debug" for one without
	// a value.
	Word string
	// File says it last.
	File string
}

// Canonical is a module's name as the kernel writes it: dashes are underscores.
func Canonical(module string) string { return strings.ReplaceAll(module, "-", "_") }

// Key is the name of the parameter that a word sets.
func Key(word string) string {
	key, _, _ := strings.Cut(word, "=")
	return Canonical(key)
}

// Read parses all files of the machine.
func Read(h tasks.Host) (Config, error) {
	c := Config{blacklist: make(map[string]string), options: make(map[string]map[string]Option)}
	files, err := dropin.Read(h, ".conf", dropin.Folders("modprobe.d")...)
	if err != nil {
		return c, err
	}
	for _, f := range files {
		for _, words := range statements(f.Data) {
			c.take(f.Path, words)
		}
	}
	return c, nil
}

// statements are the lines of a file as words, without comments; a backslash at the end
// of a line joins the next one to it.
func statements(data []byte) [][]string {
	var out [][]string
	for _, line := range tasks.Lines(strings.ReplaceAll(string(data), "\\\n", " ")) {
		if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(f[0], "#") {
			out = append(out, f)
		}
	}
	return out
}

func (c Config) take(file string, words []string) {
	if len(words) < 2 {
		return
	}
	module := Canonical(words[1])
	switch words[0] {
	case "blacklist":
		c.blacklist[module] = file
	case "options":
		if c.options[module] == nil {
			c.options[module] = make(map[string]Option)
		}
		for _, w := range words[2:] {
			c.options[module][Key(w)] = Option{Word: w, File: file}
		}
	}
}

// Blacklisted tells whether the module is not loaded by itself, for its device.
func (c Config) Blacklisted(module string) bool {
	_, is := c.blacklist[Canonical(module)]
	return is
}

// Option returns what is said last of the parameter that a word sets.
func (c Config) Option(module, word string) (Option, bool) {
	o, ok := c.options[Canonical(module)][Key(word)]
	return o, ok
}

// Wanted is what to add to phoenix's own file.
type Wanted struct {
	Blacklist []string
	// Options are words by module.
	Options map[string][]string
}

// Empty tells whether there is nothing to add.
func (w Wanted) Empty() bool { return len(w.Blacklist) == 0 && len(w.Options) == 0 }

// Add returns the file's content with what is wanted in it. Lines of other modules and
// other parameters stay as they are.
func (w Wanted) Add(old []byte) ([]byte, error) {
	text := string(old)
	if text == "" {
		text = header
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	said := Config{blacklist: make(map[string]string), options: make(map[string]map[string]Option)}
	for _, words := range statements(old) {
		said.take(Own, words)
	}
	for _, m := range w.Blacklist {
		if err := plain(m); err != nil {
			return nil, err
		}
		if !said.Blacklisted(m) {
			text += "blacklist " + m + "\n"
		}
	}
	for _, m := range tasks.Keys(w.Options) {
		if err := plain(append([]string{m}, w.Options[m]...)...); err != nil {
			return nil, err
		}
		text = setOptions(text, m, w.Options[m])
	}
	return []byte(text), nil
}

// plain refuses a word that would not stay one.
func plain(words ...string) error {
	for _, w := range words {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`"'\#`, r) }) {
			return fmt.Errorf("write %s: %q cannot be a word of it", Own, w)
		}
	}
	return nil
}

// setOptions puts the words into the module's line. The parameters leave its other
// lines; a line that is left without any goes.
func setOptions(text, module string, words []string) string {
	var out strings.Builder
	done := false
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "options" || Canonical(f[1]) != Canonical(module) || strings.HasSuffix(strings.TrimSpace(line), `\`) {
			out.WriteString(line)
			continue
		}
		kept := slices.DeleteFunc(f[2:], func(have string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return Key(w) == Key(have) })
		})
		if !done {
			kept, done = append(kept, words...), true
		}
		if len(kept) > 0 {
			out.WriteString("options " + f[1] + " " + strings.Join(kept, " ") + "\n")
		}
	}
	if !done {
		out.WriteString("options " + module + " " + strings.Join(words, " ") + "\n")
	}
	return out.String()
}

// Modules are the modules in the running kernel.
type Modules struct{ loaded, builtin map[string]bool }

// Present reads which modules are there: loaded, or a part of the kernel.
func Present(h tasks.Host) (Modules, error) {
	m := Modules{loaded: make(map[string]bool), builtin: make(map[string]bool)}
	data, _, err := tasks.ReadIfExists(h, "/proc/modules") // none in a kernel without modules
	if err != nil {
		return m, err
	}
	for _, line := range tasks.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 0 {
			m.loaded[Canonical(f[0])] = true
		}
	}
	release, err := boot.Running(h)
	if err != nil {
		return m, err
	}
	data, _, err = tasks.ReadIfExists(h, "/lib/modules/"+release+"/modules.builtin")
	if err != nil {
		return m, err
	}
	for _, line := range tasks.Lines(string(data)) {
		name, _, _ := strings.Cut(path.Base(strings.TrimSpace(line)), ".ko")
		m.builtin[Canonical(name)] = true
	}
	return m, nil
}

// Loaded tells whether the module was loaded and could be taken out again.
func (m Modules) Loaded(module string) bool { return m.loaded[Canonical(module)] }

// Has tells whether the module is there, loaded or as a part of the kernel.
func (m Modules) Has(module string) bool { return m.Loaded(module) || m.Builtin(module) }

// Builtin tells whether the module is a part of the kernel.
func (m Modules) Builtin(module string) bool { return m.builtin[Canonical(module)] }
