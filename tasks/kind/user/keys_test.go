package user_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/taskstest"
)

const shared = "/etc/pve/priv/authorized_keys"

func root(t *testing.T, keys string, exclusive bool) string {
	t.Helper()
	return with(t, map[string]any{"name": "root", "uid": nil, "comment": nil, "home": nil, "shell": nil, "groups": nil, "password_hash": nil,
		"locked": nil, "sudo": nil, "authorized_keys": []string{keys}, "exclusive_keys": exclusive})
}

func TestRootsKeys_theLinkIntoTheClusterStays(t *testing.T) {
	h := machine(t).Host()
	taskstest.Put(t, h, shared, bobKey+"\n")
	rec := taskstest.NewRecorder(h)
	if res := taskstest.Run(t, user.Kind(), root(t, annKey, false), rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got, want := taskstest.Get(t, h, shared), bobKey+"\n"+annKey+"\n"; got != want {
		t.Errorf("the cluster's file is\n%s", got)
	}
	if fi, err := h.Stat("/root/.ssh/authorized_keys"); err != nil || fi.Target != shared {
		t.Errorf("the link is %+v, %v", fi, err)
	}
	res := taskstest.Check(t, user.Kind(), root(t, annKey, false), h)
	if res.Status != tasks.StatusOK {
		t.Errorf("mode and owner below /etc/pve are Proxmox's: %+v", res)
	}
}

func TestRootsKeys_exclusiveSparesTheNodesOfTheCluster(t *testing.T) {
	h := machine(t).Host()
	node := strings.Replace(bobKey, "bob@desk", "root@pve", 1)
	taskstest.Put(t, h, shared, "# keys\n"+node+"\n"+ecKey+"\nwhat is this\n")
	res := taskstest.Check(t, user.Kind(), root(t, annKey, true), h)
	var going []string
	for _, c := range res.Changes {
		if c.To == "" {
			going = append(going, c.Path)
		}
	}
	if len(going) != 2 || !slices.Contains(going, ecPath) || !slices.Contains(going, "authorized_keys.line 4") {
		t.Errorf("%q would go: %+v", going, res)
	}
}

func TestRootsKeys_noneIsTakenAwaySincePhoenixMayLogInWithIt(t *testing.T) {
	h := machine(t).Host()
	taskstest.Put(t, h, shared, ecKey+"\n"+bobKey+"\n"+bobKey+"\n")
	for _, c := range taskstest.Check(t, user.Kind(), root(t, annKey, true), h).Changes {
		if c.Held() != (c.To == "") || c.Held() && !strings.Contains(c.Note, "phoenix may be logging in with one of them") {
			t.Errorf("%+v", c)
		}
	}
	res := taskstest.Run(t, user.Kind(), root(t, annKey, true), h)
	if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "removing 2 keys of root") {
		t.Errorf("%+v", res)
	}
	if got, want := taskstest.Get(t, h, shared), ecKey+"\n"+bobKey+"\n"+bobKey+"\n"+annKey+"\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	rec := taskstest.NewRecorder(h)
	if res := taskstest.Run(t, user.Kind(), root(t, annKey, true), rec); res.Cause != tasks.CauseRefused || len(rec.Changes()) > 0 {
		t.Errorf("a second run: %+v, did %v", res, rec.Changes())
	}
}

func TestKeys_aFileWithoutEndIsNotRead(t *testing.T) {
	m := machine(t)
	h := m.Host()
	spec := `{"name":"ann","authorized_keys":["` + annKey + `"]}`
	if res := suite(t, spec).Apply(t, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if err := os.Truncate(filepath.Join(m.Root, keyFile), 1<<20+1); err != nil {
		t.Fatal(err)
	}
	rec := taskstest.NewRecorder(h)
	for _, res := range []tasks.Result{taskstest.Check(t, user.Kind(), spec, rec), taskstest.Run(t, user.Kind(), spec, rec)} {
		if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, keyFile+" has 1048577 bytes") || len(rec.Changes()) > 0 {
			t.Errorf("%+v, did %v", res, rec.Changes())
		}
	}
}

func TestRootsKeys_withoutTheClusterFileSystemNothingIsSaidOrDone(t *testing.T) {
	m := machine(t)
	if err := os.RemoveAll(filepath.Join(m.Root, "etc/pve")); err != nil {
		t.Fatal(err)
	}
	rec := taskstest.NewRecorder(m.Host())
	res := taskstest.Check(t, user.Kind(), root(t, annKey, false), rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "not mounted") {
		t.Errorf("check: %+v", res)
	}
	res = taskstest.Run(t, user.Kind(), root(t, annKey, false), rec)
	if res.Status != tasks.StatusFailed || len(rec.Changes()) > 0 {
		t.Errorf("%+v, did %v", res, rec.Changes())
	}
}

func TestRootsKeys_withoutQuorumNothingIsWritten(t *testing.T) {
	taskstest.Suite{Kind: user.Kind(), Spec: root(t, annKey, false)}.WithoutQuorum(t, machine(t).Host())
}

func TestKeys_whatOthersAddedStaysByteForByte(t *testing.T) {
	h := converged(t, with(t, nil))
	mine := "# by hand\r\n\n  " + bobKey + "\t\nnonsense without an end"
	taskstest.Put(t, h, keyFile, mine)
	if res := suite(t, with(t, nil)).Apply(t, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := taskstest.Get(t, h, keyFile); !strings.HasPrefix(got, mine+"\n"+annKey+"\n") {
		t.Errorf("the file is now\n%q", got)
	}
}

func TestKeys_exclusiveTakesAwayEverythingElse(t *testing.T) {
	h := converged(t, with(t, nil))
	taskstest.Put(t, h, keyFile, "# note\n"+bobKey+"\n"+bobKey+"\n"+annKey+"\nroot:$6$secret:1::\n")
	spec := with(t, map[string]any{"exclusive_keys": true, "authorized_keys": []string{annKey}})
	res := suite(t, spec).Apply(t, h)
	if res.Status != tasks.StatusChanged || len(res.Changes) < 2 {
		t.Fatalf("%+v", res)
	}
	for _, c := range res.Changes {
		if strings.Contains(c.From, "secret") {
			t.Errorf("a line that is no key is told: %+v", c)
		}
	}
	if got, want := taskstest.Get(t, h, keyFile), "# note\n"+annKey+"\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestKeys_linksOfAUserAreNotFollowedToWhatIsAnothers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: nobody else's files can be made, so the run only has to end well")
	}
	m := machine(t)
	h := m.Host()
	command(t, h, "useradd", "-m", "-u", "1500", "ann")
	taskstest.Put(t, h, "/etc/precious", "root's\n")
	ssh := filepath.Join(m.Root, "home/ann/.ssh")
	if err := os.Mkdir(ssh, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(ssh, "authorized_keys")
	if err := os.Symlink("/etc/precious", link); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		for _, p := range []string{ssh, link} {
			if err := os.Lchown(p, 1500, 1500); err != nil {
				t.Fatal(err)
			}
		}
		res := suite(t, `{"name":"ann","authorized_keys":["`+annKey+`"]}`).Apply(t, h)
		if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "not followed") {
			t.Errorf("%+v", res)
		}
		if fi, err := h.Stat("/etc/precious"); err != nil || fi.UID != 0 || taskstest.Get(t, h, "/etc/precious") != "root's\n" {
			t.Errorf("the file of root is %+v, %v", fi, err)
		}
	}
}

func TestKeys_aFolderInTheirPlaceIsSaid(t *testing.T) {
	h := converged(t, `{"name":"ann"}`)
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: keyFile}); err != nil {
		t.Fatal(err)
	}
	res := suite(t, `{"name":"ann","authorized_keys":["`+annKey+`"]}`).Apply(t, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, keyFile+" is no file") {
		t.Errorf("%+v", res)
	}
}

func TestKeys_aSystemUserGetsAHomeForThem(t *testing.T) {
	h := converged(t, `{"name":"backup-job","system":true,"authorized_keys":["`+annKey+`"]}`)
	if fi, err := h.Stat("/home/backup-job/.ssh"); err != nil || fi.Mode.Perm() != 0o700 {
		t.Errorf("%+v, %v", fi, err)
	}
}
