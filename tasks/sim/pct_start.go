package sim

import (
	"fmt"
	"os"
	"strings"
)

func pctStart(p *pctCall) error {
	if p.m.running(p.id) {
		return die(255, "CT %d already running", p.id)
	}
	p.worker = true
	return startContainer(p)
}

// startContainer is the worker of a start.
func startContainer(p *pctCall) error {
	return p.locked(255, func() error {
		cfg, err := p.load(p.id)
		if err != nil {
			return asWorker(err)
		}
		if cfg.on("template") {
			return die(255, "you can't start a CT if it's a template")
		}
		if err := checkLock(cfg); err != nil {
			return err
		}
		if len(cfg.pending.keys) > 0 {
			if err := p.settle(cfg); err != nil {
				return asWorker(err)
			}
		}
		if err := p.canStart(cfg); err != nil {
			return asWorker(err)
		}
		if text := startProblem(p.m, cfg); text != "" {
			return p.failStart(text)
		}
		if p.hit("written") {
			return die(137, "")
		}
		if err := setupGuest(p.m, p.id, cfg); err != nil {
			return err
		}
		_ = os.Remove(p.m.path(startErrors(p.id))) // left by an earlier start
		return p.m.setRunning(p.id, true)
	})
}

// settle applies all pending changes, as stopping and starting do.
func (p *pctCall) settle(cfg *config) error {
	u := &update{pctCall: p, cfg: cfg}
	if err := u.applyPending(cfg, nil); err != nil {
		return err
	}
	return u.write()
}

// asWorker gives an error the status of a failed task.
func asWorker(err error) error {
	if err == nil {
		return nil
	}
	return die(255, "%v", err)
}

// canStart finds what keeps Proxmox from writing LXC's configuration.
func (p *pctCall) canStart(cfg *config) error {
	if cfg.keys["arch"] == "" {
		return die(255, "missing 'arch' - internal error at /usr/share/perl5/PVE/LXC.pm line 676.")
	}
	for _, key := range append([]string{"rootfs"}, cfg.numbered("mp")...) {
		mount, fault := mountSchema().split(cfg.keys[key])
		if fault != "" || mount["volume"] == "" {
			return die(255, "unable to parse mountpoint '%s'", key)
		}
		if !isVolume(mount["volume"]) {
			if !p.m.exists(mount["volume"]) {
				return die(255, "directory '%s' does not exist", mount["volume"])
			}
			continue
		}
		if _, err := p.m.volumeSize(mount["volume"]); err != nil {
			return err
		}
	}
	for _, key := range cfg.numbered("net") {
		if err := p.m.checkBridge(cfg.keys[key]); err != nil {
			return err
		}
	}
	for _, key := range cfg.numbered("dev") {
		if dev, fault := deviceSchema().split(cfg.keys[key]); fault == "" && !p.m.exists(dev["path"]) {
			return die(255, "Device %s does not exist", dev["path"])
		}
	}
	return nil
}

// startErrors is where Proxmox keeps what LXC said of a start that failed.
func startErrors(id int) string { return fmt.Sprintf("/run/pve/ct-%d.stderr", id) }

// startProblem finds what LXC itself stumbles over: raw mounts of what is not there,
// and an architecture that the machine cannot run.
func startProblem(m *Machine, cfg *config) (source string) {
	for _, kv := range cfg.raw {
		fields := strings.Fields(kv[1])
		if kv[0] == "lxc.mount.entry" && len(fields) > 3 && strings.HasPrefix(fields[0], "/") &&
			!strings.Contains(fields[3], "optional") && !m.exists(fields[0]) {
			return kv[1]
		}
	}
	return ""
}

// failStart leaves the traces of a container that LXC could not start.
func (p *pctCall) failStart(entry string) error {
	fields := strings.Fields(entry)
	source, target := fields[0], strings.TrimPrefix(fields[1], "/")
	const where = "lxc-start: %d: ../src/lxc/%s: %s\n"
	lines := [][2]string{
		{"utils.c", fmt.Sprintf("safe_mount: 1425 No such file or directory - Failed to mount \"%s\" onto \"/usr/lib/x86_64-linux-gnu/lxc/rootfs/%s\"", source, target)},
		{"conf.c", fmt.Sprintf("mount_entry: 2213 No such file or directory - Failed to mount \"%s\" on \"/usr/lib/x86_64-linux-gnu/lxc/rootfs/%s\"", source, target)},
		{"conf.c", "lxc_setup: 3915 Failed to setup mount entries"},
		{"start.c", fmt.Sprintf("do_start: 1273 Failed to setup container \"%d\"", p.id)},
		{"sync.c", "sync_wait: 34 An error occurred in another process (expected sequence number 3)"},
		{"start.c", fmt.Sprintf("__lxc_start: 2114 Failed to spawn container \"%d\"", p.id)},
		{"tools/lxc_start.c", "lxc_start_main: 307 The container failed to start"},
		{"tools/lxc_start.c", "lxc_start_main: 312 Additional information can be obtained by setting the --logfile and --logpriority options"},
	}
	var kept strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&kept, where, p.id, line[0], line[1])
		if i < 5 { // Proxmox repeats the first five in the task's log
			p.logStart(line[0], line[1])
		}
	}
	if p.on("debug") {
		p.printf("DEBUG    network - ../src/lxc/network.c:lxc_delete_network:4217 - Deleted network devices\n")
	}
	if err := p.m.write(startErrors(p.id), []byte(kept.String()), 0o644); err != nil {
		return err
	}
	return die(255, "startup for container '%d' failed", p.id)
}

// logStart prints a line of LXC's log, in full when the start is a debugging one.
func (p *pctCall) logStart(file, line string) {
	if !p.on("debug") {
		p.printf("%s\n", line)
		return
	}
	where, text, _ := strings.Cut(line, ": ")
	number, text, _ := strings.Cut(text, " ")
	p.printf("ERROR    %s - ../src/lxc/%s:%s:%s - %s\n", strings.TrimSuffix(file, ".c"), file, where, number, text)
}

// halt makes a running container stop: the post-stop hook applies what is pending.
func (p *pctCall) halt() error {
	stop := func() error { return p.m.setRunning(p.id, false) }
	if p.m.Containers != nil {
		stop = p.shutReal
	}
	if err := stop(); err != nil {
		return err
	}
	cfg, err := p.load(p.id)
	if err != nil || len(cfg.pending.keys) == 0 {
		return err
	}
	return p.settle(cfg)
}

func pctStop(p *pctCall) error {
	if !p.m.running(p.id) {
		return die(255, "CT %d not running", p.id)
	}
	return p.working(p.halt)
}

// working runs a task under the container's lock, unless it is marked as locked.
func (p *pctCall) working(do func() error) error {
	p.worker = true
	return p.locked(255, func() error {
		cfg, err := p.load(p.id)
		if err != nil {
			return asWorker(err)
		}
		if err := checkLock(cfg); err != nil {
			return err
		}
		return asWorker(do())
	})
}

// defiant tells whether the guest ignores a request to shut down: its poweroff unit
// is masked.
func (m *Machine) defiant(id int) bool {
	target, err := os.Readlink(m.path(guestRoot(id) + "/etc/systemd/system/poweroff.target"))
	return err == nil && target == "/dev/null"
}

func pctShutdown(p *pctCall) error {
	if !p.m.running(p.id) {
		return die(255, "CT %d not running", p.id)
	}
	return p.working(func() error {
		if p.m.defiant(p.id) {
			if !p.on("forceStop") {
				p.printf("command 'lxc-stop -n %d --nokill --timeout %d' failed: exit code 1\n", p.id, p.number("timeout", 60))
				return die(255, "container did not stop")
			}
			p.printf("command 'lxc-stop -n %d --timeout %d' failed: got timeout\n", p.id, p.number("timeout", 60))
		}
		return p.halt()
	})
}

func pctReboot(p *pctCall) error {
	if !p.m.running(p.id) {
		return die(255, "VM %d not running", p.id)
	}
	if err := p.working(p.halt); err != nil {
		return err
	}
	return startContainer(p)
}

// pctSuspend refuses: suspending containers needs CRIU, which Proxmox calls
// experimental.
func pctSuspend(p *pctCall) error {
	if !p.m.running(p.id) {
		return die(255, "CT %d not running", p.id)
	}
	return die(255, "command 'lxc-checkpoint -n %d -s -D /var/lib/vz/dump' failed: exit code 1", p.id)
}

func pctResume(p *pctCall) error {
	if p.m.running(p.id) {
		return die(255, "CT %d already running", p.id)
	}
	return die(255, "command 'lxc-checkpoint -n %d -r --foreground -D /var/lib/vz/dump' failed: exit code 1", p.id)
}
