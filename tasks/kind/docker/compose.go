package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/parts"
	"phoenix/tasks/proof"
	"phoenix/tasks/secret"
)

// container is one that belongs to a project.
type container struct {
	id, project, service, hash, state, status string
}

// containers are those of all projects; none where the daemon does not run. Those of
// `compose run` are nobody's service.
func (e *engine) containers(ctx context.Context, h tasks.Host, there bool) ([]container, error) {
	if !there || len(e.spec.Compose) == 0 {
		return nil, nil
	}
	const label = `{{.Label "com.docker.compose.`
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{ReadOnly: true, Argv: []string{
		"docker", "ps", "--all", "--no-trunc", "--filter", "label=com.docker.compose.project", "--format",
		"{{.ID}}\t" + label + `project"}}` + "\t" + label + `service"}}` + "\t" + label + `config-hash"}}` + "\t{{.State}}\t{{.Status}}\t" + label + `oneoff"}}`,
	}})
	if err != nil {
		return nil, err
	}
	var all []container
	for _, line := range tasks.Lines(string(out.Stdout)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) != 7 {
			return nil, fmt.Errorf("read what docker ps says: %q has %d columns, not 7", line, len(f))
		}
		if f[6] != "True" {
			all = append(all, container{f[0], f[1], f[2], f[3], f[4], f[5]})
		}
	}
	return all, nil
}

// dir is the directory of the project's files.
func (p Project) dir(name string) string {
	if p.Directory != "" {
		return p.Directory
	}
	return "/opt/compose/" + name
}

// files are the project's files as tasks: their directories first, then they themselves.
// Those with a secret in them are root's alone.
func (p Project) files(ctx context.Context, name string) (tasks.Task, error) {
	dir := p.dir(name)
	all := []parts.Part{{Name: "directory", Task: (&file.Spec{Path: dir, State: file.StateDirectory}).Task()}}
	seen := map[string]bool{dir: true}
	content := maps.Clone(p.Files)
	env, err := p.env(ctx)
	if err != nil {
		return nil, err
	}
	if len(p.Env) > 0 {
		content[".env"] = secret.Text{Literal: &env}
	}
	for _, f := range tasks.Keys(content) {
		at := path.Join(dir, f)
		if up := path.Dir(at); !seen[up] {
			seen[up] = true
			all = append(all, parts.Part{Name: "files." + path.Dir(f), Task: (&file.Spec{Path: up, State: file.StateDirectory}).Task()})
		}
		text := content[f]
		spec := &file.Spec{Path: at, Content: &text, Mode: "0644"}
		one := parts.Part{Name: "files." + f, Task: spec.Task()}
		switch {
		case f == ".env" && len(p.Env) > 0:
			one = parts.Part{Name: "env", Task: &dotenv{at, env}}
		case text.Ref != nil:
			spec.Mode = "0600"
			one.Task = spec.Task()
		}
		all = append(all, one)
	}
	return parts.New(all...), nil
}

// env is the text of the file .env. A value in single quotes is taken as it is.
func (p Project) env(ctx context.Context) (string, error) {
	var b strings.Builder
	for _, key := range tasks.Keys(p.Env) {
		t := p.Env[key]
		value := ""
		if t.Ref == nil {
			value = *t.Literal
		} else {
			v, err := tasks.SecretValue(ctx, t.Ref.Name)
			if err != nil {
				return "", err
			}
			if unquotable(v) {
				return "", fmt.Errorf("write %s of env: the secret %s has a line break, a control character or a single quote (put it into a file)", key, t.Ref.Name)
			}
			value = v
		}
		b.WriteString(key + "='" + value + "'\n")
	}
	return b.String(), nil
}

// dotenv is the file .env, of which nothing is shown: there may be secrets in it.
type dotenv struct{ path, text string }

// Check compares content and mode.
func (e *dotenv) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	data, there, err := tasks.ReadIfExists(h, e.path)
	if err != nil {
		return nil, err
	}
	from := ""
	if there {
		from = "other values"
	}
	var d tasks.Diff
	if !there || string(data) != e.text {
		d.Add("", from, "as configured", tasks.EffectLive)
	}
	if there {
		info, err := h.Stat(e.path)
		if err != nil {
			return nil, err
		}
		d.Add("mode", fmt.Sprintf("%04o", info.Mode.Perm()), "0600", tasks.EffectLive)
	}
	return d, nil
}

// Apply writes it.
func (e *dotenv) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	return put(ctx, h, e.path, []byte(e.text), 0o600)
}

// checkProject compares the files; where they are as wanted, the containers.
func (e *engine) checkProject(ctx context.Context, h tasks.Host, name string, all []container, there bool) (tasks.Diff, error) {
	p := e.spec.Compose[name]
	files, err := p.files(ctx, name)
	if err != nil {
		return nil, err
	}
	d, err := files.Check(ctx, h)
	if err != nil {
		return nil, err
	}
	mine := slices.DeleteFunc(slices.Clone(all), func(c container) bool { return c.project != name })
	if len(mine) > 0 && p.State != StateDown {
		interrupts(d)
	}
	switch {
	case p.State == StateDown && len(mine) > 0:
		d.Add("state", StateUp, StateDown, tasks.EffectLive)
	case p.State == StateDown:
	case !there:
		d.Add("state", "", StateUp, tasks.EffectLive)
	case len(d) == 0:
		if d, err = p.services(ctx, h, name, mine); err != nil {
			return nil, fmt.Errorf("compose.%s: %w", name, err)
		}
	case len(mine) == 0:
		d.Add("state", StateDown, StateUp, tasks.EffectLive)
	}
	for i := range d {
		d[i].Path = "compose." + name + "." + d[i].Path
	}
	return d, nil
}

// interrupts marks the changes for which containers that run are made anew. Which of them
// shows once compose has read its files.
func interrupts(d tasks.Diff) {
	for i, c := range d {
		_, name, _ := strings.Cut(c.Path, "files.")
		name = strings.TrimSuffix(strings.TrimSuffix(name, ".content"), ".state")
		composed := strings.HasPrefix(name, "compose.") || strings.HasPrefix(name, "docker-compose.") || name == ".env"
		if c.Path == "env" || composed && !strings.HasSuffix(c.Path, ".mode") {
			d[i].Effect = tasks.EffectRestart
			d[i].Note = strings.TrimPrefix(c.Note+"\n", "\n") + anew
		}
	}
}

// anew is what a change of a service costs.
const anew = "the containers of the services that it changes are made anew"

// recordOf is the name of what is remembered of a project since it was brought up: of the
// services whose two hashes (below) differ, both.
func recordOf(name string) string { return "docker-compose-" + name }

// services compares what runs with the configuration, each service by its hash.
//
// compose labels a container with the hash of its service and prints that of a service
// as the files have it now. The two are not always made of the same things (compose
// issues 10907 and 14001: depends_on, env_file), so a pair that stood beside one another
// after the last `up` is as good as two that are equal.
func (p Project) services(ctx context.Context, h tasks.Host, name string, mine []container) (tasks.Diff, error) {
	hashes, err := p.hashes(ctx, h, name)
	if err != nil {
		return nil, err
	}
	known, err := proof.Read(ctx, h, recordOf(name))
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	for _, service := range tasks.Keys(hashes) {
		at := "services." + service
		its := slices.DeleteFunc(slices.Clone(mine), func(c container) bool { return c.service != service })
		if len(its) == 0 {
			d.Add(at, "", "running", tasks.EffectLive)
		}
		for _, c := range its {
			fine, err := c.runs(ctx, h)
			switch {
			case err != nil:
				return nil, err
			case d.Has(at):
			case !fine:
				d.Add(at, c.state, "running", tasks.EffectLive)
			case c.hash != hashes[service] && known[service] != hashes[service]+" "+c.hash:
				d.Add(at, "running with another configuration", "running as configured", tasks.EffectRestart)
			}
		}
	}
	for _, c := range mine {
		if at := "services." + c.service; hashes[c.service] == "" && !d.Has(at) {
			d.Add(at, c.state, "", tasks.EffectLive)
		}
	}
	return d, nil
}

// runs tells whether a container is as `up` leaves it: it runs, or it has done its work,
// ended well, and is not one that is to be restarted.
func (c container) runs(ctx context.Context, h tasks.Host) (bool, error) {
	if c.state == "running" || !strings.HasPrefix(c.status, "Exited (0)") {
		return c.state == "running", nil
	}
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{ReadOnly: true, Argv: []string{"docker", "inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", c.id}})
	policy := strings.TrimSpace(string(out.Stdout))
	return policy == "no" || policy == "", err
}

// composeArgv is docker compose, or the program of the first generation, which Debian 12
// has.
func composeArgv(h tasks.Host, name string, args ...string) ([]string, error) {
	version, _, err := installed(h, "docker-compose-plugin", "docker-compose-v2", "docker-cli-compose", "docker-compose")
	argv := []string{"docker", "compose"}
	if strings.HasPrefix(version, "1.") {
		argv = []string{"docker-compose"}
	}
	return append(append(argv, "-p", name), args...), err
}

// hashes are those of the services as the files have them now.
func (p Project) hashes(ctx context.Context, h tasks.Host, name string) (map[string]string, error) {
	argv, err := composeArgv(h, name, "config", "--hash", "*")
	if err != nil {
		return nil, err
	}
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{ReadOnly: true, Dir: p.dir(name), Argv: argv})
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, line := range tasks.Lines(string(out.Stdout)) {
		if f := strings.Fields(line); len(f) == 2 {
			all[f[0]] = f[1]
		}
	}
	if len(all) == 0 {
		return nil, errors.New("read what compose config says: it names no service")
	}
	return all, nil
}

// applyProject writes the files and brings the project up, or down.
func (e *engine) applyProject(ctx context.Context, h tasks.Host, name string) error {
	p := e.spec.Compose[name]
	files, err := p.files(ctx, name)
	if err != nil {
		return err
	}
	d, err := files.Check(ctx, h)
	if err == nil && len(d) > 0 {
		err = files.Apply(ctx, h, d)
	}
	if err != nil {
		return err
	}
	words := []string{"up", "-d", "--remove-orphans"}
	if p.State == StateDown {
		words = []string{"down", "--remove-orphans"}
	}
	if p.State != StateDown && len(d) > 0 {
		words = append(words, "--build") // a Dockerfile may be among what has changed
	}
	argv, err := composeArgv(h, name, words...)
	if err != nil {
		return err
	}
	if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Dir: p.dir(name), Argv: argv}); err != nil || p.State == StateDown {
		return err
	}
	all, err := e.containers(ctx, h, true)
	if err != nil {
		return err
	}
	hashes, err := p.hashes(ctx, h, name)
	if err != nil {
		return err
	}
	record := map[string]string{}
	for _, c := range all {
		if c.project == name && hashes[c.service] != c.hash {
			record[c.service] = hashes[c.service] + " " + c.hash
		}
	}
	before, err := proof.Read(ctx, h, recordOf(name))
	if err != nil || maps.Equal(before, record) {
		return err
	}
	return proof.Write(ctx, h, recordOf(name), record)
}
