package bootimage_test

import (
	"context"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/bootimage"
	"phoenix/tasks/taskstest"
)

// machine has programs that say what the real ones were recorded to say.
func machine(t *testing.T, files map[string]string) *taskstest.Tree {
	m := taskstest.NewTree(t, files)
	for program, text := range map[string]string{
		"update-initramfs":  "update-initramfs: Generating /boot/initrd.img-6.8.12-9-pve\n",
		"update-grub":       "Generating grub configuration file ...\nFound linux image: /boot/vmlinuz-6.8.12-9-pve\ndone\n",
		"proxmox-boot-tool": "Running hook script 'zz-proxmox-boot'..\nCopying and configuring kernels on /dev/disk/by-uuid/E337-49A4\n",
	} {
		m.Programs[program] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output { return tasks.Output{Stdout: []byte(text)} }
	}
	return m
}

func due(t *testing.T, h tasks.Host, w bootimage.What) bool {
	t.Helper()
	is, err := bootimage.Due(h, w)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestMake_theMarkIsThereBeforeTheFirstEdit(t *testing.T) {
	m := machine(t, nil)
	marked := false
	edit := tasks.Edit{Verb: tasks.VerbPut, Path: "/x", Update: func([]byte) ([]byte, error) {
		marked = due(t, m, bootimage.Initramfs)
		return []byte("x"), nil
	}}
	if err := bootimage.Make(t.Context(), m, bootimage.Initramfs, edit); err != nil {
		t.Fatal(err)
	}
	if !marked || due(t, m, bootimage.Initramfs) {
		t.Errorf("marked during the edit %t, and afterwards %t", marked, due(t, m, bootimage.Initramfs))
	}
}

func TestMake_aProgramThatFailsOrSaysNothingLeavesTheMark(t *testing.T) {
	for name, answer := range map[string]tasks.Output{
		"it fails":                  {Code: 1, Stdout: []byte("update-initramfs: Generating /boot/initrd.img-6.8.12-9-pve\n")},
		"it ends well without work": {},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t, nil)
			m.Programs["update-initramfs"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output { return answer }
			if err := bootimage.Make(t.Context(), m, bootimage.Initramfs); err == nil {
				t.Error("there is no error")
			}
			var d tasks.Diff
			if err := bootimage.Check(m, bootimage.Initramfs, &d); err != nil || !d.Has("initramfs") {
				t.Errorf("the check finds %v, %v", d, err)
			}
			if due(t, m, bootimage.Loader) {
				t.Error("the boot loader is due as well")
			}
		})
	}
}

func TestMake_runsTheProgramOfTheLoaderThatBoots(t *testing.T) {
	for _, tc := range []struct{ name, uuids, want string }{
		{"GRUB", "", "update-grub"},
		{"a file without partitions", "\n", "update-grub"},
		{"proxmox-boot-tool", "E337-49A4\nE338-0001\n", "proxmox-boot-tool refresh"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{"/etc/kernel/": ""}
			if tc.uuids != "" {
				files["/etc/kernel/proxmox-boot-uuids"] = tc.uuids
			}
			rec := taskstest.NewRecorder(machine(t, files))
			if err := bootimage.Make(t.Context(), rec, bootimage.Loader); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(rec.Commands(), "; "); got != tc.want {
				t.Errorf("ran %s, want %s", got, tc.want)
			}
		})
	}
}
