package containers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/containers"
	"phoenix/tasks/local"
	"phoenix/tasks/taskstest"
)

// node is a host of 16 GiB with a container that runs, one that is stopped, a template,
// and in its cluster another node with a container of its own.
func node(t *testing.T) tasks.Host {
	t.Helper()
	return taskstest.NewTree(t, map[string]string{
		"/etc/pve/local":                   "-> nodes/pve",
		"/etc/pve/lxc":                     "-> nodes/pve/lxc",
		"/etc/pve/nodes/pve/lxc/100.conf":  "hostname: web\nmemory: 8192\nrootfs: x:y\n\n[old]\nhostname: before\n",
		"/etc/pve/nodes/pve/lxc/101.conf":  "memory: 4096\nrootfs: x:y\n",
		"/etc/pve/nodes/pve/lxc/102.conf":  "hostname: base\ntemplate: 1\nrootfs: x:y\n",
		"/etc/pve/nodes/pve2/lxc/103.conf": "hostname: other\nrootfs: x:y\n",
		"/etc/pve/.vmlist": `{"version":2,"ids":{"100":{"node":"pve","type":"lxc","version":1},"101":{"node":"pve","type":"lxc","version":1},` +
			`"102":{"node":"pve","type":"lxc","version":1},"103":{"node":"pve2","type":"lxc","version":1}}}`,
		"/proc/meminfo":  "MemTotal:       16777216 kB\nMemFree:        12034200 kB\n",
		"/proc/net/unix": "Num\n0: 00000002 00000000 00010000 0001 01 77 @/var/lib/lxc/100/command\n",
	})
}

// ask runs the step, which never differs, starts no program and changes nothing.
func ask(t *testing.T, h tasks.Host, spec string) containers.Data {
	t.Helper()
	rec := taskstest.NewRecorder(h)
	res := taskstest.Run(t, containers.Kind(), spec, rec)
	if res.Status != tasks.StatusOK || len(rec.Commands()) > 0 || len(rec.Changes()) > 0 {
		t.Fatalf("%+v, ran %q, did %v", res, rec.Commands(), rec.Changes())
	}
	var d containers.Data
	if len(res.Data) > 0 {
		if err := json.Unmarshal(res.Data, &d); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestContainersThatNoConfigurationNames(t *testing.T) {
	web, unnamed, base := containers.Container{CTID: 100, Name: "web", State: "running"}, containers.Container{CTID: 101, Name: "CT101", State: "stopped"},
		containers.Container{CTID: 102, Name: "base", State: "template"}
	for name, c := range map[string]struct {
		spec string
		want []containers.Container
	}{
		"all of them":               {`{"configured":[]}`, []containers.Container{web, unnamed, base}},
		"one":                       {`{"configured":[{"ctid":100,"runs":true},{"ctid":102}]}`, []containers.Container{unnamed}},
		"none":                      {`{"configured":[{"ctid":100,"runs":true},{"ctid":101},{"ctid":102}]}`, nil},
		"none, and one of another":  {`{"configured":[{"ctid":100},{"ctid":101},{"ctid":102},{"ctid":103,"runs":true,"memory_mb":16384}]}`, nil},
		"none, and one to be made":  {`{"configured":[{"ctid":100},{"ctid":101},{"ctid":102},{"ctid":104,"runs":true}]}`, nil},
		"those of this node, alone": {`{"configured":[{"ctid":103}]}`, []containers.Container{web, unnamed, base}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := ask(t, node(t), c.spec); !reflect.DeepEqual(d, containers.Data{Unmanaged: c.want}) {
				t.Errorf("got %+v, want %+v", d, c.want)
			}
		})
	}
}

func TestMemoryOfTheContainersThatAreToRun(t *testing.T) {
	const g = 1 << 30
	for name, c := range map[string]struct {
		spec string
		want int64
	}{
		"what the configuration says":                {`[{"ctid":100,"runs":true,"memory_mb":16384},{"ctid":101,"runs":true,"memory_mb":1024}]`, 17 * g},
		"exactly what there is":                      {`[{"ctid":100,"runs":true,"memory_mb":16384}]`, 0},
		"what one has of which nothing is said":      {`[{"ctid":100,"runs":true},{"ctid":101,"runs":true,"memory_mb":9216}]`, 17 * g},
		"what runs unmanaged":                        {`[{"ctid":101,"runs":true,"memory_mb":9216}]`, 17 * g},
		"what is stopped unmanaged":                  {`[{"ctid":100,"runs":true,"memory_mb":14336}]`, 0},
		"what is to be stopped":                      {`[{"ctid":100,"memory_mb":8192},{"ctid":101,"runs":true,"memory_mb":16384}]`, 0},
		"one to be made":                             {`[{"ctid":100,"runs":true},{"ctid":104,"runs":true,"memory_mb":9216}]`, 17 * g},
		"one that is on another node of the cluster": {`[{"ctid":100,"runs":true},{"ctid":103,"runs":true,"memory_mb":9216}]`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := ask(t, node(t), `{"configured":`+c.spec+`}`)
			switch {
			case c.want == 0 && d.Memory != nil:
				t.Errorf("got %+v", d.Memory)
			case c.want != 0 && (d.Memory == nil || *d.Memory != containers.Memory{MayUse: c.want, Has: 16 * g}):
				t.Errorf("got %+v, want %d", d.Memory, c.want)
			}
		})
	}
}

// TestAHostThatReadsTheFileAndIsNoNode has none of the containers: there is nothing to
// tell. With some of them, it should be a node.
func TestAHostThatReadsTheFileAndIsNoNode(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{"/proc/net/unix": "Num\n"})
	if d := ask(t, h, `{"configured":[]}`); d.Unmanaged != nil {
		t.Errorf("%+v", d)
	}
	res := taskstest.Check(t, containers.Kind(), `{"configured":[{"ctid":100}]}`, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "is this a Proxmox VE host?") {
		t.Errorf("%+v", res)
	}
}

func TestMemoryThatCannotBeReadIsTold(t *testing.T) {
	h := node(t)
	taskstest.Put(t, h, "/proc/meminfo", "MemFree: 5 kB\n")
	res := taskstest.Check(t, containers.Kind(), `{"configured":[]}`, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "read /proc/meminfo: its first line is not MemTotal") {
		t.Errorf("%+v", res)
	}
}

// TestOnlyTheFilesOfOthersAreRead has what the configuration says of its own suffice.
func TestOnlyTheFilesOfOthersAreRead(t *testing.T) {
	h := node(t)
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: "/etc/pve/nodes/pve/lxc/100.conf"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/etc/pve/nodes/pve/lxc/100.conf"}); err != nil {
		t.Fatal(err)
	}
	if d := ask(t, h, `{"configured":[{"ctid":100,"runs":true,"memory_mb":512},{"ctid":102}]}`); len(d.Unmanaged) != 1 {
		t.Errorf("%+v", d)
	}
	if res := taskstest.Check(t, containers.Kind(), `{"configured":[{"ctid":100,"runs":true}]}`, h); res.Status != tasks.StatusFailed {
		t.Errorf("a file that cannot be read is passed over: %+v", res)
	}
}

// BenchmarkCheck is a host with a hundred containers of which the configuration knows
// nothing: the most that is read.
func BenchmarkCheck(b *testing.B) {
	root := b.TempDir()
	put := func(name, text string) {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			b.Fatal(err)
		}
	}
	sockets, list := "Num\n", `{"version":1,"ids":{`
	for id := 900; id < 1000; id++ {
		sockets += fmt.Sprintf("0: 00000002 00000000 00010000 0001 01 %d @/var/lib/lxc/%d/command\n", id, id)
		list += fmt.Sprintf(`"%d":{"node":"pve","type":"lxc","version":1},`, id)
		put(fmt.Sprintf("/etc/pve/nodes/pve/lxc/%d.conf", id), "arch: amd64\ncores: 2\nhostname: web\nmemory: 512\nnet0: name=eth0,bridge=vmbr0,ip=dhcp\nrootfs: local-zfs:subvol,size=4G\n")
	}
	put("/proc/net/unix", sockets)
	put("/proc/meminfo", "MemTotal:       16777216 kB\n")
	put("/etc/pve/.vmlist", strings.TrimSuffix(list, ",")+"}}")
	for link, target := range map[string]string{"/etc/pve/local": "nodes/pve", "/etc/pve/lxc": "nodes/pve/lxc"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			b.Fatal(err)
		}
	}
	h := &local.Host{Root: root}
	for b.Loop() {
		if _, err := (&containers.Spec{}).Task().Check(b.Context(), h); err != nil {
			b.Fatal(err)
		}
	}
}
