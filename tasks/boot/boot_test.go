package boot_test

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"

	"phoenix/tasks/boot"
	"phoenix/tasks/taskstest"
)

// machine runs 6.8.12-4-pve and has it installed.
func machine(t *testing.T, extra map[string]string) *taskstest.Tree {
	files := map[string]string{
		"/proc/sys/kernel/osrelease":      "6.8.12-4-pve\n",
		"/proc/sys/kernel/random/boot_id": "0f1e2d3c-0000-4000-8000-000000000001\n",
		"/boot/vmlinuz-6.8.12-4-pve":      "",
		"/boot/initrd.img-6.8.12-4-pve":   "",
		"/lib/modules/6.8.12-4-pve/":      "",
	}
	for k, v := range extra {
		if v == "gone" {
			delete(files, k)
			continue
		}
		files[k] = v
	}
	return taskstest.NewTree(t, files)
}

func TestNeeded_saysWhy(t *testing.T) {
	const newer = "/boot/vmlinuz-6.8.12-10-pve"
	for _, tc := range []struct {
		name  string
		extra map[string]string
		want  []string
	}{
		{"the newest kernel runs", nil, nil},
		{"an older kernel is no reason", map[string]string{"/boot/vmlinuz-6.8.12-2-pve": ""}, nil},
		{"a newer kernel, by number and not by character", map[string]string{newer: ""}, []string{"kernel 6.8.12-10-pve is installed, 6.8.12-4-pve runs"}},
		{"what an interrupted dpkg left is no kernel", map[string]string{newer + ".dpkg-new": "", "/boot/vmlinuz-6.9-pve.old": ""}, nil},
		{"the running one is pinned", map[string]string{newer: "", "/etc/kernel/proxmox-boot-pin": "6.8.12-4-pve\n"}, nil},
		{"an older one is pinned", map[string]string{"/boot/vmlinuz-6.5.13-6-pve": "", "/etc/kernel/proxmox-boot-pin": "6.5.13-6-pve\n"}, []string{"kernel 6.5.13-6-pve is pinned, 6.8.12-4-pve runs"}},
		{"a pin for the next boot goes first", map[string]string{newer: "", "/etc/kernel/proxmox-boot-pin": "6.8.12-4-pve\n", "/etc/kernel/next-boot-pin": "6.8.12-10-pve\n"}, []string{"kernel 6.8.12-10-pve is pinned, 6.8.12-4-pve runs"}},
		{"a pinned kernel that is not installed counts for nothing", map[string]string{newer: "", "/etc/kernel/proxmox-boot-pin": "6.8.12-99-pve\n"}, []string{"kernel 6.8.12-10-pve is installed, 6.8.12-4-pve runs"}},
		{"an empty pin is none", map[string]string{newer: "", "/etc/kernel/proxmox-boot-pin": "\n"}, []string{"kernel 6.8.12-10-pve is installed, 6.8.12-4-pve runs"}},
		{"GRUB starts Debian's kernel when it is newer", map[string]string{"/boot/vmlinuz-6.12.9+deb13-amd64": ""}, []string{"kernel 6.12.9+deb13-amd64 is installed, 6.8.12-4-pve runs"}},
		{"proxmox-boot-tool does not", map[string]string{"/boot/vmlinuz-6.12.9+deb13-amd64": "", "/etc/kernel/proxmox-boot-uuids": "1A2B-3C4D\n"}, nil},
		{"the running kernel was removed", map[string]string{newer: "", "/boot/vmlinuz-6.8.12-4-pve": "gone", "/lib/modules/6.8.12-4-pve/": "gone"}, []string{
			"kernel 6.8.12-10-pve is installed, 6.8.12-4-pve runs", "the modules of the running kernel 6.8.12-4-pve are gone, no more of them can be loaded",
		}},
		{"packages asked for it", map[string]string{"/run/reboot-required": "*** System restart required ***\n", "/run/reboot-required.pkgs": "libc6\ndbus\nlibc6\n"}, []string{"/run/reboot-required: dbus, libc6"}},
		{"nobody knows who asked for it", map[string]string{"/run/reboot-required": ""}, []string{"/run/reboot-required is there"}},
		{"a list without the file asks for nothing", map[string]string{"/run/reboot-required.pkgs": "libc6\n"}, nil},
		{"a container has no kernel", map[string]string{"/boot/vmlinuz-6.8.12-4-pve": "gone", "/lib/modules/6.8.12-4-pve/": "gone"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := boot.Needed(machine(t, tc.extra))
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestNeeded_whatCannotBeReadIsNeverTakenForNo(t *testing.T) {
	seen := taskstest.NewRecorder(machine(t, map[string]string{"/run/reboot-required": ""}))
	if _, err := boot.Needed(seen); err != nil {
		t.Fatal(err)
	}
	if len(seen.Ops()) < 6 {
		t.Errorf("it read only %v", seen.Ops())
	}
	for _, op := range seen.Ops() {
		broken := taskstest.NewRecorder(machine(t, map[string]string{"/run/reboot-required": ""}))
		broken.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if o.String() == op.String() {
				return &taskstest.Answer{Err: syscall.EIO}
			}
			return nil
		}
		if got, err := boot.Needed(broken); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails, and it says %q, %v", op, got, err)
		}
	}
}

func TestKernels_areInTheOrderOfTheirVersions(t *testing.T) {
	got, err := boot.Kernels(machine(t, map[string]string{"/boot/vmlinuz-6.8.12-10-pve": "", "/boot/vmlinuz-6.17.4-1-pve": "", "/boot/vmlinuz": "-> vmlinuz-6.8.12-4-pve"}))
	if want := []string{"6.8.12-4-pve", "6.8.12-10-pve", "6.17.4-1-pve"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestRunningAndBootID_areOneWord(t *testing.T) {
	m := machine(t, nil)
	if got, err := boot.Running(m); err != nil || got != "6.8.12-4-pve" {
		t.Errorf("running %q, %v", got, err)
	}
	if got, err := boot.BootID(m); err != nil || got != "0f1e2d3c-0000-4000-8000-000000000001" {
		t.Errorf("boot id %q, %v", got, err)
	}
	taskstest.Put(t, m, "/proc/sys/kernel/random/boot_id", "\n")
	if got, err := boot.BootID(m); err == nil {
		t.Errorf("an empty boot id is taken for %q", got)
	}
}
