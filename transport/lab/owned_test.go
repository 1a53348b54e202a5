package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALabNeverOverwritesWhatIsNotItsOwn(t *testing.T) {
	stranger, err := newKey("ann@laptop")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		InventoryFile:    "version: 1\nhosts: { pve1: {} }\n",
		KnownHostsFile:   "github.com ssh-ed25519 AAAA\n",
		KeyFile:          string(stranger),
		KeyFile + ".pub": "ssh-ed25519 AAAA ann@laptop\n",
		hostKeyFile:      string(stranger),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := Start(t.Context(), Options{Dir: dir, Hosts: 1})
			if err == nil {
				_ = l.Close()
			}
			if want := name + " is not the lab's; move it away, or use another --dir"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			if data, err := os.ReadFile(path); err != nil || string(data) != text {
				t.Errorf("it is now %q, %v", data, err)
			}
			if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
				t.Errorf("the folder has %v, %v; want nothing else in it", list, err)
			}
		})
	}
}

func TestAnInventoryThatTheUserMadeItsOwnIsLeftWhileItFits(t *testing.T) {
	dir := t.TempDir()
	first := start(t, Options{Dir: dir, Hosts: 1})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, InventoryFile)
	if err := os.WriteFile(path, []byte("version: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := start(t, Options{Dir: dir, Hosts: 1}).Close(); err != nil {
		t.Fatal(err)
	}
	if l, err := Start(t.Context(), Options{Dir: dir, Hosts: 2}); err == nil || !strings.Contains(err.Error(), "hosts.yaml is not the lab's") {
		t.Errorf("with a host more: %v, %v; want a refusal", l, err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "version: 1\n" {
		t.Errorf("it is now %q, %v", data, err)
	}
}

func TestHostsGetOnlyContainersThatTheFileHas(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"the lab's own file, which is still to be written": {"", []string{"[900]", "[901]", "[902]"}},
		"the lab's own file, made for fewer hosts":         {"{\n  " + containersHead + "\n  \"lxc_configs\": { \"900\": {}, \"901\": {}, }, }", []string{"[900]", "[901]", "[]"}},
		"a user's own file":                                {`{ "lxc_configs": { "910": {}, "900": {} } }`, []string{"all", "[]", "[]"}},
		"a file that cannot be read":                       {"mine", []string{"all", "[]", "[]"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.file != "" {
				if err := os.WriteFile(filepath.Join(dir, LXCFile), []byte(c.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			start(t, Options{Dir: dir, Hosts: 3})
			data, err := os.ReadFile(filepath.Join(dir, InventoryFile))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range strings.Split(string(data), "\n") {
				if _, share, found := strings.Cut(line, "containers: "); found {
					got = append(got, strings.TrimSuffix(share, " }"))
				}
			}
			if strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("containers %q, want %q", got, c.want)
			}
		})
	}
}
