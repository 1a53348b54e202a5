package sim

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// abs is a path of the machine that a word names, seen from the working directory.
func (c *call) abs(word string) string {
	if strings.HasPrefix(word, "/") {
		return path.Clean(word)
	}
	return path.Join(c.dir, word)
}

func uname(c *call) int {
	flags := "s"
	if len(c.argv) > 1 {
		flags = strings.TrimLeft(strings.Join(c.argv[1:], ""), "-")
	}
	kernel := strings.TrimSpace(c.m.text("/proc/sys/kernel/osrelease"))
	name := strings.TrimSpace(c.m.text("/proc/sys/kernel/hostname"))
	var words []string
	for _, f := range []struct{ flag, text string }{
		{"s", "Linux"}, {"n", name}, {"r", kernel}, {"v", "#1 SMP PREEMPT_DYNAMIC PMX " + kernel}, {"m", "x86_64"}, {"o", "GNU/Linux"},
	} {
		if flags == "a" || strings.Contains(flags, f.flag) {
			words = append(words, f.text)
		}
	}
	c.printf("%s\n", strings.Join(words, " "))
	return 0
}

func hostname(c *call) int {
	c.printf("%s\n", strings.TrimSpace(c.m.text("/proc/sys/kernel/hostname")))
	return 0
}

func echo(c *call) int {
	words, end := c.argv[1:], "\n"
	if len(words) > 0 && words[0] == "-n" {
		words, end = words[1:], ""
	}
	c.printf("%s%s", strings.Join(words, " "), end)
	return 0
}

// inputs opens the files that a program was given, or its standard input.
func (c *call) inputs(words []string, each func(r io.Reader) error) int {
	if len(words) == 0 {
		words = []string{"-"}
	}
	code := 0
	for _, word := range words {
		if word == "-" {
			if each(c.in) != nil {
				code = 1
			}
			continue
		}
		f, err := c.m.open(c.abs(word))
		if err == nil {
			err = each(f)
			_ = f.Close() // it was only read
		}
		if err != nil {
			c.errorf("%s: %s: No such file or directory\n", c.argv[0], word)
			code = 1
		}
	}
	return code
}

// open opens a file for reading, following links inside the machine.
func (m *Machine) open(p string) (*os.File, error) {
	for range 8 {
		target, err := os.Readlink(m.path(p))
		if err != nil {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(p), target)
		}
		p = target
	}
	return os.Open(m.path(p))
}

func cat(c *call) int {
	return c.inputs(c.argv[1:], func(r io.Reader) error {
		_, err := io.Copy(c.out, r)
		return err
	})
}

// head and tail know -n N and -N.
func head(c *call) int { return c.part(true) }
func tail(c *call) int { return c.part(false) }

func (c *call) part(first bool) int {
	n, words := 10, c.argv[1:]
	for len(words) > 0 && strings.HasPrefix(words[0], "-") && words[0] != "-" {
		text := strings.TrimPrefix(strings.TrimPrefix(words[0], "-"), "n")
		words = words[1:]
		if text == "" && len(words) > 0 {
			text, words = words[0], words[1:]
		}
		number, err := strconv.Atoi(text)
		if err != nil || number < 0 {
			c.errorf("%s: invalid number of lines: '%s'\n", c.argv[0], text)
			return 1
		}
		n = number
	}
	return c.inputs(words, func(r io.Reader) error {
		lines, err := readLines(r)
		if first {
			lines = lines[:min(n, len(lines))]
		} else {
			lines = lines[max(0, len(lines)-n):]
		}
		for _, line := range lines {
			c.printf("%s\n", line)
		}
		return err
	})
}

func readLines(r io.Reader) ([]string, error) {
	var lines []string
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxOutput)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines, s.Err()
}

// grep finds fixed text; it knows -v, -c and -q.
func grep(c *call) int {
	words, flags := c.argv[1:], ""
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		flags += words[0][1:]
		words = words[1:]
	}
	if len(words) == 0 {
		c.errorf("Usage: grep [OPTION]... PATTERNS [FILE]...\n")
		return 2
	}
	count := 0
	code := c.inputs(words[1:], func(r io.Reader) error {
		lines, err := readLines(r)
		for _, line := range lines {
			found := strings.Contains(line, words[0]) && (line == words[0] || !strings.Contains(flags, "x"))
			if found != strings.Contains(flags, "v") {
				count++
				if !strings.ContainsAny(flags, "cq") {
					c.printf("%s\n", line)
				}
			}
		}
		return err
	})
	if strings.Contains(flags, "c") {
		c.printf("%d\n", count)
	}
	switch {
	case code != 0:
		return 2
	case count == 0:
		return 1
	}
	return 0
}

// ls lists names, one a line.
func ls(c *call) int {
	code, any := 0, false
	for _, word := range c.argv[1:] {
		if !strings.HasPrefix(word, "-") {
			any = true
			code = max(code, c.list(word))
		}
	}
	if !any {
		return c.list(".")
	}
	return code
}

func (c *call) list(word string) int {
	p := c.m.path(c.abs(word))
	info, err := os.Stat(p)
	if err != nil {
		c.errorf("ls: cannot access '%s': No such file or directory\n", word)
		return 2
	}
	if !info.IsDir() {
		c.printf("%s\n", word)
		return 0
	}
	entries, err := os.ReadDir(p)
	if err != nil {
		return c.died(err, 2)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			c.printf("%s\n", e.Name())
		}
	}
	return 0
}

func id(c *call) int {
	name, uid, gid := "root", "0", "0"
	if last := c.argv[len(c.argv)-1]; len(c.argv) > 1 && !strings.HasPrefix(last, "-") {
		users := c.m.table(passwdFile)
		i := users.row(last)
		if i < 0 {
			c.errorf("id: ‘%s’: no such user\n", last)
			return 1
		}
		name, uid, gid = last, users[i][2], users[i][3]
	}
	if len(c.argv) > 1 && c.argv[1] == "-u" {
		c.printf("%s\n", uid)
		return 0
	}
	c.printf("uid=%[1]s(%[2]s) gid=%[3]s(%[2]s) groups=%[3]s(%[2]s)\n", uid, name, gid)
	return 0
}

func uptime(c *call) int {
	c.printf(" %s up 1 day,  0:00,  1 user,  load average: 0.10, 0.12, 0.09\n", c.m.Now().Format("15:04:05"))
	return 0
}

func sleep(c *call) int {
	if len(c.argv) < 2 {
		c.errorf("sleep: missing operand\n")
		return 1
	}
	seconds, err := strconv.ParseFloat(c.argv[1], 64)
	if err != nil || seconds < 0 {
		c.errorf("sleep: invalid time interval '%s'\n", c.argv[1])
		return 1
	}
	c.wait(time.Duration(seconds * float64(time.Second)))
	if c.ctx.Err() != nil {
		return 143
	}
	return 0
}

// envProgram runs a program with NAME=VALUE pairs set.
func envProgram(c *call) int {
	words := c.argv[1:]
	d := *c
	d.env = map[string]string{}
	for k, v := range c.env {
		d.env[k] = v
	}
	for len(words) > 0 && (strings.Contains(words[0], "=") || strings.HasPrefix(words[0], "-")) {
		if name, value, ok := strings.Cut(words[0], "="); ok {
			d.env[name] = value
		}
		words = words[1:]
	}
	if len(words) == 0 {
		for _, k := range sortedKeys(d.env) {
			c.printf("%s=%s\n", k, d.env[k])
		}
		return 0
	}
	return d.sub(words...)
}

// pveversion prints the versions of Proxmox's packages.
func pveversion(c *call) int {
	v := c.m.versions()
	if len(c.argv) == 1 {
		c.printf("pve-manager/%s/%s (running kernel: %s)\n", v.manager, v.repoid, strings.TrimSpace(c.m.text("/proc/sys/kernel/osrelease")))
		return 0
	}
	list := c.m.dpkgEntries()
	for _, name := range strings.Fields("proxmox-ve pve-manager ceph-fuse corosync glusterfs-client ifupdown2 libknet1 libpve-common-perl libpve-guest-common-perl libpve-storage-perl lxc-pve lxcfs pve-cluster pve-container") {
		version := "not correctly installed"
		if i := dpkgIndex(list, name); i >= 0 && list[i].installed() {
			version = list[i].version
		}
		c.printf("%s\n", fmt.Sprintf("%s: %s", name, version))
	}
	return 0
}
