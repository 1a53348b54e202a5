package sim

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"phoenix/tasks/tiny"
)

const (
	dockerState = "/.sim/docker/state.json"
	// dockerLoaded is daemon.json as the daemon has read it.
	dockerLoaded = "/.sim/docker/daemon.json"
	// dockerDenied, when it is there, has runc fail as it does where AppArmor denies what
	// it opens; dockerPlain leaves the daemon no storage driver but vfs.
	dockerDenied   = "/.sim/docker/apparmor-denies"
	dockerPlain    = "/.sim/docker/no-overlay"
	composePlugin  = "/usr/libexec/docker/cli-plugins/docker-compose"
	daemonSettings = "/etc/docker/daemon.json"
)

// dockerContainer is a container of a compose project.
type dockerContainer struct {
	ID, Project, Service, Hash, State, Status, Policy, Image string
	Ports                                                    []string
}

// dockerKept is what the daemon keeps: images, and containers.
type dockerKept struct {
	Images     map[string]dockerImage
	Containers []dockerContainer
}

type dockerImage struct {
	Entry []string
	Tar   []byte
}

func (m *Machine) dockerRead() (k dockerKept) {
	if json.Unmarshal([]byte(m.text(dockerState)), &k) != nil || k.Images == nil {
		k.Images = map[string]dockerImage{}
	}
	return k
}

// dockerChange changes what the daemon keeps.
func (c *call) dockerChange(change func(*dockerKept) error) int {
	return c.died(c.m.exclusive(func() error {
		k := c.m.dockerRead()
		if err := change(&k); err != nil {
			return err
		}
		data, err := json.Marshal(k)
		if err != nil {
			return err
		}
		return c.m.write(dockerState, data, 0o600)
	}), 1)
}

// dockerUnit tells whether a service is the daemon, as systemd and OpenRC call it.
func dockerUnit(unit string) bool { return unit == "docker.service" || unit == "docker" }

// dockerStarts has the daemon read its settings, as far as a start or a reload does.
func (m *Machine) dockerStarts(reload bool) error {
	fresh, loaded := map[string]any{}, map[string]any{}
	if text := m.text(daemonSettings); text != "" {
		if err := json.Unmarshal([]byte(text), &fresh); err != nil {
			return err
		}
	}
	if reload && json.Unmarshal([]byte(m.text(dockerLoaded)), &loaded) == nil {
		for _, key := range []string{"debug", "labels", "live-restore", "runtimes", "registry-mirrors", "insecure-registries"} {
			if loaded[key] = fresh[key]; fresh[key] == nil {
				delete(loaded, key)
			}
		}
		fresh = loaded
	}
	data, err := json.Marshal(fresh)
	if err != nil {
		return err
	}
	return m.write(dockerLoaded, data, 0o600)
}

// dockerRefuses tells whether the daemon would not start with its settings.
func (m *Machine) dockerRefuses() bool {
	text := m.text(daemonSettings)
	return strings.TrimSpace(text) != "" && dockerFault([]byte(text)) != ""
}

// dockerFault is what dockerd says of settings; it knows a few of them.
func dockerFault(data []byte) string {
	var settings map[string]any
	if err := json.Unmarshal(data, &settings); err != nil {
		return err.Error()
	}
	for key := range settings {
		if strings.HasPrefix(key, "no-such") {
			return "the following directives don't match any configuration option: " + key
		}
	}
	return ""
}

// dockerVersion is that of the engine's package, as the engine says it.
func (m *Machine) dockerVersion(names ...string) string {
	for _, name := range names {
		v := m.apkInstalled()[name]
		if list := m.dpkgEntries(); m.distro.id != "alpine" {
			if i := dpkgIndex(list, name); i >= 0 && list[i].installed() {
				v = list[i].version
			}
		}
		if _, after, epoch := strings.Cut(v, ":"); epoch {
			v = after
		}
		if v, _, _ = strings.Cut(v, "-"); v != "" {
			return v
		}
	}
	return ""
}

func (m *Machine) dockerRuns() bool {
	return m.exists(activeDir+"docker.service") || m.exists(activeDir+"docker")
}

// dockerd checks settings; as a daemon it is started by its unit.
func dockerd(c *call) int {
	if v := c.m.dockerVersion("docker-ce", "docker.io", "docker"); strings.HasPrefix(v, "20.") {
		c.errorf("unknown flag: --validate\nSee 'dockerd --help'.\n")
		return 125
	}
	for _, word := range c.argv[1:] {
		if file, is := strings.CutPrefix(word, "--config-file="); is {
			if fault := dockerFault([]byte(c.m.text(file))); fault != "" {
				c.errorf("unable to configure the Docker daemon with file %s: %s\n", file, fault)
				return 1
			}
		}
	}
	c.errorf("configuration OK\n")
	return 0
}

// docker is the client, of 20.10 as of 27, as far as phoenix calls it.
func docker(c *call) int {
	verb := ""
	if len(c.argv) > 1 {
		verb = c.argv[1]
	}
	if verb == "compose" {
		if !c.m.exists(composePlugin) {
			c.errorf("docker: 'compose' is not a docker command.\nSee 'docker --help'\n")
			return 1
		}
		return c.compose(c.argv[2:])
	}
	const away = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
	if !c.m.dockerRuns() {
		if verb == "info" {
			c.printf("{\"ID\":\"\",\"ServerErrors\":[%q]}\n", away)
		}
		c.errorf("%s\n", away)
		return 1
	}
	if code, named := c.dockerNamed(); named {
		return code
	}
	switch verb {
	case "info":
		return c.dockerInfo()
	case "version":
		c.printf("{\"Client\":{\"Version\":%[1]q},\"Server\":{\"Version\":%[1]q,\"Components\":[{\"Name\":\"Engine\",\"Version\":%[1]q},{\"Name\":\"containerd\",\"Version\":%[2]q},{\"Name\":\"runc\",\"Version\":%[3]q},{\"Name\":\"docker-init\",\"Version\":\"0.19.0\"}]}}\n",
			c.m.dockerVersion("docker-ce", "docker.io", "docker"), c.m.dockerVersion("containerd.io", "containerd"), c.m.dockerVersion("runc")+map[bool]string{true: "1.2.2"}[c.m.dockerVersion("runc") == ""])
		return 0
	case "ps":
		return c.dockerPs()
	case "inspect":
		for _, k := range c.m.dockerRead().Containers {
			if k.ID == c.argv[len(c.argv)-1] {
				c.printf("%s\n", k.Policy)
				return 0
			}
		}
		c.errorf("Error: No such object: %s\n", c.argv[len(c.argv)-1])
		return 1
	case "import":
		return c.dockerImport()
	case "run":
		return c.dockerRun()
	case "rmi":
		ref := c.argv[len(c.argv)-1]
		return c.dockerChange(func(k *dockerKept) error {
			c.printf("Untagged: %s\n", ref)
			delete(k.Images, ref)
			return nil
		})
	}
	c.errorf("docker: '%s' is not a docker command.\nSee 'docker --help'\n", verb)
	return 1
}

func (c *call) dockerInfo() int {
	loaded := map[string]any{}
	if text := c.m.text(dockerLoaded); text != "" { // there was no file when the daemon was started
		if err := json.Unmarshal([]byte(text), &loaded); err != nil {
			return c.died(err, 1)
		}
	}
	said := map[string]any{
		"ServerVersion": c.m.dockerVersion("docker-ce", "docker.io", "docker"), "Driver": "overlay2", "DockerRootDir": "/var/lib/docker",
		"KernelVersion": strings.TrimSpace(c.m.text("/proc/sys/kernel/osrelease")), "LoggingDriver": "json-file", "ServerErrors": nil,
	}
	if c.m.exists(dockerPlain) {
		said["Driver"] = "vfs"
	}
	for key, name := range map[string]string{"storage-driver": "Driver", "data-root": "DockerRootDir", "log-driver": "LoggingDriver"} {
		if v, set := loaded[key].(string); set {
			said[name] = v
		}
	}
	data, err := json.Marshal(said)
	if err != nil {
		return c.died(err, 1)
	}
	c.printf("%s\n", data)
	return 0
}

func (c *call) dockerImport() int {
	data, err := io.ReadAll(c.in)
	if err != nil {
		return c.died(err, 1)
	}
	image := dockerImage{Tar: data}
	for i, w := range c.argv {
		if w == "--change" && i+1 < len(c.argv) {
			if json.Unmarshal([]byte(strings.TrimPrefix(c.argv[i+1], "ENTRYPOINT ")), &image.Entry) != nil {
				c.errorf("Error response from daemon: dockerfile parse error\n")
				return 1
			}
		}
	}
	ref := c.argv[len(c.argv)-1]
	code := c.dockerChange(func(k *dockerKept) error { k.Images[ref] = image; return nil })
	if code == 0 {
		c.printf("sha256:%s\n", digestOf(data))
	}
	return code
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// dockerRun runs an image of a program that tiny makes, or of one that the toolkit of
// NVIDIA would bring.
func (c *call) dockerRun() int {
	ref := c.argv[len(c.argv)-1]
	image, there := c.m.dockerRead().Images[ref]
	switch {
	case !there || len(image.Entry) == 0:
		c.errorf("Unable to find image '%s' locally\n", ref)
		return 125
	case c.m.exists(dockerDenied):
		c.errorf("docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied: unknown.\n")
		return 126
	case image.Entry[0] == "/usr/bin/nvidia-smi":
		return c.sub(append([]string{"nvidia-smi"}, image.Entry[1:]...)...)
	}
	r := tar.NewReader(bytes.NewReader(image.Tar))
	for {
		h, err := r.Next()
		if err != nil {
			c.errorf("docker: Error response from daemon: exec: %q: stat %s: no such file or directory: unknown.\n", image.Entry[0], image.Entry[0])
			return 127
		}
		if "/"+h.Name != image.Entry[0] {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return c.died(err, 1)
		}
		for i := range data {
			if same, err := tiny.Program(runtime.GOARCH, string(data[i:])); err == nil && bytes.Equal(same, data) {
				c.printf("%s", data[i:])
				return 0
			}
		}
		c.errorf("exec %s: exec format error\n", image.Entry[0])
		return 1
	}
}

// dockerCompose is compose of the first generation.
func dockerCompose(c *call) int { return c.compose(c.argv[1:]) }

// compose serves -p NAME config --hash *, up and down in the directory of the files. It
// knows of them the names of the services and what stands below each.
func (c *call) compose(words []string) int {
	if len(words) < 3 || words[0] != "-p" {
		c.errorf("unknown docker command: \"compose %s\"\n", strings.Join(words, " "))
		return 1
	}
	project, verb := words[1], words[2]
	services, err := c.composeServices()
	if err != nil {
		c.errorf("%v\n", err)
		return 15 // of a file that cannot be read as one
	}
	if verb == "config" {
		for _, s := range services {
			c.printf("%s %s\n", s.Service, s.Hash)
		}
		return 0
	}
	if !c.m.dockerRuns() {
		c.errorf("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n")
		return 1
	}
	if c.m.exists(dockerDenied) && verb == "up" {
		c.errorf("Error response from daemon: failed to create task for container: open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied: unknown\n")
		return 1
	}
	return c.dockerChange(func(k *dockerKept) error {
		k.Containers = slices.DeleteFunc(k.Containers, func(one dockerContainer) bool { return one.Project == project })
		if verb != "up" {
			c.errorf("Network %s_default  Removed\n", project)
			return nil
		}
		for _, s := range services {
			s.Project = project
			s.ID = digestOf([]byte(project + s.Service))
			k.Containers = append(k.Containers, s)
			c.errorf("Container %s-%s-1  Started\n", project, s.Service)
		}
		return nil
	})
}

func (c *call) composeServices() ([]dockerContainer, error) {
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"} {
		data, err := c.m.read(c.abs(name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if fault := composeFault(string(data)); fault != "" {
			return nil, errors.New(fault)
		}
		list := composeBlocks(string(data), c.m.text(c.abs(".env")))
		if len(list) == 0 {
			return nil, errors.New("no service selected")
		}
		return list, nil
	}
	return nil, fmt.Errorf("no configuration file provided: not found")
}

// composeBlocks are the services of a compose file, with what stands below each summed up.
func composeBlocks(text, env string) []dockerContainer {
	var list []dockerContainer
	inside, body := false, ""
	end := func() {
		if n := len(list); n > 0 {
			list[n-1].Hash = digestOf([]byte(body + "\x00" + env))
			list[n-1].Ports = composePorts(body)
			for key, to := range map[string]*string{"restart: ": &list[n-1].Policy, "image: ": &list[n-1].Image} {
				if _, after, set := strings.Cut(body, key); set {
					*to = strings.Trim(strings.Fields(after + " -")[0], `"'`)
				}
			}
		}
		body = ""
	}
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch indent := len(line) - len(strings.TrimLeft(line, " ")); {
		case trimmed == "" || trimmed[0] == '#':
		case indent == 0:
			inside = strings.HasPrefix(line, "services:")
		case inside && indent == 2:
			end()
			list = append(list, dockerContainer{Service: strings.TrimSuffix(trimmed, ":"), State: "running", Status: "Up 2 seconds", Policy: "no"})
		case inside:
			body += trimmed + "\n"
		}
	}
	end()
	return list
}

// dockerBrings lays what the packages of Docker have besides programs.
func (m *Machine) dockerBrings(name string) error {
	switch name {
	case "docker-compose-v2", "docker-compose-plugin", "docker-cli-compose":
		return m.write(composePlugin, []byte("\x7fELF simulated\n"), 0o755)
	case "docker.io", "docker-ce", "docker":
		if text := m.text("/etc/group"); !strings.Contains("\n"+text, "\ndocker:") {
			return m.write("/etc/group", []byte(text+"docker:x:998:\n"), 0o644)
		}
	}
	return nil
}

// addgroup is BusyBox's: addgroup USER GROUP.
func addgroup(c *call) int {
	if len(c.argv) != 3 {
		c.errorf("Usage: addgroup [-g GID] [-S] [USER] GROUP\n")
		return 1
	}
	d := *c
	d.argv = []string{"gpasswd", "-a", c.argv[1], c.argv[2]}
	return gpasswd(&d)
}
