package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/distro"
)

const (
	daemonFile = "/etc/docker/daemon.json"
	// untold says that the daemon has not yet been told of a change of its file: what is
	// to be done. A reboot takes it away, and starts the daemon anew.
	untold      = "/run/phoenix-docker-daemon"
	todoReload  = "reload"
	todoRestart = "restart"
	todoNew     = "new" // a restart, after the first file
	candidate   = "/run/phoenix-docker-daemon.json"
)

// daemon is daemon.json, and the daemon that has read it.
type daemon struct{ spec *Spec }

// settingNames are the keys of daemon.json by those of the spec.
func settingNames() map[string]string {
	return map[string]string{
		"log_driver": "log-driver", "log_options": "log-opts", "registry_mirrors": "registry-mirrors",
		"insecure_registries": "insecure-registries", "data_root": "data-root", "live_restore": "live-restore", "storage_driver": "storage-driver",
	}
}

// reloadable are the keys that a daemon takes over on SIGHUP: moby's daemon/reload.go.
// Of features the daemon asks for most only when it starts.
func reloadable(key string) bool {
	return slices.Contains([]string{
		"debug", "labels", "live-restore", "max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts",
		"default-runtime", "runtimes", "authorization-plugins", "insecure-registries", "registry-mirrors", "shutdown-timeout",
	}, key)
}

// object is the content of daemon.json.
type object map[string]any

// parse reads daemon.json, of which the daemon takes an empty one for {}. A fault is
// named with its place.
func parse(data []byte) (object, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return object{}, nil
	}
	out := object{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err := d.Decode(&out)
	at := d.InputOffset()
	if err == nil {
		if rest := bytes.TrimSpace(data[at:]); len(rest) > 0 {
			err = fmt.Errorf("%.20q follows the object", rest)
		} else if out == nil {
			err = errors.New("it is null")
		}
	}
	if err == nil {
		return out, nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
	}
	before := data[:min(max(int(at)-1, 0), len(data))]
	line, column := bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n')
	return nil, fmt.Errorf("read %s: line %d, column %d: %w (mend it by hand, or move it away)", daemonFile, line, column, err)
}

// wanted is what the spec asks for, in the keys of daemon.json, beside what is there.
func (s *Spec) wanted(h tasks.Host, have object) (object, error) {
	out := object{}
	for key, raw := range s.Daemon {
		one, err := parse([]byte(`{"x":` + string(raw) + `}`))
		if err != nil {
			return nil, fmt.Errorf("read daemon.%s: %w", key, err)
		}
		out[key] = one["x"]
	}
	set := func(key string, is bool, value any) {
		if is {
			out[key] = value
		}
	}
	driver, err := s.driver(h)
	if err != nil {
		return nil, err
	}
	set("log-driver", s.LogDriver != "", s.LogDriver)
	set("registry-mirrors", len(s.RegistryMirrors) > 0, anything(s.RegistryMirrors))
	set("insecure-registries", len(s.InsecureRegistries) > 0, anything(s.InsecureRegistries))
	set("data-root", s.DataRoot != "", s.DataRoot)
	set("storage-driver", driver != "", driver)
	if s.LiveRestore != nil {
		out["live-restore"] = *s.LiveRestore
	}
	options := map[string]any{}
	for name, value := range s.LogOptions {
		options[name] = value
	}
	logs := s.LogDriver
	if logs == "" {
		logs, _ = have["log-driver"].(string)
	}
	if s.LogOptions == nil && (logs == "" || logs == "json-file") {
		there, _ := have["log-opts"].(map[string]any)
		for name, value := range map[string]string{"max-size": "10m", "max-file": "3"} {
			if there[name] == nil {
				options[name] = value
			}
		}
	}
	set("log-opts", len(options) > 0, options)
	if s.NVIDIA != nil {
		if err := s.NVIDIA.settings(h, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// anything is a list as JSON has it.
func anything(list []string) []any {
	out := make([]any, len(list))
	for i, one := range list {
		out[i] = one
	}
	return out
}

// compare adds what differs below a key, and puts what is wanted into have. Objects are
// merged, everything else is replaced.
func compare(path string, have map[string]any, want map[string]any, effect func(string) tasks.Effect, d *tasks.Diff) {
	for _, key := range tasks.Keys(want) {
		at := key
		if path != "" {
			at = path + "." + key
		}
		if inner, is := want[key].(map[string]any); is {
			below, _ := have[key].(map[string]any)
			if below == nil {
				below = map[string]any{}
			}
			before := len(*d)
			compare(at, below, inner, func(string) tasks.Effect { return effect(key) }, d)
			if len(*d) > before || have[key] == nil {
				if len(*d) == before {
					d.Add(at, "", "{}", effect(key))
				}
				have[key] = below
			}
			continue
		}
		from := ""
		if old, there := have[key]; there {
			from = shown(old)
		}
		if to := shown(want[key]); from != to || have[key] == nil {
			d.Add(at, from, to, effect(key))
			have[key] = want[key]
		}
	}
}

// shown is a value for people: text as it is, everything else as JSON.
func shown(v any) string {
	if s, is := v.(string); is {
		return s
	}
	return strings.TrimSpace(string(encode(v, "")))
}

func encode(v any, indent string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	_ = e.Encode(v) // what came from JSON goes into it
	return b.Bytes()
}

// view is daemon.json as it is and as it is to be, and what the daemon has to be told.
type view struct {
	before []byte
	there  bool
	after  object
	diff   tasks.Diff
	todo   string
}

func (s *Spec) look(h tasks.Host) (v view, err error) {
	if v.before, v.there, err = tasks.ReadIfExists(h, daemonFile); err != nil {
		return v, err
	}
	todo, _, err := tasks.ReadIfExists(h, untold)
	if err != nil {
		return v, err
	}
	v.todo = string(todo)
	if v.after, err = parse(v.before); err != nil {
		if v.todo != todoNew {
			return v, err
		}
		v.after = object{} // a machine that lost its power in the middle of ours
	}
	want, err := s.wanted(h, v.after)
	if err != nil {
		return v, err
	}
	compare("", v.after, want, func(key string) tasks.Effect {
		if reloadable(key) {
			return tasks.EffectLive
		}
		return tasks.EffectRestart
	}, &v.diff)
	for i, c := range v.diff {
		v.diff[i].Path = "daemon." + c.Path
		for own, its := range settingNames() {
			if c.Path == its || strings.HasPrefix(c.Path, its+".") {
				v.diff[i].Path = own + strings.TrimPrefix(c.Path, its)
			}
		}
	}
	return v, nil
}

// Check compares the file, and whether the service runs and has read it.
func (t *daemon) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	v, err := t.spec.look(h)
	if err != nil {
		return nil, err
	}
	d := v.diff
	if v.todo != "" && len(d) == 0 {
		effect := tasks.EffectRestart
		if v.todo == todoReload {
			effect = tasks.EffectLive
		}
		d.Add("daemon", "not told of "+daemonFile, "told", effect)
	}
	services, err := manager(h)
	if err != nil {
		return nil, err
	}
	now, err := services.State(ctx, h, Name)
	if err != nil {
		return nil, err
	}
	d.Add("service.enabled", yes(now.Enabled), "yes", tasks.EffectLive)
	d.Add("service.active", yes(now.Active), "yes", tasks.EffectLive)
	return d, nil
}

func yes(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }

func manager(h tasks.Host) (distro.Services, error) {
	what, err := distro.Read(h)
	if err != nil {
		return nil, err
	}
	return what.Services(h)
}

// Apply writes the file, tells the daemon, and starts the service.
func (t *daemon) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	services, err := manager(h)
	if err != nil {
		return err
	}
	v, err := t.spec.look(h)
	if err != nil {
		return err
	}
	if len(v.diff) > 0 {
		if err := v.install(ctx, h); err != nil {
			return err
		}
	}
	now, err := services.State(ctx, h, Name)
	if err != nil {
		return err
	}
	err = tell(ctx, h, services, v.todo, now)
	if err != nil && len(v.diff) > 0 && ctx.Err() == nil {
		return errors.Join(fmt.Errorf("tell the daemon of %s: %w", daemonFile, err), v.back(ctx, h, services))
	}
	return err
}

// install writes the file, after what the daemon is to be told.
func (v *view) install(ctx context.Context, h tasks.Host) error {
	data := encode(v.after, "  ")
	if err := validate(ctx, h, data); err != nil {
		return err
	}
	switch {
	case !v.there || v.todo == todoNew:
		v.todo = todoNew
	case len(v.diff.With(tasks.EffectRestart)) > 0:
		v.todo = todoRestart
	case v.todo == "":
		v.todo = todoReload
	}
	if err := put(ctx, h, untold, []byte(v.todo), 0o600); err != nil {
		return err
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: "/etc/docker"}); err != nil {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: daemonFile, Data: data})
}

// tell has the daemon take over its file, and makes the service run.
func tell(ctx context.Context, h tasks.Host, services distro.Services, todo string, now distro.Service) error {
	var err error
	if !now.Enabled || !now.Active {
		err = services.Enable(ctx, h, Name)
	}
	switch {
	case err != nil || !now.Active: // one that has just been started has read it
	case todo == todoReload:
		err = services.Reload(ctx, h, Name)
	case todo != "":
		err = services.Restart(ctx, h, Name)
	}
	if err != nil || todo == "" {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: untold})
}

// back puts the old file back after a daemon that does not start with the new one.
func (v *view) back(ctx context.Context, h tasks.Host, services distro.Services) error {
	e := tasks.Edit{Verb: tasks.VerbRemove, Path: daemonFile}
	if v.there {
		e = tasks.Edit{Verb: tasks.VerbPut, Path: daemonFile, Data: v.before}
	}
	err := h.Write(ctx, e)
	if err == nil {
		err = services.Restart(ctx, h, Name)
	}
	if err == nil {
		err = h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: untold})
	}
	if err != nil {
		return fmt.Errorf("put the old %s back: %w", daemonFile, err)
	}
	return errors.New("the old file is back, and the daemon runs with it")
}

// validate has dockerd read the file before it is installed. The option is there from
// Docker 23.0 on; an older one says that it does not know it.
func validate(ctx context.Context, h tasks.Host, data []byte) (err error) {
	if err := put(ctx, h, candidate, data, 0o600); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, h.Write(context.WithoutCancel(ctx), tasks.Edit{Verb: tasks.VerbRemove, Path: candidate}))
	}()
	c := tasks.Cmd{ReadOnly: true, Argv: []string{"dockerd", "--validate", "--config-file=" + candidate}}
	out, err := h.Run(ctx, c)
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.Contains(string(out.Stderr), "unknown flag") {
		return nil
	}
	if err := tasks.Failed(c, out, err); err != nil {
		return fmt.Errorf("check %s as it would be: %w", daemonFile, err)
	}
	return nil
}

func put(ctx context.Context, h tasks.Host, path string, data []byte, mode fs.FileMode) error {
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: path, Data: data, Mode: &mode})
}
