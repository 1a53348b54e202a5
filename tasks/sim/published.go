package sim

import (
	"bytes"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

var (
	composePublish = regexp.MustCompile(`ports:\s*(\[[^\]]*\]|(\n?- .*\n)+)`)
	publishedPort  = regexp.MustCompile(`(\d+):\d+(?:/[a-z]+)?["'\s,\]]`)
	nginxListen    = regexp.MustCompile(`\blisten\s+(\d+)`)
)

// composePorts are the ports of the machine that a service publishes, in the short form
// HOST:CONTAINER.
func composePorts(body string) []string {
	var out []string
	for _, f := range publishedPort.FindAllStringSubmatch(composePublish.FindString(body), -1) {
		out = append(out, f[1])
	}
	return out
}

// composeServer is whatever a container of a compose project publishes: it says OK.
func composeServer(m *Machine, port string) responder {
	if !m.dockerRuns() {
		return nil
	}
	for _, k := range m.dockerRead().Containers {
		if k.State == "running" && slices.Contains(k.Ports, port) {
			return func(*call, request) reply { return reply{200, "OK\n"} }
		}
	}
	return nil
}

// nginxServer is nginx, which says OK for what stands behind it.
func nginxServer(m *Machine, port string) responder {
	if !m.exists(activeDir + "nginx.service") {
		return nil
	}
	ports := []string{}
	for _, file := range m.glob("/etc/nginx/conf.d/*.conf") {
		for _, f := range nginxListen.FindAllStringSubmatch(m.text(file), -1) {
			ports = append(ports, f[1])
		}
	}
	if len(ports) == 0 {
		ports = []string{"80"} // that of the site which the package brings
	}
	if !slices.Contains(ports, port) {
		return nil
	}
	return func(*call, request) reply { return reply{200, "OK\n"} }
}

// layNginx lays what Debian's package brings.
func (m *Machine) layNginx() error {
	if err := m.laysFolders("etc/nginx/conf.d etc/nginx/sites-enabled var/lib/nginx"); err != nil {
		return err
	}
	return m.write("/etc/nginx/sites-enabled/default", []byte("server {\n\tlisten 80 default_server;\n}\n"), 0o644)
}

// nginxProgram is `nginx -t`; it knows one fault, a brace too many or too few.
func nginxProgram(c *call) int {
	if !slices.Contains(c.argv, "-t") {
		return c.complain(1, "only -t is simulated")
	}
	for _, file := range c.m.glob("/etc/nginx/conf.d/*.conf") {
		if text := c.m.text(file); strings.Count(text, "{") != strings.Count(text, "}") {
			c.errorf("nginx: [emerg] unexpected end of file, expecting \"}\" in %s:%d\nnginx: configuration file /etc/nginx/nginx.conf test failed\n", file, strings.Count(text, "\n")+1)
			return 1
		}
	}
	if !slices.Contains(c.argv, "-q") {
		c.errorf("nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\nnginx: configuration file /etc/nginx/nginx.conf test is successful\n")
	}
	return 0
}

// cmpProgram compares two files: cmp -s A B.
func cmpProgram(c *call) int {
	if len(c.argv) != 4 || c.argv[1] != "-s" {
		return c.complain(2, "missing operand (the simulated one knows -s A B only)")
	}
	a, wrong := c.m.read(c.abs(c.argv[2]))
	b, bad := c.m.read(c.abs(c.argv[3]))
	switch {
	case wrong != nil || bad != nil:
		return 2
	case !bytes.Equal(a, b):
		return 1
	}
	return 0
}

// cp copies one file: cp FROM TO.
func cp(c *call) int {
	if len(c.argv) != 3 {
		return c.complain(1, "missing file operand (the simulated one copies one file)")
	}
	data, err := c.m.read(c.abs(c.argv[1]))
	if errors.Is(err, fs.ErrNotExist) {
		return c.complain(1, "cannot stat '%s': No such file or directory", c.argv[1])
	}
	if err == nil {
		err = c.m.exclusive(func() error { return c.m.write(c.abs(c.argv[2]), data, 0o644) })
	}
	return c.died(err, 1)
}
