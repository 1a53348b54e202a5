package sim

import (
	"context"
	"maps"
	"os"
	"path"
	"strings"
)

func pctExec(p *pctCall) error {
	if _, err := p.load(p.id); err != nil {
		return err
	}
	if !p.m.running(p.id) {
		return die(255, "container '%d' not running!", p.id)
	}
	if len(p.extra) == 0 {
		return die(255, "missing command at /usr/share/perl5/PVE/CLI/pct.pm line 239.")
	}
	env := p.env
	if keep, given := p.args["keep-env"]; given && keep != "1" {
		env = nil
	}
	if code := p.attach(p.id, env, p.extra); code != 0 {
		return die(code, "")
	}
	return nil
}

func pctEnter(p *pctCall) error {
	if _, err := p.load(p.id); err != nil {
		return err
	}
	if !p.m.running(p.id) {
		return die(255, "container '%d' not running!", p.id)
	}
	if code := p.attach(p.id, p.env, []string{"sh", "-s"}); code != 0 {
		return die(code, "")
	}
	return nil
}

// attach runs a program inside a running container.
func (c *call) attach(id int, env map[string]string, argv []string) int {
	g := c.m.guestMachine(id)
	inner := &call{m: g, ctx: c.ctx, argv: append([]string{path.Base(argv[0])}, argv[1:]...), in: c.in, out: c.out, err: c.err, dir: "/root", env: env}
	if name := inner.argv[0]; name == "reboot" || name == "poweroff" {
		return c.guestPower(id, name == "reboot")
	}
	if takesIn(argv) {
		return c.takeIn(id, g, argv)
	}
	if run, ok := g.find(argv[0]); ok {
		return run(inner)
	}
	c.errorf("lxc-attach: %d: ../src/lxc/attach.c: lxc_attach_run_command: 1841 No such file or directory - Failed to exec \"%s\"\n", id, argv[0])
	return 127
}

// guestPower stops the container from inside, or restarts it; either way what is
// pending takes effect.
func (c *call) guestPower(id int, again bool) int {
	// The guest's init does this after the command is gone: its context's end does
	// not hold it back.
	outer := *c
	outer.ctx = context.WithoutCancel(c.ctx)
	name := "shutdown"
	if again {
		name = "reboot"
	}
	v, _ := findVerb(name)
	p := &pctCall{call: &outer, verb: v, id: id, args: map[string]string{}, parsed: map[int]string{}}
	// Nobody inside hears how it ends: the command is gone by then.
	_ = v.run(p)
	return 0
}

// lxcAttach runs a program inside a container without Proxmox:
// lxc-attach -n ID [--clear-env] [--set-var NAME=VALUE] -- PROGRAM.
func lxcAttach(c *call) int {
	id, rest, bad := lxcArgs(c.argv[1:])
	if bad != "" {
		c.errorf("lxc-attach: %s\n", bad)
		return 1
	}
	if !c.m.running(id) {
		c.errorf("lxc-attach: %d: ../src/lxc/attach.c: get_attach_context: 406 Connection refused - Failed to get init pid\n", id)
		c.errorf("lxc-attach: %d: ../src/lxc/attach.c: lxc_attach: 1470 Connection refused - Failed to get attach context\n", id)
		return 1
	}
	env := c.env
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		switch {
		case rest[0] == "--clear-env":
			env = nil
		case rest[0] == "--set-var" && len(rest) > 1:
			name, value, _ := strings.Cut(rest[1], "=")
			env, rest = withVar(env, name, value), rest[1:]
		}
		if rest[0] == "--" {
			rest = rest[1:]
			break
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		rest = []string{"sh", "-s"}
	}
	return c.attach(id, env, rest)
}

func withVar(env map[string]string, name, value string) map[string]string {
	out := maps.Clone(env)
	if out == nil {
		out = make(map[string]string)
	}
	out[name] = value
	return out
}

// lxcArgs takes -n ID off the arguments of LXC's programs.
func lxcArgs(words []string) (id int, rest []string, bad string) {
	for i := 0; i < len(words); i++ {
		word := words[i]
		value := ""
		switch {
		case (word == "-n" || word == "--name") && i+1 < len(words):
			i++
			value = words[i]
		case strings.HasPrefix(word, "--name="):
			value = strings.TrimPrefix(word, "--name=")
		case word == "--":
			return id, append(rest, words[i:]...), missingName(id)
		default:
			rest = append(rest, word)
			continue
		}
		if id = number(value); id < 0 {
			return 0, nil, "invalid container name " + value
		}
	}
	return id, rest, missingName(id)
}

func missingName(id int) string {
	if id == 0 {
		return "missing container name, use --name option"
	}
	return ""
}

// lxcInfo tells the state of a container without Proxmox: lxc-info -n ID -sp.
func lxcInfo(c *call) int {
	id, flags, bad := lxcArgs(c.argv[1:])
	if bad != "" {
		c.errorf("lxc-info: %s\n", bad)
		return 1
	}
	if _, err := os.Stat(c.m.path(guestDir(id))); err != nil {
		c.errorf("%d doesn't exist\n", id)
		return 1
	}
	all := strings.Join(flags, "")
	state := "STOPPED"
	if c.m.running(id) {
		state = "RUNNING"
	}
	if strings.Trim(all, "-H") == "" {
		c.printf("%-15s %d\n", "Name:", id)
	}
	if strings.Trim(all, "-H") == "" || strings.Contains(all, "s") {
		c.lxcField(all, "State:", state)
	}
	if pid := strings.TrimSpace(c.m.text(pidFile(id))); pid != "" && (strings.Trim(all, "-H") == "" || strings.Contains(all, "p")) {
		c.lxcField(all, "PID:", pid)
	}
	return 0
}

func (c *call) lxcField(flags, name, value string) {
	if strings.Contains(flags, "H") {
		c.printf("%s\n", value)
		return
	}
	c.printf("%-15s %s\n", name, value)
}
