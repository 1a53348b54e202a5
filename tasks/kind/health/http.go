package health

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/secret"
)

// HTTP is a question to a web server, and the answer that is expected.
type HTTP struct {
	// URL that is asked, with http or https.
	URL string `json:"url"`
	// Method is GET where it is empty.
	Method string `json:"method,omitempty"`
	// Headers are sent along.
	Headers map[string]secret.Text `json:"headers,omitempty"`
	// Status lists the statuses that are as expected; none means 200.
	Status Statuses `json:"status,omitempty"`
	// Contains is a text that the body must have.
	Contains string `json:"contains,omitempty"`
	// Matches is a regular expression (RE2) that the body must match.
	Matches string `json:"matches,omitempty"`
	// Insecure takes any certificate.
	Insecure bool `json:"insecure,omitempty"`
	// FollowRedirects asks where an answer points to, five times at most.
	FollowRedirects bool `json:"follow_redirects,omitempty"`
}

// Statuses is a list; a single number stands for a list of one.
type Statuses []int

// UnmarshalJSON reads a list or a number.
func (s *Statuses) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] != '[' {
		data = slices.Concat([]byte("["), data, []byte("]"))
	}
	return tasks.UnmarshalStrict(data, (*[]int)(s))
}

// spot begins the line on stderr that says what came from where.
const spot = "phoenix: "

// cmd is curl without its configuration file and without a proxy: what users of the
// host's network get. The body is kept on stdout, so the status goes to stderr (curl
// 7.63). Headers, which may be secret, go to its input (curl 7.55).
func (q *HTTP) cmd(ctx context.Context, limit time.Duration) (tasks.Cmd, error) {
	argv := []string{
		"curl", "--disable", "--silent", "--show-error", "--globoff", "--noproxy", "*", "--proto", "=http,https",
		"--max-time", strconv.Itoa(int(limit / time.Second)), "--write-out", "%{stderr}" + spot + "%{http_code} %{remote_ip} %{remote_port}\n",
	}
	switch q.Method {
	case "", "GET":
	case "HEAD":
		argv = append(argv, "--head")
	default:
		argv = append(argv, "--request", q.Method)
	}
	if q.Insecure {
		argv = append(argv, "--insecure")
	}
	if q.FollowRedirects {
		argv = append(argv, "--location", "--max-redirs", "5")
	}
	var lines strings.Builder
	for _, name := range tasks.Keys(q.Headers) {
		text, err := textOf(ctx, q.Headers[name])
		if err != nil {
			return tasks.Cmd{}, err
		}
		if text == "" || strings.ContainsAny(text, "\r\n\x00") {
			return tasks.Cmd{}, fmt.Errorf("make header %s: its value is empty or has several lines", name)
		}
		lines.WriteString(name + ": " + text + "\n")
	}
	c := tasks.Cmd{Stdin: []byte(lines.String())}
	if len(q.Headers) > 0 {
		argv = append(argv, "--header", "@-")
	}
	c.Argv = append(argv, q.URL)
	return c, nil
}

// String says what is asked, and from where.
func (q *HTTP) String() string {
	method := q.Method
	if method == "" {
		method = "GET"
	}
	return method + " " + q.URL + fromHost
}

// fromHost is where http and tcp are asked from: also what is about a container is what
// its users see, and no program of it.
const fromHost = " from the host"

// compare tells what of curl's outcome is not as expected; came is what came from where.
func (q *HTTP) compare(out tasks.Output) (came string, err error) {
	var trouble []string
	status := ""
	for _, line := range tasks.Lines(string(out.Stderr)) {
		line = strings.TrimSpace(line)
		if text, is := strings.CutPrefix(line, spot); is {
			var ip, port string
			status, text, _ = strings.Cut(text, " ")
			ip, port, _ = strings.Cut(text, " ")
			came = fmt.Sprintf("status %s of %s", status, address(ip, port))
		} else if line != "" {
			trouble = append(trouble, tasks.LogLine([]byte(line)))
		}
	}
	switch {
	case out.Code != 0 && len(trouble) > 0:
		return "", errors.New(strings.Join(trouble[max(0, len(trouble)-maxSaid):], "; "))
	case out.Code != 0:
		return "", fmt.Errorf("curl ended with exit status %d", out.Code)
	}
	wanted := q.Status
	if len(wanted) == 0 {
		wanted = Statuses{200}
	}
	var wrong []string
	if n, err := strconv.Atoi(status); err != nil || !slices.Contains(wanted, n) {
		wrong = append(wrong, fmt.Sprintf("%s, expected %s", came, oneOf(wanted)))
	}
	wrong = append(wrong, lacks("body", out.Stdout, q.Contains, q.Matches)...)
	return came, verdict(tasks.Output{Stdout: out.Stdout}, wrong)
}

// address is HOST:PORT, with brackets around what has colons itself.
func address(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

func oneOf(numbers []int) string {
	var out []string
	for _, n := range numbers {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, " or ")
}

// confidential tells whether a header carries what nobody may read.
func confidential(name string) bool {
	return slices.Contains([]string{"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"}, strings.ToLower(name))
}

// problems are the faults of the question.
func (q *HTTP) problems() []tasks.Problem {
	var out tasks.Problems
	add := func(path, summary, hint string) {
		out.Add("http."+path, summary, hint)
	}
	switch u, err := url.Parse(q.URL); {
	case err != nil || strings.ContainsAny(q.URL, " \t\r\n") || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		add("url", fmt.Sprintf("%q is no address of a web server", q.URL), `such as "http://10.0.0.5:8080/health"`)
	case u.User != nil:
		add("url", "a user and a password in it would be seen by everybody on the host", `{"secret": NAME} as the value of the header Authorization`)
	}
	if q.Method != "" && !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, q.Method) {
		add("method", fmt.Sprintf("%q is no method that changes nothing", q.Method), "GET, HEAD or OPTIONS: a health check is asked in a check, too")
	}
	if q.Method == "HEAD" && q.Contains+q.Matches != "" {
		add("method", "the answer to HEAD has no body to compare", "GET, or take contains and matches out")
	}
	out = append(out, q.headerProblems()...)
	for i, n := range q.Status {
		if n < 100 || n > 599 {
			add(fmt.Sprintf("status.%d", i), fmt.Sprintf("%d is no status of HTTP", n), "100 to 599")
		}
	}
	if _, err := regexp.Compile(q.Matches); err != nil {
		add("matches", err.Error(), "regular expressions are those of RE2")
	}
	return out
}

func (q *HTTP) headerProblems() []tasks.Problem {
	var out tasks.Problems
	add := func(name, summary, hint string) {
		out.Add("http.headers."+name, summary, hint)
	}
	for _, name := range tasks.Keys(q.Headers) {
		value := q.Headers[name]
		switch {
		case !headerName.MatchString(name):
			add(name, fmt.Sprintf("%q is no name of a header", name), "letters, digits and hyphens")
		case value.Ref != nil && q.FollowRedirects:
			add(name, "a secret would go wherever the server points to", "take follow_redirects out, and ask the address it points to")
		case value.Ref != nil:
		case value.Literal == nil || strings.TrimSpace(*value.Literal) == "":
			add(name, "has no value", "")
		case strings.ContainsFunc(*value.Literal, func(r rune) bool { return r < ' ' || r == 0x7f }):
			add(name, "has a line break or a control character", "")
		case confidential(name):
			add(name, "what is confidential does not stand in a configuration", `{"secret": NAME}`)
		}
	}
	return out
}

// headerName is what the names of headers in use are made of, a part of what RFC 9110
// calls a token.
var headerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)

// textOf is what a header says.
func textOf(ctx context.Context, t secret.Text) (string, error) {
	if t.Ref != nil {
		return tasks.SecretValue(ctx, t.Ref.Name)
	}
	return *t.Literal, nil // Validate has seen to it
}
