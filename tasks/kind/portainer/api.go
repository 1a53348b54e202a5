package portainer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// request is one question to the API. The paths, fields and statuses are those of
// Portainer CE 2.19 to 2.45: api/http/handler/{auth,system,users,endpoints} of
// github.com/portainer/portainer.
type request struct {
	method, path string
	// headers and body may hold secrets: they travel on curl's standard input.
	headers []string
	body    any               // sent as JSON
	form    map[string]string // sent as a form
	// tries is how often curl asks again, 2 s apart, where nobody answers.
	tries int
	// changes says that the request changes something.
	changes bool
}

// answer is what came back.
type answer struct {
	status int
	body   []byte
}

// call asks. The certificate is not looked at: it is self-signed, and the connection does
// not leave the machine. No answer at all is a *tasks.CommandError.
func (s *Spec) call(ctx context.Context, h tasks.Host, r request) (answer, error) {
	argv := []string{"curl", "--silent", "--show-error", "--insecure", "--max-time", "30", "--write-out", `\n%{http_code}`}
	if r.tries > 0 {
		argv = append(argv, "--retry", strconv.Itoa(r.tries), "--retry-delay", "2", "--retry-all-errors")
	}
	argv = append(argv, "--request", r.method, "--config", "-", s.base()+r.path)
	config, err := r.config()
	if err != nil {
		return answer{}, err
	}
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv, Stdin: config, ReadOnly: !r.changes})
	if err != nil {
		return answer{}, err
	}
	i := bytes.LastIndexByte(out.Stdout, '\n')
	status, err := strconv.Atoi(string(out.Stdout[i+1:]))
	if i < 0 || err != nil {
		return answer{}, &tasks.UnknownError{Why: fmt.Sprintf("ask %s: curl printed no status", s.base()+r.path)}
	}
	return answer{status, out.Stdout[:i]}, nil
}

// config is what curl reads on its standard input: curl(1), --config.
func (r request) config() ([]byte, error) {
	var b strings.Builder
	say := func(option, value string) { b.WriteString(option + " = " + quoted(value) + "\n") }
	for _, header := range r.headers {
		say("header", header)
	}
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		say("header", "Content-Type: application/json")
		say("data-raw", string(data))
	}
	if r.form != nil {
		values := url.Values{}
		for name, value := range r.form {
			values.Set(name, value)
		}
		say("data-raw", values.Encode())
	}
	return []byte(b.String()), nil
}

// quoted is a value of curl's configuration: in quotes, with its escapes.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`).Replace(s) + `"`
}

// fault is what the API said against a request.
func (a answer) fault(doing string) error {
	var said struct{ Message, Details string }
	text := ""
	if json.Unmarshal(a.body, &said) == nil && said.Message != "" {
		text = ": " + clip(said.Message)
		if said.Details != "" && said.Details != said.Message {
			text += " (" + clip(said.Details) + ")"
		}
	}
	return fmt.Errorf("%s: portainer answers with HTTP status %d%s", doing, a.status, text)
}

// clip keeps what a guest says to one short line.
func clip(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	return s[:min(len(s), 300)]
}

// admin is what is known of the server's administrator.
type admin int

// The states of an administrator; a server whose spec names no password is asked only
// whether it has one.
const (
	adminUnasked admin = iota
	adminFits
	adminNone
	adminOther   // there is one, with another name or password
	adminAwaited // there is none, and a person is to make it
	adminTooLate // there is none, and the server lets nobody make one any more
)

// server is what the API says.
type server struct {
	version string
	admin   admin
	token   string // of the login
}

// ask finds out about the server. It logs in where a password is given.
func (s *Spec) ask(ctx context.Context, h tasks.Host, password string, tries int) (server, error) {
	a, err := s.call(ctx, h, request{method: "GET", path: "/api/system/status", tries: tries})
	if err != nil {
		return server{}, err
	}
	var status struct{ Version string }
	switch {
	case a.status == 303:
		// Five minutes after its start a server without an administrator answers so to all
		// questions: WithRedirect of api/adminmonitor.
		return server{admin: adminTooLate}, nil
	case a.status != 200:
		return server{}, a.fault("ask for the version")
	case json.Unmarshal(a.body, &status) != nil || status.Version == "":
		return server{}, &tasks.UnknownError{Why: "ask for the version: what answers at " + s.base() + " is not Portainer"}
	}
	out := server{version: status.Version}
	if s.AdminPassword == nil {
		if a, err = s.call(ctx, h, request{method: "GET", path: "/api/users/admin/check"}); err == nil && a.status == 404 {
			out.admin = adminAwaited
		}
		return out, err
	}
	login := map[string]string{"Username": s.user(), "Password": password}
	if a, err = s.call(ctx, h, request{method: "POST", path: "/api/auth", body: login}); err != nil {
		return out, err
	}
	var in struct{ JWT string }
	switch {
	case a.status == 200 && json.Unmarshal(a.body, &in) == nil && in.JWT != "":
		out.admin, out.token = adminFits, in.JWT
		return out, nil
	case a.status != 422:
		return out, a.fault("log in as " + s.user())
	}
	if a, err = s.call(ctx, h, request{method: "GET", path: "/api/users/admin/check"}); err != nil {
		return out, err
	}
	switch a.status {
	case 204:
		out.admin = adminOther
	case 404:
		out.admin = adminNone
	case 303:
		out.admin = adminTooLate
	default:
		return out, a.fault("ask for the administrator")
	}
	return out, nil
}

// initAdmin makes the first administrator. Since 2.39.4 and 2.43 a new server wants the
// token that it has written to its log (docs.portainer.io/faqs/installing/setup-token).
func (s *Spec) initAdmin(ctx context.Context, h tasks.Host, password string) error {
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"docker", "logs", "--tail", "2000", s.name()}, ReadOnly: true})
	if err != nil {
		return err
	}
	r := request{method: "POST", path: "/api/users/admin/init", body: map[string]string{"Username": s.user(), "Password": password}, changes: true}
	if token := cmp.Or(setupToken(out.Stderr), setupToken(out.Stdout)); token != "" {
		r.headers = []string{"X-Setup-Token: " + token}
	}
	a, err := s.call(ctx, h, r)
	if err == nil && a.status != 200 {
		err = a.fault("make the administrator " + s.user())
	}
	return err
}

// tokenInLog is where a log has the token, possibly with the colours of a terminal.
var tokenInLog = regexp.MustCompile(`setup_token=(?:\x1b\[[0-9;]*m)*([0-9A-Za-z_.-]{8,256})`)

// setupToken is the last token in a log; a restart writes a new one.
func setupToken(log []byte) string {
	all := tokenInLog.FindAllSubmatch(log, -1)
	if len(all) == 0 {
		return ""
	}
	return string(all[len(all)-1][1])
}
