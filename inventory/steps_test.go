package inventory

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const oneHost = "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json, vars: {word: hi}}\nsecrets:\n  ann_hash: {env: ANN_HASH}\n"

const edKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4+1v2nulfEQ9eREAFYTzIwEBuB4LWAkR0flQCy835M ann@laptop"

func TestStepsComeFromTheFileFromFilesAndFromFolders(t *testing.T) {
	fleet, found := load(t, files{
		"hosts.yaml": oneHost,
		"h.json": `{"version": 1, "steps": {
			"inline": {"check": "test -e /x\ntrue", "apply": "touch /x", "needs": ["script:folder"], "timeout_s": 60, "env": {"W": "${vars.word}"}},
			"files": {"check": {"file": "scripts/check"}, "apply": {"file": "steps/given/apply"}},
			"given": {"check": "true", "apply": {"file": "steps/given/apply"}} }}`,
		"scripts/check":          "echo ${HOME}\n",
		"steps/given/apply":      "true # given\n",
		"steps/folder/check":     "#!/usr/bin/env python3\n",
		"steps/folder/apply":     "#!/usr/bin/env python3\n1\n",
		"steps/folder/step.json": `{"interpreter": ["python3", "-"], "needs": ["apt:packages"], /* why */ "timeout_s": 5,}`,
		"steps/data/README":      "no step",
		"steps/.git/check":       "no step",
		"steps/notes":            "no step",
	})
	if fleet == nil {
		t.Fatal(found)
	}
	got := fleet.Hosts[0].Hypervisor.Scripts
	var names []string
	for _, s := range got {
		names = append(names, s.Spec.Name)
	}
	if want := []string{"inline", "files", "given", "folder"}; !slices.Equal(names, want) {
		t.Fatalf("steps %q, want %q", names, want)
	}
	if s := got[0]; s.Spec.Check != "test -e /x\ntrue" || s.Spec.Env["W"] != "hi" || s.TimeoutS != 60 || s.Needs[0].Step != "script:folder" {
		t.Errorf("%+v", s)
	}
	if s := got[1]; s.Spec.Check != "echo ${HOME}\n" || s.Spec.Apply != "true # given\n" {
		t.Errorf("the text of a file is taken as it is: %+v", s)
	}
	if s := got[3]; s.Spec.Apply != "#!/usr/bin/env python3\n1\n" || s.Spec.Interpreter[0] != "python3" || s.TimeoutS != 5 || s.Needs[0].Step != "apt:packages" {
		t.Errorf("%+v", s)
	}
}

func TestFaultsOfStepsHaveTheirPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		files files
		want  string
	}{
		"a script that is missing": {files{"h.json": `{"version":1,"steps":{"a":{"check":{"file":"no/such"},"apply":"x"}}}`},
			`h.json:1:44: steps.a.check.file: read no/such: no such file or directory`},
		"a script that anybody can write": {files{"h.json": `{"version":1,"steps":{"a":{"check":{"file":"open"},"apply":"x"}}}`, "open": "x"},
			`h.json:1:44: steps.a.check.file: read open: anybody can write to the file (chmod o-w open)`},
		"a script that is no text": {files{"h.json": `{"version":1,"steps":{"a":{"check":"x","apply":{"file":"bin"}}}}`, "bin": "\xff\xfe"},
			`h.json:1:56: steps.a.apply.file: read bin: the script is no UTF-8 text`},
		"a script for another program": {files{"h.json": `{"version":1,"steps":{"a":{"check":"x","apply":{"file":"py"}}}}`, "py": "#!/usr/bin/python3\n"},
			`h.json:1:56: steps.a.apply: the script is for python3, and /bin/sh is to run it (name it: "interpreter": ["python3", "-"])`},
		"an apply that is missing": {files{"h.json": `{"version":1,"steps":{"a":{"check":"x"}}}`},
			`h.json:1:27: steps.a: missing "apply"`},
		"a misspelt key": {files{"h.json": `{"version":1,"steps":{"a":{"check":"x","apply":"x","need":[]}}}`},
			`h.json:1:52: steps.a.need: unknown key "need" (did you mean needs?)`},
		"a folder with one script": {files{"h.json": `{"version":1}`, "steps/b/check": "x"},
			`steps/b/apply:1:1: steps.b.apply: no such file or directory`},
		"a folder with an open script": {files{"h.json": `{"version":1}`, "steps/b/check": "x", "steps/b/apply": "x", "open": "steps/b/apply"},
			`steps/b/apply:1:1: steps.b.apply: anybody can write to the file (chmod o-w steps/b/apply)`},
		"a folder with a name that is none": {files{"h.json": `{"version":1}`, "steps/a b/check": "x", "steps/a b/apply": "x"},
			`steps/a b/apply:1:1: steps.a b: "a b" is no name of a step`},
		"a misspelt key beside the scripts": {files{"h.json": `{"version":1}`, "steps/b/check": "x", "steps/b/apply": "x", "steps/b/step.json": `{"timeout": 3}`},
			`steps/b/step.json:1:2: timeout: unknown key "timeout" (did you mean timeout_s?)`},
		"a variable beside the scripts": {files{"h.json": `{"version":1}`, "steps/b/check": "x", "steps/b/apply": "x", "steps/b/step.json": `{"env": {"A": "${vars.word}"}}`},
			`steps/b/step.json:1:15: env.A: a variable is not filled in here`},
		"no JSON beside the scripts": {files{"h.json": `{"version":1}`, "steps/b/check": "x", "steps/b/apply": "x", "steps/b/step.json": `{`},
			`steps/b/step.json:1:2:`},
		"a control character in a script": {files{"h.json": `{"version":1,"steps":{"a":{"check":"x\u001b[2J","apply":"x"}}}`},
			`h.json:1:36: steps.a.check: the control character U+001B is not allowed here`},
		"a health check without a question": {files{"h.json": `{"version":1,"health_checks":{"a":{"retries":1}}}`},
			`h.json:1:31: health_checks.a.command: is missing, and nothing else is asked (say one of command, http and tcp)`},
		"a health check with two questions": {files{"h.json": `{"version":1,"health_checks":{"a":{"tcp":{"address":"a:1"},"command":"x"}}}`},
			`h.json:1:31: health_checks.a: 2 things are asked (one of command, http and tcp; give each a health check of its own)`},
		"a web server without an address": {files{"h.json": `{"version":1,"health_checks":{"a":{"http":{"status":200}}}}`},
			`h.json:1:43: health_checks.a.http: missing "url"`},
		"a status that is none": {files{"h.json": `{"version":1,"health_checks":{"a":{"http":{"url":"http://a/","status":[200,20]}}}}`},
			`h.json:1:76: health_checks.a.http.status.1: 20 is below the minimum of 100`},
		"a secret that stands in a header": {files{"h.json": `{"version":1,"health_checks":{"a":{"http":{"url":"http://a/","headers":{"Authorization":"Bearer x"}}}}}`},
			`h.json:1:89: health_checks.a.http.headers.Authorization: what is confidential does not stand in a configuration ({"secret": NAME})`},
		"a header with a secret that nobody knows": {files{"h.json": `{"version":1,"health_checks":{"a":{"http":{"url":"http://a/","headers":{"Authorization":{"secret":"x"}}}}}}`},
			`h.json:1:99: health_checks.a.http.headers.Authorization.secret: there is no secret "x"`},
		"a question that a check must not ask": {files{"h.json": `{"version":1,"health_checks":{"a":{"http":{"url":"http://a/","method":"POST"}}}}`},
			`h.json:1:71: health_checks.a.http.method: `},
		"a port that is none": {files{"h.json": `{"version":1,"health_checks":{"a":{"tcp":{"address":"a:http"}}}}`},
			`h.json:1:53: health_checks.a.tcp.address: "a:http" is no HOST:PORT`},
		"a pattern that is none": {files{"h.json": `{"version":1,"health_checks":{"a":{"command":"x","expect":{"stdout_matches":"("}}}}`},
			"h.json:1:77: health_checks.a.expect.stdout_matches: error parsing regexp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			tc.files["hosts.yaml"] = oneHost
			writeFiles(t, tc.files)
			for _, open := range []string{"open", tc.files["open"]} {
				if _, err := os.Stat(open); err == nil {
					if err := os.Chmod(open, 0o666); err != nil {
						t.Fatal(err)
					}
				}
			}
			_, found := Load(t.Context(), Options{UID: os.Getuid()})
			if len(found) != 1 || !strings.HasPrefix(found[0].Error(), tc.want) {
				t.Errorf("got %v\nwant %s", found, tc.want)
			}
		})
	}
}

func TestUsersAreSplitIntoThoseOfTheMachineAndThoseOfProxmox(t *testing.T) {
	fleet, found := load(t, files{"hosts.yaml": oneHost, "h.json": `{"version":1,"users":{
		"ann": {"shell": "/bin/bash", "authorized_keys": ["` + edKey + `"], "password_hash": {"secret": "ann_hash"}, "sudo": [],
			"pve": {"acl": [{"path": "/", "role": "Administrator"}]}},
		"bob": {"pve": {"realm": "pve"}},
		"carl": {"state": "absent", "pve": {"enabled": false}} }}`})
	if fleet == nil {
		t.Fatal(found)
	}
	h := fleet.Hosts[0].Hypervisor
	if len(h.Users) != 2 || h.Users[0].Name != "ann" || h.Users[0].Sudo == nil || h.Users[0].PasswordHash.Name != "ann_hash" || h.Users[1].Name != "carl" {
		t.Errorf("%+v", h.Users)
	}
	if len(h.PVEUsers) != 3 || h.PVEUsers[0].ID() != "ann@pam" || h.PVEUsers[1].ID() != "bob@pve" || *h.PVEUsers[2].Enabled {
		t.Errorf("%+v", h.PVEUsers)
	}
}

func TestFaultsOfUsersHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		`{"ann": {"pasword_hash": {}}}`:                            `h.json:1:31: users.ann.pasword_hash: unknown key "pasword_hash" (did you mean password_hash?)`,
		`{"ann": {"password_hash": "$6$aaaa$bbbb"}}`:               `h.json:1:48: users.ann.password_hash: a secret in plain text`,
		`{"ann": {"password_hash": {"secret": "an_hash"}}}`:        `h.json:1:59: users.ann.password_hash.secret: there is no secret "an_hash" (did you mean ann_hash?)`,
		`{"ann": {"authorized_keys": ["x"]}}`:                      `h.json:1:51: users.ann.authorized_keys.0: it has no kind of key that OpenSSH takes`,
		`{"ann": {"sudo": ["ALL=(ALL) ALL\nx"]}}`:                  `h.json:1:40: users.ann.sudo.0: a line break is not allowed here`,
		`{"ann": {"pve": {"acl": [{"path": "/x", "role": "R"}]}}}`: `h.json:1:56: users.ann.pve.acl.0.path: "/x" is no path that rights are given at`,
		`{"root": {"state": "absent"}}`:                            `h.json:1:41: users.root.state: root cannot be removed`,
		`{"Ann": {}}`:                                              `h.json:1:23: users.Ann: "Ann" cannot be a name here`,
		`{"root": {"pve": {"acl": [{"path": "/", "role": "R"}]}}}`: `h.json:1:47: users.root.pve.acl: root@pam may do everything already`,
	} {
		_, found := load(t, files{"hosts.yaml": oneHost, "h.json": `{"version":1,"users":` + text + `}`})
		if len(found) == 0 || !strings.HasPrefix(found[0], want) || strings.Contains(strings.Join(found, ""), "$6$") {
			t.Errorf("%s: got %q\nwant %s", text, found, want)
		}
	}
}
