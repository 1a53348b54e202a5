package health

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// TCP is a connection that must come about; nothing is sent.
type TCP struct {
	// Address is HOST:PORT.
	Address string `json:"address"`
}

// cmd opens a connection in bash, which every Debian has, and ends. curl's telnet would
// not do: it waits until the server hangs up. /dev/tcp is no file: bash itself looks the
// host up and connects (its manual, Redirections).
func (q *TCP) cmd() tasks.Cmd {
	host, port, _ := q.parts()
	return tasks.Cmd{Argv: []string{"bash", "-c", `exec 3<>"/dev/tcp/$1/$2"`, "tcp", host, port}}
}

// String says what is asked, and from where.
func (q *TCP) String() string { return "connect to " + q.Address + fromHost }

// compare is about the outcome of bash, whose first line ends with the reason.
func (q *TCP) compare(out tasks.Output) error {
	if out.Code == 0 {
		return nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out.Stderr)), "\n")
	why := tasks.LogLine([]byte(line[strings.LastIndex(line, ": ")+1:]))
	if why = strings.TrimSpace(why); why == "" {
		why = fmt.Sprintf("bash ended with exit status %d", out.Code)
	}
	return errors.New(why)
}

// parts are the host, without brackets, and the port.
func (q *TCP) parts() (host, port string, ok bool) {
	i := strings.LastIndexByte(q.Address, ':')
	if i < 0 {
		return "", "", false
	}
	host, port = q.Address[:i], q.Address[i+1:]
	n, err := strconv.Atoi(port)
	ok = err == nil && n > 0 && n < 1<<16 && strconv.Itoa(n) == port
	if in, closed := strings.CutSuffix(strings.TrimPrefix(host, "["), "]"); closed && host[0] == '[' {
		ip, err := netip.ParseAddr(in)
		return in, port, ok && err == nil && ip.Is6() && !strings.ContainsAny(ip.Zone(), "/ \t\r\n")
	}
	return host, port, ok && hostName.MatchString(host)
}

// problems are the faults of the address.
func (q *TCP) problems() []tasks.Problem {
	if _, _, ok := q.parts(); !ok {
		return []tasks.Problem{{Path: "tcp.address", Summary: fmt.Sprintf("%q is no HOST:PORT", q.Address), Hint: `such as "10.0.0.5:5432", "db.lan:5432" or "[2001:db8::5]:5432"`}}
	}
	return nil
}

// hostName is a name or an IPv4 address; looked up by whoever connects.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?\.?$`)
