package sim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
)

const (
	debian12 = "debian-12-standard_12.7-1_amd64.tar.zst"
	debian13 = "debian-13-standard_13.1-2_amd64.tar.zst"
	ubuntu22 = "ubuntu-22.04-standard_22.04-1_amd64.tar.zst"
	ubuntu24 = "ubuntu-24.04-standard_24.04-2_amd64.tar.zst"
	alpine20 = "alpine-3.20-default_20240908_amd64.tar.xz"
)

func newGuest(t *testing.T, template string) *Machine {
	t.Helper()
	g, err := NewGuest(t.TempDir(), template, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestNewGuest_hasThePackageManagerOfItsDistributionAndNothingOfProxmox(t *testing.T) {
	for template, want := range map[string]struct{ has, lacks string }{
		debian12: {"sh bash apt-get dpkg systemctl cat locale-gen /usr/bin/env", "pct pvesm zfs apk rc-service curl docker update-initramfs"},
		debian13: {"apt-get", "apk"},
		ubuntu22: {"apt-get systemctl", "apk pct"},
		ubuntu24: {"apt-get", "pveum"},
		alpine20: {"sh apk rc-service rc-update", "bash apt-get dpkg systemctl pct curl locale-gen"},
	} {
		t.Run(template, func(t *testing.T) {
			g := newGuest(t, template)
			for _, name := range strings.Fields(want.has) {
				if _, ok := g.find(name); !ok {
					t.Errorf("%s is missing", name)
				}
			}
			for _, name := range strings.Fields(want.lacks) {
				if _, err := g.Host().Run(t.Context(), tasks.Cmd{Argv: []string{name}}); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s runs: %v", name, err)
				}
			}
		})
	}
}

func TestNewGuest_aProgramComesWithItsPackage(t *testing.T) {
	for _, template := range []string{debian12, debian13, ubuntu22, ubuntu24} {
		t.Run(template, func(t *testing.T) {
			g := newGuest(t, template)
			if code, _, errs := execLine(t, g, "apt-get install -y curl"); code != 100 || !strings.Contains(errs, "Unable to locate package curl") {
				t.Errorf("before the lists are fetched: %d %s", code, errs)
			}
			for _, line := range []string{"apt-get update", "apt-get install -y curl python3-venv docker.io", "systemctl is-active docker"} {
				if code, _, errs := execLine(t, g, line); code != 0 {
					t.Fatalf("%s: %d %s", line, code, errs)
				}
			}
			if _, ok := g.find("curl"); !ok {
				t.Error("curl is missing")
			}
		})
	}
}

func TestNewGuest_aFileInThePathIsAProgram(t *testing.T) {
	g := newGuest(t, debian12)
	for at, name := range map[string]string{"/opt/app/bin/sha256sum": "/opt/app/bin/sha256sum", "/usr/local/bin/curl": "curl"} {
		if _, ok := g.find(name); ok {
			t.Errorf("%s is there too early", name)
		}
		if err := g.write(at, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, ok := g.find(name); !ok {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestNewGuest_ofAlpineInstallsStartsAndRemoves(t *testing.T) {
	g := newGuest(t, alpine20)
	for _, step := range []struct {
		line string
		code int
	}{
		{"apk add --no-progress --wait 60 docker tzdata", 0}, {"rc-service docker status", 3}, {"rc-service docker start", 0}, {"rc-service docker status", 0},
		{"rc-update add docker default", 0}, {"rc-service nosuch start", 1}, {"apk add nosuch", 1}, {"apk del docker", 0}, {"rc-service --exists docker", 1},
	} {
		if code, out, errs := execLine(t, g, step.line); code != step.code {
			t.Errorf("%s: %d, want %d: %s%s", step.line, code, step.code, out, errs)
		}
	}
	db := g.apkInstalled()
	if db["docker"] != "" || db["containerd"] != "" || db["tzdata"] == "" || db["musl"] == "" {
		t.Errorf("installed are %v", db)
	}
	if !g.exists("/usr/share/zoneinfo/Europe/Berlin") || !g.exists("/etc/runlevels/default/docker") {
		t.Error("files of packages are missing, or the runlevel's link went with the package")
	}
}

func TestNewGuest_keepsAnExistingTree(t *testing.T) {
	root := t.TempDir()
	for _, template := range []string{alpine20, debian12} {
		g, err := NewGuest(root, template, Options{})
		if err != nil || g.distro.id != "alpine" || g.distro.version != "3.20.3" {
			t.Fatalf("%s: %+v, %v", template, g.distro, err)
		}
	}
}

// A lab has thousands of containers: what is laid of each must stay little.
func TestNewGuest_laysFewFiles(t *testing.T) {
	for _, template := range []string{debian12, alpine20} {
		g, files := newGuest(t, template), 0
		err := filepath.WalkDir(g.Root, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files++
			}
			return err
		})
		if err != nil || files > 40 {
			t.Errorf("%s: %d files, %v", template, files, err)
		}
	}
}

func BenchmarkLayInside(b *testing.B) {
	root := b.TempDir()
	for b.Loop() {
		if err := os.RemoveAll(root); err != nil {
			b.Fatal(err)
		}
		if err := (&Machine{Root: root}).layInside(debian12); err != nil {
			b.Fatal(err)
		}
	}
}
