package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFeaturesOfTheExampleOnTheLab(t *testing.T) {
	for _, release := range []string{"8.4", "9.1"} {
		t.Run("Proxmox VE "+release, func(t *testing.T) {
			t.Parallel()
			comesUpOnTheLab(t, "features", release)
		})
	}
}

// What somebody takes away inside the container is found by the feature's own check, told
// in its words, and made again.
func TestWhatAFeatureMadeIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lab := func(verb string, more ...string) outcome {
		args := append([]string{"phoenix", "lab", "--hosts", "1", "--dir", "lab", "--", "phoenix", verb, "-i", "hosts.yaml", "-i", labOf(t, "features"), "--tags", "lxc_configs"}, more...)
		return finish(t, documentCommand(t.Context(), dir, args...))
	}
	lab("run", "-q").want(t, 0)
	job := filepath.Join(dir, "lab/hosts/pve1/var/lib/lxc/910/rootfs/etc/cron.d/nightly")
	made, err := os.ReadFile(job)
	if want := "30 2 * * * backup-jobs tar -czf /var/lib/backup-jobs/etc.tar.gz /etc/hostname\n"; err != nil || string(made) != want {
		t.Fatalf("%q, %v, want %q", made, err, want)
	}
	if err := os.WriteFile(job, []byte(strings.Replace(string(made), "30 2", "0 3", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	lab("check").want(t, 2).says(t, "feature:910/cron_job", "/etc/cron.d/nightly has not the line: 30 2 * * * backup-jobs")
	lab("run", "-q").want(t, 0)
	if again, err := os.ReadFile(job); err != nil || string(again) != string(made) {
		t.Errorf("%q, %v, want %q", again, err, made)
	}
	lab("check", "-q").want(t, 0)
}
