package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"phoenix/e2e/nvmlfake"
	"phoenix/e2e/realhost"
)

// cardContainers are a privileged and an unprivileged container with cards.
func cardContainers(privileged, unprivileged string) string {
	return fmt.Sprintf(`{
  "version": 1,
  "defaults": { "template": "debian-12-standard", "storage_pool": "tank", "storage_size_gb": 4, "memory_mb": 512, "cores": 1 },
  "lxc_configs": {
    "900": { "name": "privileged", "unprivileged": false, "gpu_assignment": %s },
    "901": { "name": "unprivileged", "unprivileged": true, "gpu_assignment": %s },
  },
}
`, privileged, unprivileged)
}

// nodesInside lists the nodes of cards in a container: type, numbers in decimal, mode,
// owner and group.
func (r *rig) nodesInside(t *testing.T, ctid int) []string {
	t.Helper()
	var out []string
	const each = `find /dev -path '/dev/nvidia*' ! -type d -exec stat -c '%n %F %t %T %a %u %g' {} +`
	for line := range strings.Lines(r.inside(t, ctid, "sh", "-c", each)) {
		words := strings.Fields(strings.Replace(line, "character special file", "c", 1))
		if len(words) != 7 {
			t.Fatalf("container %d: %q", ctid, line)
		}
		for _, i := range []int{2, 3} {
			n, err := strconv.ParseUint(words[i], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			words[i] = strconv.FormatUint(n, 10)
		}
		out = append(out, strings.Join(words, " "))
	}
	slices.Sort(out)
	return out
}

// wantNodes fails the test unless a container has the nodes of the card, and no others.
func (r *rig) wantNodes(t *testing.T, ctid, card int) {
	t.Helper()
	want := []string{
		"/dev/nvidia-uvm c 510 0 666 0 0", "/dev/nvidia-uvm-tools c 510 1 666 0 0",
		fmt.Sprintf("/dev/nvidia%d c 195 %[1]d 666 0 0", card), "/dev/nvidiactl c 195 255 666 0 0",
	}
	if got := r.nodesInside(t, ctid); !slices.Equal(got, want) {
		t.Errorf("container %d has\n%s\nwant\n%s", ctid, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The answers of the kernel to who opens a node: there is no driver behind it here, which
// it says only where the control group permits the device; and of the test where there is
// no node.
const (
	permitted = "No such device or address"
	forbidden = "Operation not permitted"
	missing   = "there is none"
)

// opens is what the kernel says when a program in a container opens a file. A node is
// made there before, where the numbers of one are given.
func (r *rig) opens(t *testing.T, ctid int, file string, mknod ...string) string {
	t.Helper()
	script := fmt.Sprintf(`if [ $# -gt 0 ]; then rm -f %s; mknod %[1]s "$@" 2>&1 || exit 0; fi; [ -e %[1]s ] || { echo %[2]s; exit 0; }; (exec 3<> %[1]s) 2>&1 || true`, file, missing)
	return r.inside(t, ctid, append([]string{"sh", "-c", script, ""}, mknod...)...)
}

func (r *rig) wantOpens(t *testing.T, ctid int, want, file string, mknod ...string) {
	t.Helper()
	if got := r.opens(t, ctid, file, mknod...); !strings.Contains(got, want) {
		t.Errorf("container %d opens %s %v: %q, want %q", ctid, file, mknod, got, want)
	}
}

func TestRealContainersWithCards(t *testing.T) {
	t.Parallel()
	cards := nvmlfake.Machine{Lines: nvmlfake.Driver(), Cards: []nvmlfake.Card{nvmlfake.RTX4090(0), nvmlfake.RTX4090(1)}}
	r := newContainerRig(t, realhost.Options{Cards: laidCards(t, cards)})
	r.write(t, "lxc.json", cardContainers("0", "[1]"))
	r.phoenix(t, "check").want(t, 2)
	r.phoenix(t, "run").want(t, 0)

	again := func(t *testing.T) {
		t.Helper()
		r.phoenix(t, "check", "-o", "json").want(t, 0).wantChanges(t)
		r.phoenix(t, "run", "-o", "json").want(t, 0).wantChanges(t)
	}
	t.Run("each has its own card", func(t *testing.T) {
		r.wantNodes(t, 900, 0)
		r.wantNodes(t, 901, 1)
		for ctid, own := range map[int]int{900: 0, 901: 1} {
			r.wantOpens(t, ctid, permitted, fmt.Sprintf("/dev/nvidia%d", own))
			r.wantOpens(t, ctid, permitted, "/dev/nvidia-uvm")
		}
		if got := r.onHost(t, "stat", "-c", "%u %g %a", "/var/lib/lxc/901/passthrough/dev/nvidia1"); got != "100000 100000 666" {
			t.Errorf("on the host, the node of the unprivileged container belongs to %s", got)
		}
	})
	t.Run("and cannot reach the other", func(t *testing.T) {
		r.wantOpens(t, 900, permitted, "/root/own", "c", "195", "0")
		r.wantOpens(t, 900, forbidden, "/root/other", "c", "195", "1")
		r.wantOpens(t, 901, forbidden, "/root/other", "c", "195", "0") // it can make no node at all
	})
	t.Run("a second run changes nothing", again)
	t.Run("a process is its container's", func(t *testing.T) { r.usesCard(t, cards) })
	t.Run("one card for another, and none", func(t *testing.T) {
		r.write(t, "lxc.json", cardContainers("1", `"none"`))
		r.phoenix(t, "check").want(t, 2).says(t, "/dev/nvidia0", "/dev/nvidia1")
		r.phoenix(t, "run").want(t, 0)
		r.wantNodes(t, 900, 1)
		r.wantOpens(t, 900, permitted, "/dev/nvidia1")
		r.wantOpens(t, 900, forbidden, "/root/other", "c", "195", "0")
		if got := r.nodesInside(t, 901); len(got) > 0 {
			t.Errorf("container 901 still has %q", got)
		}
		again(t)
	})
	t.Run("without a card, what is left of its node is of no use", func(t *testing.T) {
		r.write(t, "lxc.json", cardContainers(`"none"`, `"none"`))
		r.phoenix(t, "run").want(t, 0)
		if got := r.nodesInside(t, 900); len(got) > 0 {
			t.Errorf("container 900 still has %q", got)
		}
		r.wantOpens(t, 900, missing, "/dev/nvidia1")
		for _, numbers := range [][]string{{"c", "195", "0"}, {"c", "195", "1"}, {"c", "195", "255"}, {"c", "510", "0"}} {
			r.wantOpens(t, 900, forbidden, "/root/node", numbers...)
		}
		again(t)
	})
}

// usesCard has a program in a container use a card, as far as the library tells.
func (r *rig) usesCard(t *testing.T, m nvmlfake.Machine) {
	for ctid, seconds := range map[int]string{900: "100900", 901: "100901"} {
		r.inside(t, ctid, "sh", "-c", "setsid sleep "+seconds+" </dev/null >/dev/null 2>&1 &")
	}
	pid := func(seconds string) string { // once the shell has become it
		words := strings.Fields(r.onHost(t, "timeout", "20", "bash", "-c", "until pgrep -f '^sleep "+seconds+"'; do :; done"))
		return words[len(words)-1]
	}
	m.Cards = slices.Clone(m.Cards)
	for i, seconds := range []string{"100900", "100901"} {
		m.Cards[i].Lines = append(slices.Clone(m.Cards[i].Lines), "process compute "+pid(seconds)+" 2147483648 - -")
	}
	if err := m.Write(r.Hosts[0].Path(nvmlfake.OnHost)); err != nil {
		t.Fatal(err)
	}
	d := gpusOf(t, r.phoenix(t, "gpus", "-o", "json").want(t, 0).report(t), "pve1")
	for i, ctid := range []int{900, 901} {
		if len(d.GPUs) != 2 || len(d.GPUs[i].Processes) != 1 {
			t.Fatalf("the cards are %+v (%+v)", d.GPUs, d.Missed)
		}
		if o := d.Owner(d.GPUs[i].Processes[0].PID); o == nil || o.CTID != ctid || o.Name != "sleep" {
			t.Errorf("the process on card %d belongs to %+v, want container %d", i, o, ctid)
		}
		if c := d.Card(d.GPUs[i].PCIAddress); c == nil || !slices.Equal(c.Assigned, []int{ctid}) {
			t.Errorf("card %d is %+v", i, c)
		}
	}
	r.phoenix(t, "gpus").want(t, 0).says(t, "900 privileged", "901 unprivileged", "sleep (")
}
