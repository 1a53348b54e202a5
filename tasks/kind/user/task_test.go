package user_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/taskstest"
)

func TestUser_conforms(t *testing.T) {
	run := func(argv ...string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) { command(t, h, argv...) }
	}
	password := func(line string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) {
			if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: []string{"chpasswd", "-e"}, Stdin: []byte(line)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	put := func(path string, change func(string) string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, path, change(taskstest.Get(t, h, path))) }
	}
	attr := func(path string, mode fs.FileMode, owner *tasks.Owner) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) {
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbAttr, Path: path, Mode: &mode, Owner: owner}); err != nil {
				t.Fatal(err)
			}
		}
	}
	without := func(key string) func(string) string {
		return func(text string) string {
			var out string
			for l := range strings.Lines(text) {
				if !strings.Contains(l, key) {
					out += l
				}
			}
			return out
		}
	}
	s := suite(t, with(t, nil))
	s.Drifts = []taskstest.Drift{
		{Name: "another name", Make: run("usermod", "-c", "Eve", "ann"), Paths: []string{"comment"}},
		{Name: "another number", Make: run("usermod", "-u", "1501", "ann"), Paths: []string{"uid"}},
		{Name: "another shell", Make: run("usermod", "-s", "/bin/sh", "ann"), Paths: []string{"shell"}},
		{Name: "another home", Make: run("usermod", "-d", "/srv", "ann"), Paths: []string{"home"}},
		{Name: "taken out of a group", Make: run("gpasswd", "-d", "ann", "sudo"), Paths: []string{"groups.sudo"}},
		{Name: "the group was removed", Make: put("/etc/group", without("media")), Paths: []string{"groups.media"}},
		{Name: "another password", Make: password("ann:" + hash2), Paths: []string{"password_hash"}},
		{Name: "locked", Make: password("ann:!" + hash1), Paths: []string{"locked"}},
		{Name: "a key was taken away", Make: put(keyFile, without("ed25519")), Paths: []string{annPath}},
		{Name: "the options of a key were taken away", Make: put(keyFile, func(s string) string { return strings.Replace(s, `from="10.0.0.0/8" `, "", 1) }), Paths: []string{ecPath}},
		{Name: "a second line lets the key in from anywhere", Make: put(keyFile, func(s string) string { return s + ecKey + "\n" }), Paths: []string{ecPath}},
		{Name: "everybody reads the keys", Make: attr(keyFile, 0o644, nil), Paths: []string{"authorized_keys.file_mode"}},
		{Name: "the keys belong to root", Make: attr(keyFile, 0o600, &tasks.Owner{}), Paths: []string{"authorized_keys.file_owner"}},
		{Name: "everybody writes to the folder", Make: attr("/home/ann/.ssh", 0o777, nil), Paths: []string{"authorized_keys.directory_mode"}},
		{Name: "the folder belongs to root", Make: attr("/home/ann/.ssh", 0o700, &tasks.Owner{}), Paths: []string{"authorized_keys.directory_owner"}},
		{Name: "another rule", Make: put(sudoers, func(s string) string { return strings.Replace(s, "NOPASSWD: ", "", 1) }), Paths: []string{"sudo"}},
		{Name: "one more rule", Make: put(sudoers, func(s string) string { return s + "eve ALL=(ALL) ALL\n" }), Paths: []string{"sudo"}},
		{Name: "a rule that looks like a comment", Make: put(sudoers, func(s string) string { return s + "#1000 ALL=(ALL) ALL\n" }), Paths: []string{"sudo"}},
		{Name: "everybody reads the rules", Make: attr(sudoers, 0o444, nil), Paths: []string{"sudo.mode"}},
		{Name: "the rules belong to somebody", Make: attr(sudoers, 0o440, &tasks.Owner{UID: 1, GID: 1}), Paths: []string{"sudo.owner"}},
		{Name: "the rules are gone", Make: func(t *testing.T, h tasks.Host) {
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: sudoers}); err != nil {
				t.Fatal(err)
			}
		}, Paths: []string{"sudo"}},
	}
	s.Faults = []taskstest.Fault{
		{Name: "visudo does not accept the rules", Op: "visudo", Output: tasks.Output{Code: 1, Stderr: []byte("stdin:2:18: syntax error\n")}},
		{Name: "another program changes accounts", Op: "useradd", Output: tasks.Output{Code: 1, Stderr: []byte("useradd: cannot lock /etc/passwd; try again later.\n")}},
		{Name: "the home directory cannot be made", Op: "useradd", Do: true, Output: tasks.Output{Code: 12, Stderr: []byte("useradd: cannot create directory /home/ann\n")}},
		{Name: "a user of the number comes in between", Op: "useradd", Make: func(t *testing.T, h tasks.Host) { command(t, h, "groupadd", "ghosts") }, Output: tasks.Output{Code: 4, Stderr: []byte("useradd: UID 1500 is not unique\n")}},
	}
	s.Run(t)
}

func TestUser_removalConforms(t *testing.T) {
	s := suite(t, `{"name":"ann","state":"absent"}`)
	s.New = func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: converged(t, with(t, nil))} }
	s.Drifts = []taskstest.Drift{
		{Name: "somebody made the user again", Make: func(t *testing.T, h tasks.Host) { command(t, h, "useradd", "ann") }, Paths: []string{"state"}},
		{Name: "the rules came back", Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, sudoers, "ann ALL=(ALL) ALL\n") }, Paths: []string{"sudo"}},
	}
	s.Run(t)
}

func TestUser_removalKeepsTheHomeDirectory(t *testing.T) {
	h := converged(t, with(t, nil))
	taskstest.Put(t, h, "/home/ann/letter", "dear\n")
	if res := taskstest.Run(t, user.Kind(), `{"name":"ann","state":"absent"}`, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if taskstest.Get(t, h, "/home/ann/letter") != "dear\n" || line(t, h, "/etc/passwd", "ann") != "" {
		t.Error("the account must go and the home directory stay")
	}
}

func TestUser_nothingButTheRealProgramsTouchesAccounts(t *testing.T) {
	h := machine(t).Host()
	rec := taskstest.NewRecorder(h)
	if res := suite(t, with(t, nil)).Apply(t, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	want := []string{
		"groupadd media",
		"useradd --uid 1500 --comment Ann Example --home /home/ann --shell /bin/bash --create-home --groups sudo,media ann",
		"chpasswd --encrypted",
		"visudo -c -f -",
	}
	if got := rec.Commands(); !slices.Equal(got, want) {
		t.Errorf("ran %q\nwant %q", got, want)
	}
	if got, want := line(t, h, "/etc/passwd", "ann"), "ann:x:1500:1500:Ann Example:/home/ann:/bin/bash"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestUser_aGroupOfTheUsersNameThatIsThereBecomesItsOwn(t *testing.T) {
	h := machine(t).Host()
	command(t, h, "groupadd", "media") // as for another user, who is to be in it
	rec := taskstest.NewRecorder(h)
	spec := `{"name":"media","system":true,"home":"/srv/media"}`
	if res := taskstest.Run(t, user.Kind(), spec, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	group := strings.Split(line(t, h, "/etc/group", "media"), ":")
	if got, want := rec.Commands(), []string{"useradd --home /srv/media --system --gid media media"}; !slices.Equal(got, want) || strings.Split(line(t, h, "/etc/passwd", "media"), ":")[3] != group[2] {
		t.Errorf("ran %q, want %q; %s", got, want, line(t, h, "/etc/passwd", "media"))
	}
	if res := taskstest.Run(t, user.Kind(), spec, h); res.Status != tasks.StatusOK {
		t.Errorf("then %+v", res)
	}
}

func TestUser_changesTakeOneCallForTheAccountAndOneForEachGroup(t *testing.T) {
	h := machine(t).Host()
	command(t, h, "useradd", "-m", "ann")
	rec := taskstest.NewRecorder(h)
	spec := `{"name":"ann","comment":"Ann","shell":"/bin/bash","groups":["sudo","tty"]}`
	if res := taskstest.Run(t, user.Kind(), spec, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	want := []string{"usermod --comment Ann --shell /bin/bash ann", "gpasswd --add ann sudo", "gpasswd --add ann tty"}
	if got := rec.Commands(); !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestUser_anotherHashLeavesALockedAccountLocked(t *testing.T) {
	h := converged(t, with(t, map[string]any{"locked": true}))
	if got := line(t, h, "/etc/shadow", "ann"); !strings.HasPrefix(got, "ann:!"+hash1+":") {
		t.Fatalf("shadow has %s", got)
	}
	s := suite(t, with(t, map[string]any{"locked": nil}))
	s.Secrets["ann_hash"] = hash2
	if res := s.Apply(t, h); res.Status != tasks.StatusChanged || !res.Changes.Has("password_hash") {
		t.Fatalf("%+v", res)
	}
	if got := line(t, h, "/etc/shadow", "ann"); !strings.HasPrefix(got, "ann:!"+hash2+":") {
		t.Errorf("shadow has %s", got)
	}
}

func TestUser_theMarkOfANewAccountIsNoLockToKeep(t *testing.T) {
	h := machine(t).Host()
	command(t, h, "useradd", "-m", "ann")
	if res := suite(t, `{"name":"ann","password_hash":{"secret":"ann_hash"}}`).Apply(t, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := line(t, h, "/etc/shadow", "ann"); !strings.HasPrefix(got, "ann:"+hash1+":") {
		t.Errorf("shadow has %s", got)
	}
}

func TestUser_failuresSayWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		name, spec, secret string
		why                string
	}{
		{"a password where its hash belongs", `{"name":"ann","password_hash":{"secret":"ann_hash"}}`, "hunter2", "no crypt(3) hash"},
		{"a hash that would begin a line of its own", `{"name":"ann","password_hash":{"secret":"ann_hash"}}`, "$6$a$b\nroot:$6$c$d", "no crypt(3) hash"},
		{"an account that cannot be unlocked", `{"name":"ann","locked":false}`, "", "the account has no password (add password_hash)"},
		{"a shell that is not there", `{"name":"ann","shell":"/bin/fish"}`, "", "set the shell of ann"},
		{"an account of the base system that is to go", `{"name":"www-data","state":"absent"}`, "", "belongs to the base system"},
		{"a number that is taken", `{"name":"ann","uid":33}`, "", "not unique"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := suite(t, tc.spec)
			s.Secrets = map[string]string{"ann_hash": tc.secret}
			res := s.Apply(t, machine(t).Host())
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("status %s, why %q; want %q", res.Status, res.Why, tc.why)
			}
			if tc.secret != "" && strings.Contains(res.Why, tc.secret) {
				t.Errorf("the secret is told: %q", res.Why)
			}
		})
	}
}

func TestUser_aMissingShellIsNotedBeforeTheAccountIsMade(t *testing.T) {
	h := machine(t).Host()
	rec := taskstest.NewRecorder(h)
	taskstest.Run(t, user.Kind(), `{"name":"ann","shell":"/bin/fish"}`, rec)
	if got := rec.Changes(); len(got) > 0 {
		t.Errorf("did %v", got)
	}
}
