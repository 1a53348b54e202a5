package guard

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/boot"
)

// moment is a time on one machine: by its clock, which may be set, and by how long it
// has been up since which boot, where /proc tells.
type moment struct {
	Clock  time.Time `json:"clock"`
	Boot   string    `json:"boot,omitempty"`
	Uptime float64   `json:"uptime,omitempty"` // seconds
}

func now(h tasks.Host, clock time.Time) moment {
	m := moment{Clock: clock}
	data, err := h.ReadFile("/proc/uptime")
	if err != nil {
		return m
	}
	id, err := boot.BootID(h)
	up, _, _ := strings.Cut(string(data), " ")
	if seconds, bad := strconv.ParseFloat(up, 64); err == nil && bad == nil {
		m.Boot, m.Uptime = id, seconds
	}
	return m
}

// sameBoot tells whether the machine has not been down between the moments, as far as is
// known.
func (m moment) sameBoot(before moment) bool { return m.Boot == before.Boot }

// since is how much later than another moment it is, within one boot.
func (m moment) since(before moment) (age time.Duration, same bool) {
	if !m.sameBoot(before) {
		return 0, false
	}
	if m.Boot != "" && m.Uptime > before.Uptime {
		return time.Duration((m.Uptime - before.Uptime) * float64(time.Second)), true
	}
	return m.Clock.Sub(before.Clock), true
}

// process is the number of a process and when it began, which no other has in one boot:
// the first and the 22nd field of /proc/PID/stat, whose second, the name, is in
// parentheses and may hold blanks. It is empty where there is no such process.
func process(h tasks.Host, pid string) string {
	stat, err := h.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	number, _, _ := strings.Cut(string(stat), " ")
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 20 {
		return ""
	}
	return number + " " + f[19]
}
