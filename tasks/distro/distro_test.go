package distro

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"phoenix/tasks/taskstest"
)

func TestRead_knowsWhatTheDistributionsShip(t *testing.T) {
	for file, want := range map[string]struct {
		Distro
		debian, alpine bool
	}{
		"debian-12":    {Distro{ID: "debian", VersionID: "12", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)"}, true, false},
		"debian-13":    {Distro{ID: "debian", VersionID: "13", Codename: "trixie", Name: "Debian GNU/Linux 13 (trixie)"}, true, false},
		"ubuntu-22.04": {Distro{ID: "ubuntu", Like: []string{"debian"}, VersionID: "22.04", Codename: "jammy", Name: "Ubuntu 22.04.5 LTS"}, true, false},
		"ubuntu-24.04": {Distro{ID: "ubuntu", Like: []string{"debian"}, VersionID: "24.04", Codename: "noble", Name: "Ubuntu 24.04.1 LTS"}, true, false},
		"alpine-3.20":  {Distro{ID: "alpine", VersionID: "3.20.3", Name: "Alpine Linux v3.20"}, false, true},
	} {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile("testdata/os-release-" + file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Read(taskstest.NewTree(t, map[string]string{"/etc/os-release": string(data)}))
			if err != nil || !reflect.DeepEqual(got, want.Distro) || got.Debian() != want.debian || got.Alpine() != want.alpine {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestRead_takesTheOtherFileAndSaysWhenThereIsNone(t *testing.T) {
	d, err := Read(taskstest.NewTree(t, map[string]string{"/usr/lib/os-release": "ID=alpine\n"}))
	if err != nil || d.ID != "alpine" {
		t.Errorf("%+v, %v", d, err)
	}
	both := map[string]string{"/etc/os-release/": "", "/usr/lib/os-release": "ID=alpine\n"}
	if _, err := Read(taskstest.NewTree(t, both)); err == nil {
		t.Error("a file that cannot be read counts as none")
	}
	if _, err := Read(taskstest.NewTree(t, nil)); err == nil || !strings.HasPrefix(err.Error(), "find out the distribution: ") {
		t.Errorf("without a file: %v", err)
	}
}

func TestParse_quotes(t *testing.T) {
	for text, want := range map[string]Distro{
		"":                                     {ID: "linux", Name: "Linux"},
		"ID='mint'\nID_LIKE=\"ubuntu debian\"": {ID: "mint", Like: []string{"ubuntu", "debian"}, Name: "Linux"},
		"PRETTY_NAME=\"A \\\"B\\\" \\$C\"\n# ID=no\n": {ID: "linux", Name: `A "B" $C`},
		"ID=\nNAME\nID=\"":                            {ID: `"`, Name: "Linux"},
	} {
		if got := parse(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestManagers_ofUnknownDistributionsAreErrors(t *testing.T) {
	d := parse("ID=void\nPRETTY_NAME=Void\n")
	if _, err := d.Packages(); err == nil || !strings.Contains(err.Error(), "of Void: only those of Debian, Ubuntu and Alpine") {
		t.Errorf("packages: %v", err)
	}
	if _, err := d.Services(taskstest.NewTree(t, nil)); err == nil || !strings.Contains(err.Error(), "of Void: neither systemd nor OpenRC") {
		t.Errorf("services: %v", err)
	}
}

func TestAPKVersion_readsTheDatabase(t *testing.T) {
	data, err := os.ReadFile("testdata/apk-installed")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"musl": "1.2.2-r0", "busybox": "1.32.1-r6", "/bin/sh": "1.32.1-r6", "cmd:sh": "1.32.1-r6", "so:libc.musl-x86_64.so.1": "1.2.2-r0",
		"curl": "", "bin": "", "": "", "MIT": "",
	} {
		if got := apkVersion(string(data), name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for db, want := range map[string]string{
		"P:curl\nV:8\nf:s\n": "", "P:curl\nV:8\nf:Sx\n": "8", "P:curl\nV:8\nf:fsx\n\nP:curl-ng\nV:9\np:curl=8\n": "9",
		"\n\n\nV:3\nP:curl\n\n": "3", "P:x\nV:1\np:curl\n\nP:curl\nV:2\n": "2",
	} {
		if got := apkVersion(db, "curl"); got != want {
			t.Errorf("%q: %q, want %q", db, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ID=\"a\\\\\"\nVERSION_ID='1'\n")
	f.Add("PRETTY_NAME=\"\\\nID_LIKE=a  b\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := parse(text)
		if d.ID == "" || d.Name == "" {
			t.Errorf("%q names nothing: %+v", text, d)
		}
		if strings.Contains(d.ID+d.Name+d.VersionID+d.Codename, "\n") {
			t.Errorf("%q has a value of several lines: %+v", text, d)
		}
	})
}

func FuzzAPKVersion(f *testing.F) {
	f.Add("P:curl\nV:8.9.1-r2\np:cmd:curl=1\n\n", "curl")
	f.Add("P:\nV:\n\np:=\n", "")
	f.Fuzz(func(t *testing.T, db, name string) {
		if v := apkVersion(db, name); v != "" && !strings.Contains(db, "V:"+v) {
			t.Errorf("version %q of %q is nowhere in %q", v, name, db)
		}
	})
}
