package nvidiaguest

import (
	"slices"
	"strings"
	"testing"
)

func TestAddresses_areThoseOfTheKernel(t *testing.T) {
	got := addresses("00000000:01:00.0\n00000001:C1:00.0\n00010000:02:00.0\nNo devices were found\n")
	if want := []string{"0000:01:00.0", "0001:c1:00.0", "00010000:02:00.0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOptions_areReadInEachWayOfWritingThem(t *testing.T) {
	help := "  -s, --silent\n      Run silently; this option implies '--ui=none --no-questions'.\n  --systemd, --no-systemd\n  --[no-]install-compat32-libs\n  -k KERNEL-NAME, --kernel-name=KERNEL-NAME\n  --no-kernel-modules\n"
	got := options(help)
	for _, want := range []string{"--silent", "--no-systemd", "--no-install-compat32-libs", "--install-compat32-libs", "--kernel-name", "--no-kernel-modules"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
	if slices.Contains(got, "--no-kernel-module") {
		t.Errorf("a part of an option is taken for one: %q", got)
	}
}

// FuzzAddresses reads what a container's nvidia-smi printed, which the container chooses.
func FuzzAddresses(f *testing.F) {
	f.Add("00000000:01:00.0\n")
	f.Add("GPU 0: x (UUID: y)\n:\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, a := range addresses(text) {
			if !strings.Contains(a, ":") || a != strings.ToLower(a) || strings.Contains(a, "\n") {
				t.Errorf("%q is read as %q", text, a)
			}
		}
	})
}

// FuzzOptions reads an installer's help.
func FuzzOptions(f *testing.F) {
	f.Add("--[no-]systemd\n--no-kernel-module")
	f.Fuzz(func(t *testing.T, text string) {
		for _, o := range options(text) {
			if !strings.HasPrefix(o, "--") || strings.ContainsAny(o, " \t\n=[]") && !strings.Contains(text, o) {
				t.Errorf("%q is read as %q", text, o)
			}
		}
	})
}
