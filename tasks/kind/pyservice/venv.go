package pyservice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/daemon"
)

// venv is the virtual environment with what is installed in it.
type venv struct {
	service          string // whose restart a change needs; empty where there is none
	dir, python      string
	packages         []string
	requirements     string
	index, extraFrom string
}

// distribution is one installed project.
type distribution struct{ folder, version string }

// found is an environment as it is.
type found struct {
	exists bool
	// interpreter is the file that the environment's python3 is, behind all links.
	interpreter string
	site        string
	installed   map[string]distribution
}

// pythonIn finds the interpreter that is configured, behind all links; empty where there
// is none yet.
func (v *venv) pythonIn(h tasks.Host) (string, error) {
	if path.IsAbs(v.python) {
		return follow(h, v.python)
	}
	for _, dir := range []string{"/usr/local/bin/", "/usr/bin/"} {
		if at, err := follow(h, dir+v.python); err != nil || at != "" {
			return at, err
		}
	}
	return "", nil
}

// follow is the file behind a path and its links; empty where there is none.
func follow(h tasks.Host, at string) (string, error) {
	for range 20 {
		fi, err := h.Stat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if fi.Mode&fs.ModeSymlink == 0 {
			return at, nil
		}
		if !path.IsAbs(fi.Target) {
			fi.Target = path.Dir(at) + "/" + fi.Target
		}
		at = path.Clean(fi.Target)
	}
	return "", fmt.Errorf("follow %s: the symbolic links go round in a circle", at)
}

// read finds out what the environment is and has.
func (v *venv) read(h tasks.Host) (found, error) {
	now := found{installed: map[string]distribution{}}
	config, there, err := tasks.ReadIfExists(h, v.dir+"/pyvenv.cfg")
	if err != nil {
		return now, err
	}
	now.exists = there
	if !there {
		names, err := h.ReadDir(v.dir)
		if err == nil && len(names) > 0 {
			return now, fmt.Errorf("make the environment %s: the folder is there and is none (move it away, or choose another venv)", v.dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return now, err
		}
		return now, nil
	}
	if now.interpreter, err = follow(h, v.dir+"/bin/python3"); err != nil {
		return now, err
	}
	version := regexp.MustCompile(`(?m)^version(?:_info)? *= *(\d+\.\d+)`).FindSubmatch(config)
	if version == nil {
		return now, nil
	}
	now.site = v.dir + "/lib/python" + string(version[1]) + "/site-packages"
	names, err := h.ReadDir(now.site)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return now, err
	}
	for _, name := range names {
		// NAME-VERSION.dist-info: no other hyphen, where the name is as it should be.
		if stem, is := strings.CutSuffix(name, ".dist-info"); is {
			if i := strings.LastIndex(stem, "-"); i > 0 {
				now.installed[normal(stem[:i])] = distribution{name, stem[i+1:]}
			}
		}
	}
	return now, nil
}

// whole tells whether the environment is one of the interpreter and has pip, which is put
// in last.
func (f found) whole(python string) bool {
	_, pip := f.installed["pip"]
	return f.exists && python != "" && f.interpreter == python && pip
}

// inPart ends the version of a project whose installation was interrupted.
const inPart = ", only in part"

// version is what of a project is installed in full: pip writes its RECORD last.
func (f found) version(h tasks.Host, name string) (string, error) {
	d, ok := f.installed[name]
	if !ok {
		return "", nil
	}
	for _, file := range []string{"METADATA", "RECORD"} {
		data, there, err := tasks.ReadIfExists(h, f.site+"/"+d.folder+"/"+file)
		switch {
		case err != nil:
			return "", err
		case !there:
			return d.version + inPart, nil
		case file == "METADATA":
			if v := regexp.MustCompile(`(?m)^Version: *(\S+)`).FindSubmatch(data); v != nil {
				d.version = string(v[1])
			}
		}
	}
	return d.version, nil
}

// Check reads files only.
func (v *venv) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	now, err := v.read(h)
	if err != nil {
		return nil, err
	}
	python, err := v.pythonIn(h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	if !now.whole(python) {
		from := ""
		if now.exists {
			from = strings.TrimSpace("incomplete " + path.Base(now.interpreter))
		}
		if now.interpreter != "" && now.interpreter != python {
			from = path.Base(now.interpreter)
		}
		to := path.Base(python)
		if python == "" {
			to = v.python
		}
		if from == to {
			to = v.python + " at " + python
		}
		d.Add("venv", from, to, tasks.EffectRestart)
		now.installed = nil
	}
	for _, r := range v.wanted() {
		have, err := now.version(h, r.name)
		if err != nil {
			return nil, err
		}
		want := r.version
		if want == "" {
			want = "any version"
		}
		if have == "" || !satisfied(have, r.version) || strings.HasSuffix(have, inPart) {
			d.Add("packages."+r.name, have, want, tasks.EffectRestart)
		}
	}
	if v.requirements != "" {
		have, there, err := tasks.ReadIfExists(h, v.file())
		if err != nil {
			return nil, err
		}
		if string(have) != v.requirements {
			from := ""
			if there {
				from = "other lines"
			}
			d.Add("requirements", from, "the configured lines", tasks.EffectRestart)
		}
	}
	return d, nil
}

// wanted are the projects that can be compared, each once.
func (v *venv) wanted() []requirement {
	var out []requirement
	for _, r := range append(requirements(strings.Join(v.packages, "\n")), requirements(v.requirements)...) {
		if !slices.ContainsFunc(out, func(o requirement) bool { return o.name == r.name }) {
			out = append(out, r)
		}
	}
	return out
}

// file is the requirements that were installed last.
func (v *venv) file() string { return path.Dir(v.dir) + "/requirements.txt" }

// Apply makes the environment and installs what differs. All is handed to pip at once,
// which looks for versions that go together; what is there is left as it is.
func (v *venv) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if v.service != "" {
		if err := daemon.Forget(ctx, h, v.service); err != nil {
			return err
		}
	}
	if d.Has("venv") {
		if err := v.make(ctx, h); err != nil {
			return err
		}
	}
	// What is there in part is in pip's way: it takes it for whole, and cannot take it out.
	var again []string
	for _, c := range d {
		name, is := strings.CutPrefix(c.Path, "packages.")
		if version, part := strings.CutSuffix(c.From, inPart); is && part {
			again = append(again, name+"=="+version)
		}
	}
	if len(again) > 0 {
		if err := v.pip(ctx, h, append([]string{"--ignore-installed", "--no-deps"}, again...)); err != nil {
			return err
		}
	}
	if len(v.packages) == 0 && v.requirements == "" {
		return nil
	}
	words := slices.Clone(v.packages)
	part := v.file() + ".new"
	if v.requirements != "" {
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: part, Data: []byte(v.requirements)}); err != nil {
			return err
		}
		words = append(words, "--requirement", part)
	}
	if err := v.pip(ctx, h, words); err != nil {
		return err
	}
	if v.requirements == "" {
		return nil
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: v.file(), Data: []byte(v.requirements)}); err != nil {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: part})
}

// pip installs, from the configured indexes alone.
func (v *venv) pip(ctx context.Context, h tasks.Host, words []string) error {
	argv := []string{v.dir + "/bin/python3", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"}
	if v.index != "" {
		argv = append(argv, "--index-url", v.index)
	}
	if v.extraFrom != "" {
		argv = append(argv, "--extra-index-url", v.extraFrom)
	}
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: append(argv, words...), Env: []string{"PIP_CONFIG_FILE=/dev/null"}})
	return err
}

// make makes the environment; one of another interpreter, or half of one, is cleared first:
// what is in it is pip's, and is installed again.
func (v *venv) make(ctx context.Context, h tasks.Host) error {
	python, err := v.pythonIn(h)
	if err != nil {
		return err
	}
	if python == "" {
		return fmt.Errorf("make the environment %s: there is no %s", v.dir, v.python)
	}
	now, err := v.read(h)
	if err != nil {
		return err
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: path.Dir(v.dir)}); err != nil {
		return err
	}
	argv := []string{python, "-m", "venv", v.dir}
	if now.exists {
		argv = slices.Insert(argv, 3, "--clear")
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv})
	return err
}

// revision is all that is installed: a service runs what was there when it started.
func (v *venv) revision(h tasks.Host) (string, error) {
	now, err := v.read(h)
	if err != nil {
		return "", err
	}
	var all []string
	for _, d := range now.installed {
		all = append(all, d.folder)
	}
	slices.Sort(all)
	return now.interpreter + " " + strings.Join(all, " "), nil
}
