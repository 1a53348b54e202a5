// Package portainer runs Portainer in Docker: the server with its administrator and the
// environments it manages, or the agent that a server elsewhere reaches Docker by.
//
// A check compares the container property by property with what docker inspect says, logs
// in where a password is given, and asks the server or agent for an answer, which is the
// proof. What differs is had by making the container anew; its data are in a volume, which
// is never removed. Environments and users that others made are left alone, and no
// password is ever changed: Portainer wants the old one for that. It installs no Docker.
// Passwords and tokens go to programs on their standard input only.
// Start reading at Spec; container.go is about Docker, api.go about Portainer's HTTP,
// task.go compares and changes.
package portainer

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/secret"
)

// Name of the family in steps and in step IDs.
const Name = "portainer"

// The roles of a Spec; empty is RoleServer.
const (
	RoleServer = "server"
	RoleAgent  = "agent"
)

// The defaults. 2.45 is the present LTS, maintained until May 2027
// (docs.portainer.io/start/lifecycle). Server and agent should have the same version.
const (
	version          = "2.45.1"
	defaultVolume    = "portainer_data"
	defaultUser      = "admin"
	defaultPort      = 9443
	defaultAgentPort = 9001
)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Spec is one server or one agent. The zero value is a server whose administrator a
// person makes in the browser.
type Spec struct {
	// Role is "server" (the default) or "agent".
	Role string `json:"role,omitempty"`
	// Image is the image with a tag that stays, or a digest.
	Image string `json:"image,omitempty"`
	// Port is where the server's HTTPS is published; 9443 when 0.
	Port int `json:"port,omitempty"`
	// TunnelPort is where the server's tunnel for edge agents is published; 0 for nowhere.
	TunnelPort int `json:"tunnel_port,omitempty"`
	// AgentPort is where the agent is published; 9001 when 0.
	AgentPort int `json:"agent_port,omitempty"`
	// DataVolume is the volume, or the absolute path of the folder, of the server's data.
	DataVolume string `json:"data_volume,omitempty"`
	// AdminUser is the server's first administrator; "admin" when empty.
	AdminUser string `json:"admin_user,omitempty"`
	// AdminPassword is given to the first administrator when the server is new, and shown
	// to hold by logging in.
	AdminPassword *secret.Ref `json:"admin_password,omitempty"`
	// AgentSecret is what a server and its agents must share; without it, an agent obeys
	// the first server that talks to it.
	AgentSecret *secret.Ref `json:"agent_secret,omitempty"`
	// Environments of the server, by name: HOST or HOST:PORT of an agent, or
	// unix:///var/run/docker.sock for the Docker that the server itself runs in.
	Environments map[string]string `json:"environments,omitempty"`
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

func (s *Spec) agent() bool { return s.Role == RoleAgent }

func (s *Spec) image() string {
	if s.agent() {
		return cmp.Or(s.Image, "portainer/agent:"+version)
	}
	return cmp.Or(s.Image, "portainer/portainer-ce:"+version)
}

// name of the container, as Portainer's own instructions have it.
func (s *Spec) name() string {
	if s.agent() {
		return "portainer_agent"
	}
	return "portainer"
}

func (s *Spec) user() string { return cmp.Or(s.AdminUser, defaultUser) }

// base is where the server or the agent answers, seen from the machine itself.
func (s *Spec) base() string {
	port := cmp.Or(s.Port, defaultPort)
	if s.agent() {
		port = cmp.Or(s.AgentPort, defaultAgentPort)
	}
	return "https://127.0.0.1:" + strconv.Itoa(port)
}

var (
	imageName  = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	plainText  = regexp.MustCompile(`^[^\x00-\x20\x7f]+$`)
	agentHost  = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:([0-9]{1,5}))?$`)
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if s.Role != "" && s.Role != RoleServer && s.Role != RoleAgent {
		out.Add("role", fmt.Sprintf("%q is no role", s.Role), "server or agent")
	}
	for _, f := range []struct {
		path, role string
		set        bool
	}{
		{"port", RoleServer, s.Port != 0}, {"tunnel_port", RoleServer, s.TunnelPort != 0}, {"data_volume", RoleServer, s.DataVolume != ""},
		{"admin_user", RoleServer, s.AdminUser != ""}, {"admin_password", RoleServer, s.AdminPassword != nil},
		{"environments", RoleServer, len(s.Environments) > 0}, {"agent_port", RoleAgent, s.AgentPort != 0},
	} {
		if f.set && s.agent() != (f.role == RoleAgent) {
			out.Add(f.path, "is a setting of the "+f.role+" alone", `take it out, or set "role": "`+f.role+`"`)
		}
	}
	s.checkImage(&out)
	seen := map[int]string{}
	for _, p := range []struct {
		path  string
		value int
	}{{"port", cmp.Or(s.Port, defaultPort)}, {"tunnel_port", s.TunnelPort}, {"agent_port", s.AgentPort}} {
		switch {
		case p.value == 0:
		case p.value < 1 || p.value > 65535:
			out.Add(p.path, fmt.Sprintf("%d is no port", p.value), "1 to 65535")
		case seen[p.value] != "" && !s.agent():
			out.Add(p.path, fmt.Sprintf("%d is the same as %s", p.value, seen[p.value]), "")
		}
		seen[p.value] = p.path
	}
	if v := s.DataVolume; v != "" && !volumeName.MatchString(v) && (!path.IsAbs(v) || path.Clean(v) != v || v == "/" || strings.ContainsAny(v, ":") || !plainText.MatchString(v)) {
		out.Add("data_volume", fmt.Sprintf("%q is neither a volume nor a folder", v), "a name, or an absolute path without colons and blanks")
	}
	if s.AdminUser != "" && !plainText.MatchString(s.AdminUser) {
		out.Add("admin_user", fmt.Sprintf("%q is no user", s.AdminUser), "no blanks")
	}
	for path, ref := range map[string]*secret.Ref{"admin_password": s.AdminPassword, "agent_secret": s.AgentSecret} {
		if ref != nil && ref.Name == "" {
			out.Add(path+".secret", "names no secret", `{"secret": "NAME"}`)
		}
	}
	if len(s.Environments) > 0 && s.AdminPassword == nil && !s.agent() {
		out.Add("environments", "cannot be registered without the administrator's password", `give "admin_password": {"secret": "NAME"}`)
	}
	s.checkEnvironments(&out)
	return out
}

func (s *Spec) checkImage(out *tasks.Problems) {
	if s.Image == "" {
		return
	}
	_, tag, _ := strings.Cut(path.Base(s.Image), ":")
	switch {
	case !imageName.MatchString(s.Image):
		out.Add("image", fmt.Sprintf("%q is no image", s.Image), "like portainer/portainer-ce:"+version)
	case strings.Contains(s.Image, "@"):
	case slices.Contains([]string{"", "latest", "lts", "sts"}, tag):
		out.Add("image", "names no version, so nobody could tell which one is there", "like portainer/portainer-ce:"+version)
	}
}

func (s *Spec) checkEnvironments(out *tasks.Problems) {
	where := map[string]string{}
	for _, name := range tasks.Keys(s.Environments) {
		at, address := "environments."+name, s.Environments[name]
		if name == "" || len(name) > 255 || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			out.Add(at, fmt.Sprintf("%q is no name of an environment", name), "text without control characters and outer blanks")
		}
		m := agentHost.FindStringSubmatch(strings.TrimPrefix(address, "tcp://"))
		port := 0
		if m != nil {
			port, _ = strconv.Atoi(cmp.Or(m[3], "1"))
		}
		if address != localDocker && (port < 1 || port > 65535) {
			out.Add(at, fmt.Sprintf("%q is no address", address), "HOST or HOST:PORT of an agent, or "+localDocker)
		}
		if other := where[canonical(address)]; other != "" {
			out.Add(at, "has the same address as "+other, "")
		}
		where[canonical(address)] = name
	}
}
