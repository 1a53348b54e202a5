package sim

import (
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// request is what curl asks a service of the machine itself.
type request struct {
	method, path string
	header       []string
	body         []byte
}

// reply is a status and a body.
type reply struct {
	status int
	body   string
}

// responder answers what is asked of a service.
type responder func(c *call, r request) reply

// localServers find what listens on a port of the machine; each is nil where its service
// does not listen there.
func localServers() []func(m *Machine, port string) responder {
	return []func(m *Machine, port string) responder{portainerServer, composeServer, nginxServer, vllmServer, ollamaServer, plainServer}
}

// curlCall is a command line of curl, as far as it is about one address.
type curlCall struct {
	request
	url, output string
	failing     bool
	format      string
}

// curlLocal serves an address of the machine itself. It tells whether the address is one.
func (c *call) curlLocal() (code int, local bool) {
	if !slices.ContainsFunc(c.argv, isLocal) && !slices.Contains(c.argv, "--config") && !slices.Contains(c.argv, "-K") {
		return 0, false
	}
	q, code := c.curlArgs()
	if code != 0 {
		return code, true
	}
	u, err := url.Parse(q.url)
	if err != nil || !isLocal(q.url) {
		return 0, false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	q.path = u.RequestURI()
	for _, find := range localServers() {
		if answer := find(c.m, port); answer != nil {
			return c.curlReply(q, answer(c, q.request)), true
		}
	}
	c.errorf("curl: (7) Failed to connect to %s port %s after 0 ms: Couldn't connect to server\n", u.Hostname(), port)
	return 7, true
}

func isLocal(word string) bool {
	u, err := url.Parse(word)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname())
}

// curlArgs reads the command line, with the data and headers that come from elsewhere.
func (c *call) curlArgs() (q curlCall, code int) {
	words := slices.Clone(c.argv[1:])
	for i := 0; i < len(words); i++ {
		w := words[i]
		value := ""
		if takesValue(w) {
			if i++; i == len(words) {
				c.errorf("curl: option %s: requires parameter\n", w)
				return q, 2
			}
			value = words[i]
		}
		if text, is := strings.CutPrefix(value, "@-"); is && text == "" {
			data, err := io.ReadAll(c.in)
			if err != nil {
				return q, c.died(err, 26)
			}
			value = string(data)
		}
		switch w {
		case "--config", "-K":
			more, err := io.ReadAll(c.in)
			if err != nil {
				return q, c.died(err, 26)
			}
			words = slices.Insert(words, i+1, curlConfig(string(more))...)
		case "--request", "-X":
			q.method = value
		case "--head", "-I":
			q.method = "HEAD"
		case "--header", "-H":
			q.header = append(q.header, strings.Split(strings.TrimSpace(value), "\n")...)
		case "--data", "--data-binary", "--data-raw", "--json", "-d":
			q.body = []byte(value)
		case "--output", "-o":
			q.output = value
		case "--write-out", "-w":
			q.format = value
		case "--fail", "--fail-with-body", "-f", "-fsS", "-fsSL":
			q.failing = true
		default:
			if !strings.HasPrefix(w, "-") {
				q.url = w
			} else if w == "--url" {
				q.url = value
			}
		}
	}
	if q.method == "" {
		q.method = map[bool]string{true: "GET", false: "POST"}[q.body == nil]
	}
	return q, 0
}

func takesValue(option string) bool {
	return slices.Contains(strings.Fields(`--config -K --request -X --header -H --data --data-binary --data-raw --json -d --output -o --write-out -w
		--max-time -m --connect-timeout --noproxy --proto --proto-redir --cacert --retry --retry-delay --retry-max-time --unix-socket --user -u
		--user-agent -A --max-redirs --resolve --url --form -F --limit-rate --speed-time --speed-limit`), option)
}

// curlConfig is the words that a configuration file of curl stands for.
func curlConfig(text string) []string {
	var words []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		n := strings.IndexAny(line, " \t=:")
		if n < 0 {
			words = append(words, "--"+strings.TrimLeft(line, "-"))
			continue
		}
		value := strings.TrimLeft(line[n:], " \t=:")
		if strings.HasPrefix(value, `"`) {
			value = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\r`, "\r", `\t`, "\t").Replace(strings.TrimSuffix(value[1:], `"`))
		}
		words = append(words, "--"+strings.TrimLeft(line[:n], "-"), value)
	}
	return words
}

// curlReply hands over an answer: to a file or to the output, with what was asked about it.
func (c *call) curlReply(q curlCall, r reply) int {
	failed := q.failing && r.status >= 400
	if !failed || slices.Contains(c.argv, "--fail-with-body") {
		switch {
		case q.method == "HEAD" || q.output == "/dev/null":
		case q.output == "" || q.output == "-":
			c.printf("%s", r.body)
		default:
			if err := c.m.write(c.abs(q.output), []byte(r.body), 0o644); err != nil {
				return c.died(err, 23)
			}
		}
	}
	if q.format != "" {
		text := strings.NewReplacer("%{http_code}", strconv.Itoa(r.status), "%{response_code}", strconv.Itoa(r.status), `\n`, "\n", "%{remote_ip}", "127.0.0.1").Replace(q.format)
		if rest, is := strings.CutPrefix(text, "%{stderr}"); is {
			c.errorf("%s", rest)
		} else {
			c.printf("%s", text)
		}
	}
	if failed {
		c.errorf("curl: (22) The requested URL returned error: %d\n", r.status)
		return 22
	}
	return 0
}
