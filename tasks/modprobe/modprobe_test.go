package modprobe_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/modprobe"
	"phoenix/tasks/taskstest"
)

func TestAdd_changesItsOwnLinesOnly(t *testing.T) {
	for _, tc := range []struct {
		name, old, want string
		add             modprobe.Wanted
	}{
		{"a new file has a header", "", "# Written by phoenix. What others write here stays.\nblacklist nouveau\n", modprobe.Wanted{Blacklist: []string{"nouveau"}}},
		{"what is there stays once", "blacklist snd-hda-intel\n", "blacklist snd-hda-intel\n", modprobe.Wanted{Blacklist: []string{"snd_hda_intel"}}},
		{"a file without a last line break", "# hand", "# hand\nblacklist a\n", modprobe.Wanted{Blacklist: []string{"a"}}},
		{"one parameter of several", "options kvm ignore_msrs=0 nested=1\n", "options kvm nested=1 ignore_msrs=1\n", modprobe.Wanted{Options: map[string][]string{"kvm": {"ignore_msrs=1"}}}},
		{"a parameter said twice", "options kvm a=0\noptions kvm a=2\noptions b a=3\n", "options kvm a=1\noptions b a=3\n", modprobe.Wanted{Options: map[string][]string{"kvm": {"a=1"}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.add.Add([]byte(tc.old))
			if err != nil || string(got) != tc.want {
				t.Errorf("got %q, %v\nwant %q", got, err, tc.want)
			}
			again, err := tc.add.Add(got)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("again %q, %v", again, err)
			}
		})
	}
}

func TestAdd_refusesWhatWouldNotStayAWord(t *testing.T) {
	for _, w := range []modprobe.Wanted{
		{Blacklist: []string{"a\ninstall b /bin/sh"}}, {Blacklist: []string{""}}, {Blacklist: []string{"a b"}},
		{Options: map[string][]string{"a": {"x=1\n"}}}, {Options: map[string][]string{"a": {`x="1`}}}, {Options: map[string][]string{"a\\": {"x=1"}}},
	} {
		if got, err := w.Add(nil); err == nil {
			t.Errorf("%+v gives %q", w, got)
		}
	}
}

func TestRead_theLastFileWins(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{
		"/etc/modprobe.d/a.conf":     "options kvm x=1 y=1\nblacklist nouveau extra words\n# blacklist radeon\n",
		"/usr/lib/modprobe.d/b.conf": "options kvm x=2\noptions short\nblacklist\n",
		"/etc/modprobe.d/c.txt":      "options kvm x=3\n",
	})
	c, err := modprobe.Read(h)
	if err != nil {
		t.Fatal(err)
	}
	for param, want := range map[string]modprobe.Option{
		"x": {Word: "x=2", File: "/usr/lib/modprobe.d/b.conf"}, "y=9": {Word: "y=1", File: "/etc/modprobe.d/a.conf"}, "z": {},
	} {
		if got, _ := c.Option("kvm", param); got != want {
			t.Errorf("%s: got %+v, want %+v", param, got, want)
		}
	}
	if !c.Blacklisted("nouveau") || c.Blacklisted("radeon") {
		t.Error("the blacklist is read wrongly")
	}
}

func TestPresent_tellsLoadedFromBuiltIn(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{
		"/proc/modules": "vfio_pci 16384 0 - Live 0x0\n", "/proc/sys/kernel/osrelease": "6.8\n",
		"/lib/modules/6.8/modules.builtin": "kernel/fs/ext4/ext4.ko\nkernel/drivers/tty/n-null.ko\n",
	})
	m, err := modprobe.Present(h)
	if err != nil || !m.Loaded("vfio-pci") || m.Builtin("vfio_pci") || m.Loaded("ext4") || !m.Has("ext4") || !m.Builtin("n_null") || m.Has("nouveau") {
		t.Errorf("got %+v, %v", m, err)
	}
}

// FuzzAdd: what was added is read back, other lines stay byte for byte, and a second
// time changes nothing.
func FuzzAdd(f *testing.F) {
	f.Add([]byte("options kvm a=1 b=2\n# hand\nblacklist x\n"), "kvm", "b=3")
	f.Add([]byte("options kvm \\\n a=1"), "kvm", "a")
	f.Fuzz(func(t *testing.T, old []byte, module, word string) {
		want := modprobe.Wanted{Blacklist: []string{module}, Options: map[string][]string{module: {word}}}
		got, err := want.Add(old)
		if err != nil {
			return
		}
		h := taskstest.NewTree(t, map[string]string{"/etc/modprobe.d/": "", "/proc/": ""})
		taskstest.Put(t, h, modprobe.Own, string(got))
		c, err := modprobe.Read(h)
		if err != nil {
			t.Fatal(err)
		}
		joined := bytes.HasSuffix(bytes.TrimRight(old, "\n"), []byte(`\`)) // the file ends within a line
		if o, _ := c.Option(module, word); !joined && (o.Word != word || !c.Blacklisted(module)) {
			t.Errorf("%q with %s %s is\n%q, which is read as %q", old, module, word, got, o.Word)
		}
		for line := range strings.Lines(string(old)) {
			if !strings.Contains(line, "options") && !strings.Contains(string(got), strings.TrimRight(line, "\n")) {
				t.Errorf("the line %q is gone from %q", line, got)
			}
		}
		if again, err := want.Add(got); err != nil || !slices.Equal(again, got) {
			t.Errorf("a second time gives %q, %v", again, err)
		}
	})
}
