package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks/boot"
	"phoenix/tasks/pve"
)

// bootID is what the kernel draws anew at each boot.
const bootID = "/proc/sys/kernel/random/boot_id"

// reboot takes the machine down and up again, at once: its guests stop, the kernel that
// is due starts, and the guests that start at boot do. Down tells whoever keeps the
// machine's connections.
func (c *call) reboot() int {
	next, _, err := boot.Next(c.m.Host())
	if err != nil {
		return c.died(err, 1)
	}
	for _, id := range c.m.guests() {
		c.sub("pct", "stop", strconv.Itoa(id))
	}
	err = c.m.exclusive(func() error {
		if err := os.RemoveAll(c.m.path("/etc/kernel/next-boot-pin")); err != nil {
			return err
		}
		if next != "" {
			if err := c.m.write("/proc/sys/kernel/osrelease", []byte(next+"\n"), 0o644); err != nil {
				return err
			}
		}
		return c.m.bootMachine()
	})
	if err := errors.Join(err, c.bootServices()); err != nil {
		return c.died(err, 1)
	}
	for _, id := range c.m.guests() {
		if c.m.onBoot(id) {
			c.sub("pct", "start", strconv.Itoa(id))
		}
	}
	// Last: whoever waits for it may come in at once.
	if err := c.m.write(bootID, []byte(c.m.nextBootID()+"\n"), 0o644); err != nil {
		return c.died(err, 1)
	}
	if c.m.Down != nil {
		c.m.Down()
	}
	return 0
}

// onBoot tells whether a container starts with the machine; its snapshots say nothing.
func (m *Machine) onBoot(id int) bool {
	head := pve.ParseConfig([]byte(m.text(fmt.Sprintf("/etc/pve/lxc/%d.conf", id)))).Head().Values()
	on, _ := pve.ParseBool(head["onboot"])
	return on
}

// bootIDOf is the ID of the n-th boot, counting from 0.
func bootIDOf(n int) string { return fmt.Sprintf("6f1a3c52-0d5e-4b7a-9c41-%012x", n) }

// nextBootID follows the one that the machine has.
func (m *Machine) nextBootID() string {
	id := strings.TrimSpace(m.text(bootID))
	n, _ := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 16, 64)
	return bootIDOf(int(n) + 1)
}

// rebootSoon is `systemd-run --on-active=… systemctl reboot`.
func (c *call) rebootSoon(after time.Duration) {
	later := c.m.newCall(context.Background(), []string{"systemctl", "reboot"}, Streams{})
	time.AfterFunc(after, func() { later.run() })
}
