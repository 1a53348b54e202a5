package mig

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/guest"
)

// persistenced keeps the cards initialised and runs nothing on them. It is in the way of
// a reset, not of instances. The kernel cuts names off at 15 bytes.
const persistenced = "nvidia-persiste"

// users are who uses each device node: processes that have it open, whether in a container
// or not, and running containers that were given it, which may open it at any moment. Given
// are the containers that are configured with it.
func users(h tasks.Host) (used, given map[string][]string, err error) {
	used, given = make(map[string][]string), make(map[string][]string)
	pids, err := h.ReadDir("/proc")
	for _, pid := range pids {
		if err == nil && number(pid) > 0 {
			err = process(h, pid, used)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	guests, err := guest.List(h)
	for _, g := range guests {
		who := "container " + strconv.Itoa(g.CTID)
		for _, node := range gpu.Given(g.Config.Head()) {
			if slices.Contains(given[node], who) {
				continue
			}
			given[node] = append(given[node], who)
			if g.Running() {
				used[node] = append(used[node], who+", which runs")
			}
		}
	}
	return used, given, err
}

// process looks at the open files of one. nvidia-smi does not tell of all: it lists those
// that compute. One that ends while it is looked at uses nothing.
func process(h tasks.Host, pid string, out map[string][]string) error {
	dir := "/proc/" + pid + "/"
	open, err := h.ReadDir(dir + "fd")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	who := ""
	for _, name := range open {
		file, gone := h.Stat(dir + "fd/" + name)
		if gone != nil || !strings.HasPrefix(file.Target, "/dev/nvidia") {
			continue
		}
		if who == "" {
			comm, _ := h.ReadFile(dir + "comm") // the number alone will do
			name := strings.TrimSpace(string(comm))
			if name == persistenced {
				return nil
			}
			who = "process " + pid + " (" + tasks.LogLine([]byte(name)) + ")"
		}
		if !slices.Contains(out[file.Target], who) {
			out[file.Target] = append(out[file.Target], who)
		}
	}
	return err
}
