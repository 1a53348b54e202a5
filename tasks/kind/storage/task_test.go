package storage_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/pve"
	"phoenix/tasks/taskstest"
)

// installer is storage.cfg as Proxmox's installer leaves it on LVM.
const installer = `dir: local
	path /var/lib/vz
	content iso,vztmpl,backup

lvmthin: local-lvm
	thinpool data
	vgname pve
	content rootdir,images
`

const spec = `{"id":"tank","type":"dir","path":"/srv/tank","content":["vztmpl","backup","iso"],"nodes":["pve"],"shared":true,"disabled":false,"prune_backups":"keep-weekly=2,keep-last=3"}`

func machine(t *testing.T, cfg string) *taskstest.Tree {
	files := map[string]string{"/etc/pve/nodes/pve/lxc/": "", "/etc/pve/local": "-> nodes/pve"}
	if cfg != "" {
		files["/etc/pve/storage.cfg"] = cfg
	}
	tr := taskstest.NewTree(t, files)
	tr.Programs["pvesm"] = pvesm
	return tr
}

// pvesm adds and sets as the real one does, with the order of lists turned round.
func pvesm(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return tasks.Output{Code: 255, Stderr: []byte(err.Error())}
	}
	verb, id, opts := c.Argv[1], c.Argv[2], c.Argv[3:]
	if verb == "add" {
		id, opts = c.Argv[3], c.Argv[4:]
	}
	_, exists := cfg.Find(id)
	switch {
	case verb == "add" && exists:
		return tasks.Output{Code: 255, Stderr: []byte("create storage failed: storage ID '" + id + "' already defined\n")}
	case verb == "set" && !exists:
		return tasks.Output{Code: 255, Stderr: []byte("update storage failed: storage '" + id + "' does not exist\n")}
	}
	err = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: pve.StorageCfgPath, Update: func(old []byte) ([]byte, error) {
		return rewrite(string(old), id, opts), nil
	}})
	if err != nil {
		return tasks.Output{Code: 255, Stderr: []byte(err.Error())}
	}
	return tasks.Output{}
}

// rewrite sets options in the section of one storage, which is appended when it is
// missing.
func rewrite(old, id string, opts []string) []byte {
	sections := strings.Split(strings.TrimSpace(old), "\n\n")
	i := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, "dir: "+id+"\n") })
	if i < 0 {
		sections, i = append(sections, "dir: "+id), len(sections)
	}
	lines := strings.Split(sections[i], "\n")
	for ; len(opts) > 0; opts = opts[2:] {
		key, list := strings.TrimPrefix(opts[0], "--"), strings.Split(opts[1], ",")
		slices.Reverse(list)
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), key) })
		switch {
		case key == "disable" && opts[1] == "0":
		case key == "disable":
			lines = append(lines, "\tdisable")
		default:
			lines = append(lines, "\t"+key+" "+strings.Join(list, ","))
		}
	}
	sections[i] = strings.Join(lines, "\n")
	return []byte(strings.Join(sections, "\n\n") + "\n")
}

func TestStorage_conforms(t *testing.T) {
	with := func(argv ...string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) {
			out := pvesm(t.Context(), h, tasks.Cmd{Argv: append([]string{"pvesm", "set", "tank"}, argv...)})
			if out.Code != 0 {
				t.Fatalf("%s", out.Stderr)
			}
		}
	}
	taskstest.Suite{
		Kind: storage.Kind(),
		Spec: spec,
		New:  func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t, installer)} },
		Drifts: []taskstest.Drift{
			{Name: "content was taken away", Make: with("--content", "iso,vztmpl"), Paths: []string{"content"}},
			{Name: "it was switched off", Make: with("--disable", "1"), Paths: []string{"disabled"}},
			{Name: "it is not shared any more", Make: with("--shared", "0"), Paths: []string{"shared"}},
			{Name: "another retention", Make: with("--prune-backups", "keep-last=1"), Paths: []string{"prune_backups"}},
			{Name: "another node and no content", Make: with("--nodes", "pve2", "--content", "none"), Paths: []string{"content", "nodes"}},
		},
		Faults: []taskstest.Fault{{
			Name: "the lock of storage.cfg is held for the first ten seconds", Op: "pvesm add",
			Output: tasks.Output{Code: 17, Stderr: []byte("create storage failed: cfs-lock 'file-storage_cfg' error: got lock request timeout\n")},
		}},
	}.Run(t)
}

func TestStorage_otherStoragesKeepTheirSections(t *testing.T) {
	m := machine(t, installer)
	taskstest.Run(t, storage.Kind(), spec, m)
	if got := taskstest.Get(t, m, pve.StorageCfgPath); !strings.HasPrefix(got, strings.TrimSuffix(installer, "\n")) {
		t.Errorf("storage.cfg is now\n%s", got)
	}
}

func TestStorage_oneCallSetsOnlyWhatDiffers(t *testing.T) {
	m := machine(t, installer+"\ndir: tank\n\tpath /srv/tank\n\tcontent iso\n\tnodes pve\n\tshared\n\tprune-backups keep-last=9\n")
	rec := taskstest.NewRecorder(m)
	if res := taskstest.Run(t, storage.Kind(), spec, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	want := "pvesm set tank --content backup,iso,vztmpl --prune-backups keep-last=3,keep-weekly=2"
	if got := rec.Commands(); len(got) != 1 || got[0] != want {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestStorage_aPathIsNeverMoved(t *testing.T) {
	m := machine(t, "dir: tank\n\tpath /mnt/old\n\tcontent iso\n")
	res := taskstest.Run(t, storage.Kind(), `{"id":"tank","type":"dir","path":"/srv/tank","content":["iso","backup"]}`, m)
	if res.Status != tasks.StatusSkipped || res.Cause != tasks.CauseRefused {
		t.Fatalf("%+v", res)
	}
	if !res.Changes.Has("content") || !res.Remaining.Has("path") || res.Remaining[0].Effect != tasks.EffectReplace || !res.Remaining[0].Held() {
		t.Errorf("content must be set and the path must remain: %+v", res)
	}
	if want := "moving storage tank from /mnt/old to /srv/tank is refused: a path is fixed; `pvesm remove tank` forgets the storage"; !strings.HasPrefix(res.Why, want) {
		t.Errorf("why %q, want %q", res.Why, want)
	}
}

func TestStorage_states(t *testing.T) {
	yes := `{"id":"tank","type":"dir","path":"/srv/tank","is_mountpoint":true}`
	for _, tc := range []struct {
		name, cfg, spec string
		status          tasks.Status
		why             string
	}{
		{"another type under the same ID", "nfs: tank\n\tserver a\n\texport /b\n", spec, tasks.StatusFailed, "exists as type nfs"},
		{"a missing file has the implicit local", "", `{"id":"local","type":"dir","path":"/var/lib/vz","content":["images","rootdir","vztmpl","iso","backup","snippets"]}`, tasks.StatusOK, ""},
		{"a file without local has it, too", "lvmthin: x1\n\tthinpool data\n\tvgname pve\n", `{"id":"local","type":"dir","path":"/var/lib/vz"}`, tasks.StatusOK, ""},
		{"the implicit local is set, not added", "", `{"id":"local","type":"dir","path":"/var/lib/vz","content":["iso"]}`, tasks.StatusWouldChange, ""},
		{"content that the file leaves out is the default", "dir: tank\n\tpath /srv/tank\n", `{"id":"tank","type":"dir","path":"/srv/tank","content":["rootdir","images"]}`, tasks.StatusOK, ""},
		{"is_mountpoint yes", "dir: tank\n\tpath /srv/tank\n\tis_mountpoint yes\n", yes, tasks.StatusOK, ""},
		{"is_mountpoint with a path", "dir: tank\n\tpath /srv/tank\n\tis_mountpoint /srv\n", yes, tasks.StatusOK, ""},
		{"is_mountpoint missing", "dir: tank\n\tpath /srv/tank\n", yes, tasks.StatusWouldChange, ""},
		{"a file that is none", "what is this\n", spec, tasks.StatusFailed, "line 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Check(t, storage.Kind(), tc.spec, machine(t, tc.cfg))
			if res.Status != tc.status || !strings.Contains(res.Why, tc.why) {
				t.Errorf("status %s, why %q; want %s, %q", res.Status, res.Why, tc.status, tc.why)
			}
		})
	}
}

func TestStorage_withoutTheClusterFileSystemNothingIsSaid(t *testing.T) {
	tr := taskstest.NewTree(t, map[string]string{"/etc/pve/": ""})
	res := taskstest.Check(t, storage.Kind(), spec, tr)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "not mounted") {
		t.Errorf("%+v", res)
	}
}

func TestStorage_withoutQuorumNothingIsTried(t *testing.T) {
	taskstest.Suite{Kind: storage.Kind(), Spec: spec}.WithoutQuorum(t, machine(t, installer))
}

func TestStorage_aLockThatStaysHeldEndsAfterSomeAttempts(t *testing.T) {
	m := machine(t, installer)
	n := 0
	m.Programs["pvesm"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		n++
		return tasks.Output{Code: 17, Stderr: []byte("error: got lock request timeout")}
	}
	res := taskstest.Run(t, storage.Kind(), spec, m)
	if res.Status != tasks.StatusFailed || n < 2 || n > 10 {
		t.Errorf("after %d attempts: %+v", n, res)
	}
}

func TestValidate_namesEveryFault(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec storage.Spec
		path string
	}{
		{"an upper-case ID", storage.Spec{ID: "Tank", Type: "dir", Path: "/srv"}, "id"},
		{"an ID of one character", storage.Spec{ID: "t", Type: "dir", Path: "/srv"}, "id"},
		{"an ID with a line break", storage.Spec{ID: "ta\nnk", Type: "dir", Path: "/srv"}, "id"},
		{"an unknown type", storage.Spec{ID: "tank", Type: "rbd", Path: "/srv"}, "type"},
		{"a relative path", storage.Spec{ID: "tank", Type: "dir", Path: "srv"}, "path"},
		{"a path with a line break", storage.Spec{ID: "tank", Type: "dir", Path: "/srv\n\tdisable"}, "path"},
		{"local somewhere else", storage.Spec{ID: "local", Type: "dir", Path: "/srv"}, "path"},
		{"an unknown content", storage.Spec{ID: "tank", Type: "dir", Path: "/srv", Content: []string{"iso", "isos"}}, "content.1"},
		{"none beside others", storage.Spec{ID: "tank", Type: "dir", Path: "/srv", Content: []string{"none", "iso"}}, "content.0"},
		{"a node that is none", storage.Spec{ID: "tank", Type: "dir", Path: "/srv", Nodes: []string{"a_b"}}, "nodes.0"},
		{"a retention that is none", storage.Spec{ID: "tank", Type: "dir", Path: "/srv", PruneBackups: "keep-last"}, "prune_backups"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestStorage_pathsWithBlanksReachPvesmAsOneArgument(t *testing.T) {
	m := machine(t, installer)
	if err := os.MkdirAll(filepath.Join(m.Root, "srv"), 0o755); err != nil {
		t.Fatal(err)
	}
	rec := taskstest.NewRecorder(m)
	taskstest.Run(t, storage.Kind(), `{"id":"tank","type":"dir","path":"/srv/my tank"}`, rec)
	if got := rec.Changes(); len(got) != 1 || got[0].Cmd.Argv[5] != "/srv/my tank" {
		t.Errorf("did %v", got)
	}
}
