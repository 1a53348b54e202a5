package portainer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// What the containers are given of the machine they run on.
const (
	dockerSocket = "/var/run/docker.sock"
	dockerData   = "/var/lib/docker/volumes"
	restart      = "always"
	secretName   = "AGENT_SECRET"
)

// ports that are to be published: those of the container by those of the machine.
func (s *Spec) ports() map[string]string {
	out := map[string]string{}
	publish := func(outside int, inside string) {
		if outside != 0 {
			out[strconv.Itoa(outside)] = inside + "/tcp"
		}
	}
	if s.agent() {
		publish(cmp.Or(s.AgentPort, defaultAgentPort), "9001")
		return out
	}
	publish(cmp.Or(s.Port, defaultPort), "9443")
	publish(s.TunnelPort, "8000")
	return out
}

// data is the volume or folder of the server's data.
func (s *Spec) data() string { return cmp.Or(s.DataVolume, defaultVolume) }

// binds are the volumes as docker run takes them.
func (s *Spec) binds() []string {
	if s.agent() {
		return []string{dockerSocket + ":" + dockerSocket, dockerData + ":" + dockerData}
	}
	return []string{dockerSocket + ":" + dockerSocket, s.data() + ":/data"}
}

// container is what docker inspect says of one, as far as it is compared.
type container struct {
	Config struct {
		Image    string
		Cmd, Env []string
	}
	HostConfig struct {
		Binds         []string
		RestartPolicy struct{ Name string }
		PortBindings  map[string][]struct{ HostIP, HostPort string }
	}
	Mounts []struct{ Type, Name, Source, Destination string }
	State  struct{ Running, Restarting bool }
}

// errNoDocker says that there is nothing to run a container with.
var errNoDocker = errors.New("find docker: it is not installed here (list the feature docker before portainer)")

// inspect reads the container; nil where there is none.
func (s *Spec) inspect(ctx context.Context, h tasks.Host) (*container, error) {
	c := tasks.Cmd{Argv: []string{"docker", "inspect", "--type", "container", s.name()}, ReadOnly: true}
	out, err := h.Run(ctx, c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoDocker
	}
	said := strings.ToLower(string(out.Stderr)) // Docker 29 writes what 28 wrote with a capital
	if err == nil && out.Code == 1 && (strings.Contains(said, "no such container") || strings.Contains(said, "no such object")) {
		return nil, nil
	}
	if err := tasks.Failed(c, out, err); err != nil {
		return nil, err
	}
	var all []container
	if err := json.Unmarshal(out.Stdout, &all); err != nil || len(all) != 1 {
		return nil, &tasks.UnknownError{Why: fmt.Sprintf("read container %s: docker inspect printed no one container (%d bytes)", s.name(), len(out.Stdout))}
	}
	if !strings.Contains(all[0].Config.Image, "portainer") && repository(all[0].Config.Image) != repository(s.image()) {
		return nil, fmt.Errorf("read container %s: it is of the image %s, so it is not Portainer's (remove or rename it: docker rename %s NAME)", s.name(), all[0].Config.Image, s.name())
	}
	return &all[0], nil
}

// repository is an image without its tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name, _, _ := strings.Cut(path.Base(image), ":")
	return path.Join(path.Dir(image), name)
}

// diff compares the container; agentSecret is the wanted one, or empty.
func (s *Spec) diff(now *container, agentSecret string) tasks.Diff {
	if now == nil {
		return tasks.Diff{{Path: "container", To: s.image(), Effect: tasks.EffectLive, Note: "published: " + published(s.ports()) + "\nvolumes: " + strings.Join(s.binds(), ", ")}}
	}
	var d tasks.Diff
	d.Add("image", now.Config.Image, s.image(), tasks.EffectRestart)
	d.Add("ports", published(now.ports()), published(s.ports()), tasks.EffectRestart)
	d.Add("volumes", sorted(now.HostConfig.Binds), sorted(s.binds()), tasks.EffectRestart)
	d.Add("restart_policy", now.HostConfig.RestartPolicy.Name, restart, tasks.EffectRestart)
	d.Add("command", strings.Join(now.Config.Cmd, " "), "", tasks.EffectRestart)
	if s.AgentSecret != nil && !slices.Contains(now.Config.Env, secretName+"="+agentSecret) {
		d.Add("agent_secret", "another or none", "secret "+s.AgentSecret.Name, tasks.EffectRestart)
	}
	if moved := s.moved(now); moved != nil {
		for i := range d {
			d[i].Note = moved.Note()
		}
	}
	switch {
	case now.State.Restarting:
		d.Add("state", "restarting again and again", "running", tasks.EffectRestart)
	case !now.State.Running:
		d.Add("state", "stopped", "running", tasks.EffectLive)
	}
	return d
}

// data is where the container has its data: the name of a volume, or a folder.
func (c *container) data() string {
	for _, m := range c.Mounts {
		if m.Destination == "/data" {
			return cmp.Or(m.Name, m.Source)
		}
	}
	return ""
}

// moved refuses to make the server anew with other data than it has: it would forget its
// users, environments and stacks.
func (s *Spec) moved(now *container) *tasks.RefusedError {
	from := now.data()
	if s.agent() || from == "" || from == s.data() {
		return nil
	}
	return &tasks.RefusedError{
		What:    fmt.Sprintf("running portainer with the data of %s in place of %s", s.data(), from),
		Instead: fmt.Sprintf("set data_volume to %q, or copy the data and remove the container by hand", from),
	}
}

func (c *container) ports() map[string]string {
	out := map[string]string{}
	for inside, all := range c.HostConfig.PortBindings {
		for _, b := range all {
			outside := b.HostPort
			if b.HostIP != "" && b.HostIP != "0.0.0.0" {
				outside = b.HostIP + ":" + outside
			}
			out[outside] = inside
		}
	}
	return out
}

// published writes ports as docker ps does, without the addresses.
func published(ports map[string]string) string {
	var out []string
	for _, outside := range tasks.Keys(ports) {
		out = append(out, outside+"->"+ports[outside])
	}
	return strings.Join(out, ", ")
}

// sorted writes volumes; rw is what docker understands without it.
func sorted(list []string) string {
	list = slices.Clone(list)
	for i := range list {
		list[i] = strings.TrimSuffix(list[i], ":rw")
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// run makes the container anew. The image is fetched first, so that one that cannot be
// had leaves the old container running.
func (s *Spec) run(ctx context.Context, h tasks.Host, old bool, agentSecret string) error {
	out, err := h.Run(ctx, tasks.Cmd{Argv: []string{"docker", "image", "inspect", "--format", "{{.Id}}", s.image()}, ReadOnly: true})
	if err != nil {
		return err
	}
	if out.Code != 0 {
		if err := docker(ctx, h, nil, "pull", "--quiet", s.image()); err != nil {
			return err
		}
	}
	if old {
		if err := docker(ctx, h, nil, "rm", "--force", s.name()); err != nil {
			return err
		}
	}
	argv := []string{"run", "--detach", "--name", s.name(), "--restart", restart}
	ports := s.ports()
	for _, outside := range tasks.Keys(ports) {
		argv = append(argv, "--publish", outside+":"+strings.TrimSuffix(ports[outside], "/tcp"))
	}
	for _, b := range s.binds() {
		argv = append(argv, "--volume", b)
	}
	var env []byte
	if s.AgentSecret != nil {
		argv, env = append(argv, "--env-file", "/dev/stdin"), []byte(secretName+"="+agentSecret+"\n")
	}
	return docker(ctx, h, env, append(argv, s.image())...)
}

func docker(ctx context.Context, h tasks.Host, stdin []byte, words ...string) error {
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: append([]string{"docker"}, words...), Stdin: stdin})
	return err
}
