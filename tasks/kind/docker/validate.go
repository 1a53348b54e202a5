package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
	"phoenix/tasks/secret"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	v := &validation{}
	v.choice("source", s.Source, SourceDistribution, SourceCE)
	v.choice("storage_driver", s.StorageDriver, "overlay2", "fuse-overlayfs", "btrfs", "zfs", "overlayfs")
	if s.LogDriver != "" {
		v.match("log_driver", s.LogDriver, `^[a-z][a-z0-9._/:-]*$`, "json-file, local, journald, syslog, none or a plugin")
	}
	for _, name := range tasks.Keys(s.LogOptions) {
		v.match("log_options."+name, name, `^[A-Za-z0-9_.-]+$`, "a name such as max-size")
		v.plain("log_options."+name, s.LogOptions[name])
	}
	v.list("registry_mirrors", s.RegistryMirrors, `^https?://[A-Za-z0-9][A-Za-z0-9.:-]*(/[A-Za-z0-9._~/-]*)?$`, "https://HOST[:PORT]")
	v.list("insecure_registries", s.InsecureRegistries, `^[A-Za-z0-9][A-Za-z0-9.:-]*(/[0-9]{1,3})?$`, "HOST, HOST:PORT or a network such as 10.0.0.0/8")
	v.list("users", s.Users, `^[a-z_][a-z0-9_.-]{0,31}$`, "a user of the container")
	if s.DataRoot != "" {
		v.directory("data_root", s.DataRoot)
	}
	for _, key := range tasks.Keys(s.Daemon) {
		v.daemonKey("daemon."+key, key, s.Daemon[key])
	}
	seen := map[string]string{}
	for _, name := range tasks.Keys(s.Compose) {
		p := s.Compose[name]
		v.project("compose."+name, name, p)
		if other, twice := seen[p.dir(name)]; twice {
			v.add("compose."+name+".directory", "is that of the project "+other, "give each project its own")
		}
		seen[p.dir(name)] = name
	}
	if len(s.Compose) > 0 && s.ComposePlugin != nil && !*s.ComposePlugin {
		v.add("compose_plugin", "is off, and there are projects", "leave it out")
	}
	if s.NVIDIA != nil {
		v.choice("nvidia.mode", s.NVIDIA.Mode, ModeAuto, ModeCDI, ModeLegacy)
	}
	return v.problems
}

type validation struct{ problems []tasks.Problem }

func (v *validation) add(path, summary, hint string) {
	v.problems = append(v.problems, tasks.Problem{Path: path, Summary: summary, Hint: hint})
}

func (v *validation) choice(at, value string, words ...string) {
	switch {
	case at == "storage_driver" && value == "vfs":
		v.add(at, "vfs copies every layer whole: it fills the disk", strings.Join(words, ", "))
	case value != "" && !slices.Contains(words, value):
		v.add(at, fmt.Sprintf("%q is no choice", value), strings.Join(words, ", "))
	}
}

func (v *validation) match(at, value, pattern, hint string) bool {
	ok := regexp.MustCompile(pattern).MatchString(value)
	if !ok {
		v.add(at, fmt.Sprintf("%q is not allowed here", value), hint)
	}
	return ok
}

func (v *validation) list(at string, values []string, pattern, hint string) {
	for i, value := range values {
		here := fmt.Sprintf("%s.%d", at, i)
		if v.match(here, value, pattern, hint) && slices.Index(values, value) < i {
			v.add(here, value+" is named twice", "")
		}
	}
}

// plain refuses what would end a line.
func (v *validation) plain(at, value string) {
	if pve.HasControl(value) {
		v.add(at, "has a line break or a control character", "one line of text")
	}
}

func (v *validation) directory(at, value string) {
	if !path.IsAbs(value) || path.Clean(value) != value || value == "/" || pve.HasControl(value) {
		v.add(at, fmt.Sprintf("%q is no absolute, clean path", value), "such as /srv/docker, without .. and without a slash at the end")
	}
}

func (v *validation) daemonKey(at, key string, raw json.RawMessage) {
	ours := map[string]string{}
	for own, its := range settingNames() {
		ours[its] = own
	}
	switch own := ours[key]; {
	case own != "":
		v.add(at, "has a key of its own", "use "+own)
	case key == "hosts":
		v.add(at, "hosts cannot stand in daemon.json, since the service's command has them (-H)", "change the service with a drop-in in files")
	case !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(key):
		v.add(at, fmt.Sprintf("%q is no key of daemon.json", key), "such as default-address-pools")
	case bytes.Equal(bytes.TrimSpace(raw), []byte("null")):
		v.add(at, "is null", "leave it out for a key that is not managed")
	}
}

func (v *validation) project(at, name string, p Project) {
	v.match(at, name, `^[a-z0-9][a-z0-9_-]*$`, "lower-case letters, digits, - and _")
	v.choice(at+".state", p.State, StateUp, StateDown)
	if p.Directory != "" {
		v.directory(at+".directory", p.Directory)
	}
	if !slices.ContainsFunc(composeFiles(), func(f string) bool { _, is := p.Files[f]; return is }) {
		v.add(at+".files", "has no compose file", "name one of them "+strings.Join(composeFiles(), ", "))
	}
	for _, f := range tasks.Keys(p.Files) {
		here := at + ".files." + f
		switch {
		case path.IsAbs(f) || path.Clean(f) != f || f == "." || f == ".." || strings.HasPrefix(f, "../") || pve.HasControl(f):
			v.add(here, fmt.Sprintf("%q is no name below the directory", f), "such as compose.yaml or conf/app.ini")
		case f == ".env" && len(p.Env) > 0:
			v.add(here, "is written from env", "leave one of them out")
		}
		v.text(here, p.Files[f])
	}
	for _, key := range tasks.Keys(p.Env) {
		here := at + ".env." + key
		v.match(here, key, `^[A-Za-z_][A-Za-z0-9_]*$`, "letters, digits and _")
		v.text(here, p.Env[key])
		if t := p.Env[key]; t.Literal != nil && unquotable(*t.Literal) {
			v.add(here, "has a line break, a control character or a single quote", "put it into a file, or refer to it with env_file")
		}
	}
}

func (v *validation) text(at string, t secret.Text) {
	switch {
	case t.Ref != nil && t.Ref.Name == "":
		v.add(at+".secret", "names no secret", "")
	case t.Ref == nil && t.Literal == nil:
		v.add(at, "is null", `give text, or {"secret": "NAME"}`)
	}
}

// unquotable tells whether no line of a .env file, which compose of both generations
// reads alike, can hold the value.
func unquotable(s string) bool { return pve.HasControl(s) || strings.Contains(s, "'") }

// composeFiles are the names that docker compose looks for.
func composeFiles() []string {
	return []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
}
