package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pctVerb is one command of pct.
type pctVerb struct {
	name string
	// fixed names the positional arguments; a "?" in front marks one that may be
	// left out; "extra-args" takes all that is left.
	fixed   []string
	options []option
	run     func(p *pctCall) error
}

// pctCall is one run of a verb.
type pctCall struct {
	*call
	verb pctVerb
	id   int
	// args holds the positional arguments and options by name, booleans as 1 and 0.
	args  map[string]string
	extra []string
	// parsed remembers the digests of the configurations whose warnings were shown:
	// Proxmox parses a file once per process and version.
	parsed map[int]string
	// worker says that what goes wrong is told in the task's log: standard output.
	worker bool
	// killed says that a fault ended the program as SIGKILL does: it cleans nothing up.
	killed bool
}

// failure is how a verb ends with a message and a status. Proxmox's statuses follow
// the errno that was left over, so each place says its own.
type failure struct {
	code int
	text string
}

func (f failure) Error() string { return f.text }

func die(code int, format string, args ...any) error {
	return failure{code, fmt.Sprintf(format, args...)}
}

// badParameters is a "400 Parameter verification failed." with a line per option.
type badParameters struct {
	code   int
	faults map[string]string
}

func (b badParameters) Error() string {
	return joinFaults("400 Parameter verification failed.", "", b.faults)
}

func badParameter(code int, name, fault string) error {
	return badParameters{code, map[string]string{name: fault}}
}

// pctVerbs lists the verbs, in plain sight.
func pctVerbs() []pctVerb {
	id := []string{"vmid"}
	return []pctVerb{
		{"list", nil, nil, pctList},
		{"config", id, []option{flagOption("current"), textOption("snapshot")}, pctConfig},
		{"pending", id, nil, pctPending},
		{"status", id, []option{flagOption("verbose")}, pctStatus},
		{"create", []string{"vmid", "ostemplate"}, optionsFor(forCreate), pctCreate},
		{"set", id, optionsFor(forSet), pctSet},
		{"start", id, []option{flagOption("debug"), flagOption("skiplock")}, pctStart},
		{"stop", id, []option{flagOption("skiplock"), flagOption("overrule-shutdown")}, pctStop},
		{"shutdown", id, []option{flagOption("forceStop"), numberOption("timeout")}, pctShutdown},
		{"reboot", id, []option{numberOption("timeout")}, pctReboot},
		{"suspend", id, nil, pctSuspend},
		{"resume", id, nil, pctResume},
		{"destroy", id, []option{flagOption("force"), flagOption("purge"), flagOption("destroy-unreferenced-disks")}, pctDestroy},
		{"resize", []string{"vmid", "disk", "size"}, []option{textOption("digest")}, pctResize},
		{"unlock", id, nil, pctUnlock},
		{"template", id, nil, pctTemplate},
		{"clone", []string{"vmid", "newid"}, cloneOptions(), pctClone},
		{"move-volume", []string{"vmid", "volume", "?storage", "?target-vmid", "?target-volume"}, []option{flagOption("delete"), textOption("digest"), numberOption("bwlimit")}, pctMoveVolume},
		{"snapshot", []string{"vmid", "snapname"}, []option{textOption("description")}, pctSnapshot},
		{"delsnapshot", []string{"vmid", "snapname"}, []option{flagOption("force")}, pctDelSnapshot},
		{"rollback", []string{"vmid", "snapname"}, []option{flagOption("start")}, pctRollback},
		{"listsnapshot", id, nil, pctListSnapshot},
		{"exec", []string{"vmid", "extra-args"}, []option{flagOption("keep-env")}, pctExec},
		{"enter", id, []option{flagOption("keep-env")}, pctEnter},
		{"push", []string{"vmid", "file", "destination"}, ownerOptions(), pctPush},
		{"pull", []string{"vmid", "path", "destination"}, ownerOptions(), pctPull},
		{"mount", id, nil, pctMount},
		{"unmount", id, nil, pctUnmount},
		{"df", id, nil, pctDF},
		{"fsck", id, []option{textOption("device"), flagOption("force")}, pctFsck},
		{"fstrim", id, []option{flagOption("ignore-mountpoints")}, pctFstrim},
		{"cpusets", nil, nil, pctCPUSets},
		{"rescan", nil, []option{numberOption("vmid"), flagOption("dryrun")}, pctRescan},
	}
}

func flagOption(name string) option {
	return option{property: property{name: name, typ: "boolean"}}
}
func textOption(name string) option { return option{property: property{name: name}} }
func numberOption(name string) option {
	return option{property: property{name: name, typ: "integer", minOnly: true}}
}

func ownerOptions() []option {
	return []option{textOption("user"), textOption("group"), textOption("perms")}
}

// optionsFor lists the options of create or set that have a fixed name.
func optionsFor(verb string) []option {
	var list []option
	for _, o := range containerOptions() {
		if strings.Contains(o.verbs, verb) && o.name != "ostemplate" {
			list = append(list, o)
		}
	}
	return list
}

// numbered tells whether the verb takes net0, mp0, dev0 and so on.
func (v pctVerb) numbered() bool { return v.name == "create" || v.name == "set" }

func findVerb(name string) (pctVerb, bool) {
	for _, v := range pctVerbs() {
		if v.name == name {
			return v, true
		}
	}
	return pctVerb{}, false
}

// pct manages containers (PVE::CLI::pct, pve-container 5.3.5).
func pct(c *call) int {
	if len(c.argv) < 2 {
		c.errorf("ERROR: no command specified\n%s", pctUsage)
		return 255
	}
	if c.argv[1] == "help" {
		return pctHelp(c)
	}
	v, ok := findVerb(c.argv[1])
	if !ok {
		c.errorf("ERROR: unknown command 'pct %s'\n%s", c.argv[1], pctUsage)
		return 255
	}
	p := &pctCall{call: c, verb: v, parsed: map[int]string{}}
	err := p.parse(c.argv[2:])
	if err == nil {
		err = p.verify()
	}
	if err == nil {
		err = v.run(p)
	}
	return p.finish(err)
}

// finish reports how the verb ended and returns the exit status.
func (p *pctCall) finish(err error) int {
	var f failure
	var bad badParameters
	switch {
	case err == nil:
		return 0
	case p.killed:
		return 137
	case errors.As(err, &f):
		if f.text != "" {
			p.errorf("%s\n", strings.TrimSuffix(f.text, "\n"))
		}
		return f.code
	case errors.As(err, &bad):
		p.errorf("%s\n%s\n", bad.Error(), usageOf(p.verb.name))
		return bad.code
	}
	p.errorf("%s\n", err)
	return 255
}

// usage ends a call whose words made no sense.
func (p *pctCall) usage(format string, args ...any) error {
	return failure{2, fmt.Sprintf(format, args...) + "\n" + usageOf(p.verb.name)}
}

// load reads a container's configuration and shows its warnings once.
func (p *pctCall) load(id int) (*config, error) {
	data, err := p.m.read(p.m.confPath(id))
	if err != nil {
		return nil, die(2, "Configuration file 'nodes/%s/lxc/%d.conf' does not exist", p.m.Node, id)
	}
	cfg, warnings := parseConfig(id, data)
	if p.parsed[id] == cfg.digest {
		return cfg, nil
	}
	p.parsed[id] = cfg.digest
	w := p.err
	if p.worker {
		w = p.out
	}
	for _, line := range warnings {
		fmt.Fprintln(w, line)
	}
	return cfg, nil
}

// save writes a container's configuration and lets the cluster know.
func (p *pctCall) save(id int, cfg *config) error {
	if err := p.m.write(p.m.confPath(id), cfg.bytes(), 0o640); err != nil {
		return die(5, "unable to write '/etc/pve/nodes/%s/lxc/%d.conf' - %v", p.m.Node, id, err)
	}
	return p.m.exclusive(func() error { return p.m.writeVMList(id) })
}

// locked runs do while it holds the container's lock.
func (p *pctCall) locked(code int, do func() error) error {
	waiting := *p.call
	if p.worker {
		waiting.err = p.out
	}
	unlock, err := waiting.lockConfig(p.id)
	if err != nil {
		return die(code, "%v", err)
	}
	defer unlock()
	return do()
}

// change loads, checks and hands over the configuration under the lock; when do
// returns nil the result is written.
func (p *pctCall) change(code int, do func(cfg *config) error) error {
	return p.locked(code, func() error {
		cfg, err := p.load(p.id)
		if err != nil {
			return err
		}
		if err := checkLock(cfg); err != nil {
			return err
		}
		if err := do(cfg); err != nil {
			return err
		}
		return p.save(p.id, cfg)
	})
}

// checkLock refuses a container that an operation has marked as its own.
func checkLock(cfg *config) error {
	if lock := cfg.keys["lock"]; lock != "" {
		return die(255, "CT is locked (%s)", lock)
	}
	return nil
}

// on reports whether a boolean option was given and true.
func (p *pctCall) on(name string) bool { return p.args[name] == "1" }

// number is an option's number, or the default.
func (p *pctCall) number(name string, otherwise int) int {
	if n, err := strconv.Atoi(p.args[name]); err == nil {
		return n
	}
	return otherwise
}

// hit tells whether a fault kills the program at this point of its work.
func (p *pctCall) hit(point string) bool {
	_, hit := p.fault(point)
	p.killed = p.killed || hit
	return hit
}

// given lists the names of the arguments that are options of a container, sorted.
func (p *pctCall) given() []string {
	var names []string
	for _, name := range sortedKeys(p.args) {
		if !slices.Contains(p.verb.fixed, name) {
			names = append(names, name)
		}
	}
	return names
}
