package sim

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// dockerBoxes is where containers with a name are kept, each as docker inspect prints it.
// Images that were pulled have a file there, too.
const (
	dockerBoxes  = "/.sim/docker/containers/"
	dockerPulled = "/.sim/docker/pulled/"
)

// dockerBox is a container that was started in the background.
type dockerBox struct {
	ID     string `json:"Id"`
	Config struct {
		Image    string
		Cmd, Env []string
	}
	HostConfig struct {
		Binds         []string
		PortBindings  map[string][]dockerPort
		RestartPolicy struct {
			Name              string
			MaximumRetryCount int
		}
	}
	Mounts []dockerMount
	State  struct {
		Status              string
		Running, Restarting bool
		StartedAt           time.Time
	}
}

type dockerPort struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

type dockerMount struct {
	Type, Name, Source, Destination string
}

// boxes are the containers that have a name.
func (m *Machine) boxes() map[string]dockerBox {
	out := make(map[string]dockerBox)
	for _, file := range m.glob(dockerBoxes + "*.json") {
		var b dockerBox
		if json.Unmarshal([]byte(m.text(file)), &b) == nil {
			out[strings.TrimSuffix(strings.TrimPrefix(file, dockerBoxes), ".json")] = b
		}
	}
	return out
}

func (c *call) keepBox(name string, b dockerBox) int {
	b.State.Running, b.State.Restarting, b.State.Status, b.State.StartedAt = true, false, "running", c.m.Now()
	return c.writeBox(name, b)
}

func (c *call) writeBox(name string, b dockerBox) int {
	data, err := json.Marshal(b)
	if err == nil {
		err = c.m.exclusive(func() error { return c.m.write(dockerBoxes+name+".json", data, 0o600) })
	}
	return c.died(err, 1)
}

// dockerNamed serves the commands about images of a registry and containers with a name.
// It tells whether the command is one.
func (c *call) dockerNamed() (code int, named bool) {
	if len(c.argv) < 3 {
		return 0, false
	}
	words := c.argv[1:]
	name := words[len(words)-1]
	pulled := dockerPulled + strings.ReplaceAll(name, "/", "%2F")
	switch {
	case words[0] == "image" && words[1] == "inspect":
		if !c.m.exists(pulled) {
			c.errorf("Error response from daemon: No such image: %s\n", name)
			return 1, true
		}
		c.printf("sha256:%s\n", digestOf([]byte(name)))
		return 0, true
	case words[0] == "pull":
		return c.dockerPull(name, pulled), true
	case words[0] == "run" && slices.Contains(words, "--detach"):
		return c.dockerStart(words[1:]), true
	}
	if k, of := c.m.composed(name); of && slices.Contains([]string{"start", "stop", "restart", "logs"}, words[0]) {
		return c.dockerComposed(words[0], k), true
	}
	if !slices.Contains([]string{"inspect", "rm", "start", "stop", "restart", "logs"}, words[0]) || words[0] == "inspect" && !slices.Contains(words, "--type") {
		return 0, false
	}
	b, there := c.m.boxes()[name]
	switch {
	case !there && words[0] == "inspect":
		c.printf("[]\n")
		c.errorf("Error: No such container: %s\n", name)
		return 1, true
	case !there:
		c.errorf("Error response from daemon: No such container: %s\n", name)
		return 1, true
	case words[0] == "inspect":
		data, err := json.MarshalIndent([]dockerBox{b}, "", "    ")
		c.printf("%s\n", data)
		return c.died(err, 1), true
	case words[0] == "logs":
		c.errorf("%s", c.m.portainerLog(portainerIn(b)))
		return 0, true
	case words[0] == "restart", words[0] == "start" && !b.State.Running:
		c.printf("%s\n", name)
		return c.keepBox(name, b), true
	case words[0] == "start", words[0] == "stop":
		c.printf("%s\n", name)
		b.State.Running, b.State.Status = words[0] == "start", map[bool]string{true: "running", false: "exited"}[words[0] == "start"]
		return c.writeBox(name, b), true
	}
	c.printf("%s\n", name)
	return c.died(c.m.exclusive(func() error { return os.Remove(c.m.path(dockerBoxes + name + ".json")) }), 1), true
}

func (c *call) dockerPull(name, file string) int {
	if _, offline := c.struck("", FaultDownload); offline {
		c.errorf("Error response from daemon: Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host\n")
		return 1
	}
	c.printf("%s\n", name)
	return c.died(c.m.exclusive(func() error { return c.m.write(file, nil, 0o600) }), 1)
}

// dockerStart is docker run --detach.
func (c *call) dockerStart(words []string) int {
	b, name, i := dockerBox{}, "", 0
	b.HostConfig.PortBindings = make(map[string][]dockerPort)
	for ; i+1 < len(words) && strings.HasPrefix(words[i], "--"); i++ {
		if words[i] == "--detach" {
			continue
		}
		option, value := words[i], words[i+1]
		i++
		from, to, _ := strings.Cut(value, ":")
		switch option {
		case "--name":
			name = value
		case "--restart":
			b.HostConfig.RestartPolicy.Name = value
		case "--publish":
			b.HostConfig.PortBindings[to+"/tcp"] = append(b.HostConfig.PortBindings[to+"/tcp"], dockerPort{HostPort: from})
		case "--volume":
			b.HostConfig.Binds = append(b.HostConfig.Binds, value)
			mount := dockerMount{Type: "bind", Source: from, Destination: to}
			if !strings.HasPrefix(from, "/") {
				mount = dockerMount{Type: "volume", Name: from, Source: "/var/lib/docker/volumes/" + from + "/_data", Destination: to}
			}
			b.Mounts = append(b.Mounts, mount)
		case "--env-file":
			data, err := io.ReadAll(c.in)
			if err != nil || value != "/dev/stdin" {
				c.errorf("docker: open %s: no such file or directory\n", value)
				return 125
			}
			b.Config.Env = strings.Split(strings.TrimSpace(string(data)), "\n")
		default:
			c.errorf("unknown flag: %s\n", option)
			return 125
		}
	}
	if _, there := c.m.boxes()[name]; there {
		c.errorf("docker: Error response from daemon: Conflict. The container name \"/%s\" is already in use by container.\n", name)
		return 125
	}
	if image := words[i]; !c.m.exists(dockerPulled + strings.ReplaceAll(image, "/", "%2F")) {
		if code := c.sub("docker", "pull", "--quiet", image); code != 0 {
			return 125
		}
	}
	b.ID, b.Config.Image, b.Config.Cmd = digestOf([]byte(name)), words[i], slices.Clone(words[i+1:])
	c.printf("%s\n", b.ID)
	return c.keepBox(name, b)
}
