package daemon

import (
	"fmt"
	"net/url"
	"path"
	"regexp"

	"phoenix/tasks"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/parts"
	"phoenix/tasks/pve"
	"phoenix/tasks/secret"
)

// Service is a program that systemd starts and keeps running.
type Service struct {
	// Name of the unit, without .service, and of the account where User is empty.
	Name string
	// Description is the unit's, for people.
	Description string
	// Command is the program, absolute, and its arguments.
	Command []string
	// Environment are variables, Secrets those whose values nobody else may read.
	Environment map[string]string
	Secrets     map[string]secret.Ref
	// User that the program runs as; empty is one of the service's name. It is made as a
	// user of the system, with Groups beside its own.
	User   string
	Groups []string
	// StateDirectory below /var/lib belongs to the user; empty means phoenix-NAME.
	StateDirectory string
	// WorkingDirectory must exist; empty means the state directory.
	WorkingDirectory string
	// Ready is how the service shows that it works; nil is not asked.
	Ready *Ready
	// Answers judges what Ready's URL gives; nil takes any success.
	Answers func(body []byte) error
	// Token, where there is one, is sent with the question to Ready's URL, as a bearer.
	Token *secret.Ref
	// Made is what the service consists of, made before it.
	Made []parts.Part
	// Revision is what beside the unit and its variables needs a restart to take effect:
	// the versions of what it runs. Nil is nothing.
	Revision func(h tasks.Host) (string, error)
}

// Ready is a question to a running service.
type Ready struct {
	// URL to GET inside the container; every status below 400 is an answer.
	URL string `json:"url,omitempty"`
	// Command that must end with status 0. It is also run in checks, and must change nothing.
	Command []string `json:"command,omitempty"`
	// TimeoutS is how long a run waits for the first answer after a start, in seconds; 0
	// means 60.
	TimeoutS int `json:"timeout_s,omitempty"`
	// IntervalS is the time between two questions, in seconds; 0 means 2.
	IntervalS int `json:"interval_s,omitempty"`
}

// root runs with all capabilities.
const root = "root"

func (s *Service) user() string {
	if s.User == "" {
		return s.Name
	}
	return s.User
}

func (s *Service) stateDirectory() string {
	if s.StateDirectory == "" {
		return "phoenix-" + s.Name
	}
	return s.StateDirectory
}

// State is the folder that the service may write to.
func (s *Service) State() string { return "/var/lib/" + s.stateDirectory() }

func (s *Service) workingDirectory() string {
	if s.WorkingDirectory == "" {
		return s.State()
	}
	return s.WorkingDirectory
}

func (s *Service) unitName() string    { return s.Name + ".service" }
func (s *Service) unitFile() string    { return "/etc/systemd/system/" + s.unitName() }
func (s *Service) secretsFile() string { return "/etc/phoenix/" + s.Name + ".env" }

// account is the user of the system.
func (s *Service) account() *user.Spec {
	return &user.Spec{Name: s.user(), System: true, Groups: s.Groups}
}

// ValidName tells whether the text can be the name of a Service, its user and its folders.
func ValidName(name string) bool {
	return regexp.MustCompile(`^[a-z][a-z0-9_-]{0,30}$`).MatchString(name)
}

// Validate returns the faults of what a person has written: the command, the variables, the
// user, the directory and the question, at the paths of their names in lower case.
func (s *Service) Validate() []tasks.Problem {
	var out tasks.Problems
	for i, w := range s.Command {
		if pve.HasControl(w) || w == "" && i == 0 {
			out.Add(fmt.Sprintf("command.%d", i), "is empty or has a line break or another control character", "a unit file has no room for them")
		}
	}
	for _, name := range tasks.Keys(s.Environment) {
		switch _, both := s.Secrets[name]; {
		case !variable(name):
			out.Add("environment."+name, "is no variable", "letters, digits and underscores, no digit first")
		case pve.HasControl(s.Environment[name]):
			out.Add("environment."+name, "has a line break or another control character", "a unit file has no room for them")
		case both:
			out.Add("environment."+name, "is among the secrets, too", "say it once")
		}
	}
	for _, name := range tasks.Keys(s.Secrets) {
		if !variable(name) {
			out.Add("secrets."+name, "is no variable", "letters, digits and underscores, no digit first")
		} else if s.Secrets[name].Name == "" {
			out.Add("secrets."+name, "names no secret", `{"secret": "NAME"}`)
		}
	}
	if s.User != "" && len((&user.Spec{Name: s.User}).Validate()) > 0 {
		out.Add("user", fmt.Sprintf("%q is no name of a user", s.User), "a lower-case letter or _ first, then these, digits, - and . (32 at most)")
	}
	if p := s.WorkingDirectory; p != "" && (!path.IsAbs(p) || path.Clean(p) != p || pve.HasControl(p)) {
		out.Add("working_directory", fmt.Sprintf("%q is no absolute, clean path", p), "without .. and without a slash at the end")
	}
	if s.Ready != nil {
		out = append(out, s.Ready.problems()...)
	}
	return out
}

func variable(name string) bool {
	return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name)
}

func (r *Ready) problems() []tasks.Problem {
	var out tasks.Problems
	add := func(path, summary, hint string) {
		out.Add("ready"+path, summary, hint)
	}
	if (r.URL == "") == (len(r.Command) == 0) {
		add("", "asks nothing, or two things", "say either url or command")
	}
	if u, err := url.Parse(r.URL); r.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || pve.HasControl(r.URL)) {
		add(".url", fmt.Sprintf("%q is no address that can be asked", r.URL), "http://127.0.0.1:8000/health, without a password")
	}
	if len(r.Command) > 0 && r.Command[0] == "" {
		add(".command", "names no program", "")
	}
	if r.TimeoutS < 0 {
		add(".timeout_s", "is negative", "seconds; 0 means 60")
	}
	if r.IntervalS < 0 {
		add(".interval_s", "is negative", "seconds; 0 means 2")
	}
	return out
}
