package gpu

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/taskstest"
)

// information is what driver 590.48.01 says of a card.
const information = "Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 77\nGPU UUID: \t GPU-eaf23aa1-4d3d-596c-da66-b86b0e5db584\n" +
	"Video BIOS: \t 94.02.26.40.81\nBus Type: \t PCI\nDMA Size: \t 47 bits\nDMA Mask: \t 0x7fffffffffff\nBus Location: \t 0000:01:00.0\n" +
	"Device Minor: \t 0\nGPU Firmware: \t 590.48.01\nGPU Excluded:\t No\n"

func TestBoundCards_areInTheOrderOfNvidiaSMI(t *testing.T) {
	second := strings.NewReplacer("eaf23aa1", "EAF23AA2", "Minor: \t 0", "Minor: \t 1").Replace(information)
	unused := strings.NewReplacer("eaf23aa1-4d3d-596c-da66-b86b0e5db584", "????????-????-????-????-????????????", "Minor: \t 0", "Minor: \t 2").Replace(information)
	h := taskstest.NewTree(t, map[string]string{
		boundCards + "/0000:41:00.0/information": information,
		boundCards + "/0000:01:00.0/information": second,
		boundCards + "/0000:81:00.0/information": unused,
		boundCards + "/0000:82:00.0/information": strings.Replace(information, "Excluded:\t No", "Excluded:\t Yes", 1),
		boundCards + "/0000:83:00.0/information": strings.Replace(information, "GPU Excluded:\t No", "Blacklisted:\t Yes", 1),
	})
	got, err := BoundCards(h)
	want := []Bound{
		{"0000:01:00.0", "GPU-eaf23aa2-4d3d-596c-da66-b86b0e5db584", 1},
		{"0000:41:00.0", "GPU-eaf23aa1-4d3d-596c-da66-b86b0e5db584", 0},
		{"0000:81:00.0", "", 2},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if node := want[0].Node(); node != "/dev/nvidia1" {
		t.Errorf("its node is %s", node)
	}
}

func TestBoundCards_withoutADriverAreNone(t *testing.T) {
	if got, err := BoundCards(taskstest.NewTree(t, nil)); len(got) > 0 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestBoundCards_failWhereTheNodeIsNotTold(t *testing.T) {
	for name, text := range map[string]string{
		"no minor":             "Model: \t\t x\n",
		"a minor in words":     "Device Minor: \t none\n",
		"a minor below 0":      "Device Minor: \t -1\n",
		"an empty file":        "",
		"a minor that is long": "Device Minor: \t 99999999999999999999\n",
	} {
		h := taskstest.NewTree(t, map[string]string{boundCards + "/0000:01:00.0/information": text})
		if got, err := BoundCards(h); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestIsNode_leavesOutPartsOfCards(t *testing.T) {
	for node, want := range map[string]bool{
		"/dev/nvidia0": true, "/dev/nvidia12": true, "/dev/nvidiactl": true, "/dev/nvidia-uvm": true, "/dev/nvidia-uvm-tools": true, "/dev/nvidia-modeset": true,
		"/dev/nvidia": false, "/dev/nvidia-caps/nvidia-cap1": false, "/dev/nvidia-caps": false, "/dev/nvidia0/x": false, "/dev/dri/card0": false, "/srv/dev/nvidia0": false,
	} {
		if IsNode(node) != want {
			t.Errorf("%s: %t, want %t", node, !want, want)
		}
	}
}

func FuzzInformation(f *testing.F) {
	f.Add(information)
	f.Add("Device Minor: 3\nBlacklisted: Yes\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, _, err := parseInformation(text)
		if err != nil {
			return
		}
		if b.Minor < 0 || !IsNode(b.Node()) || b.UUID != "" && !uuid.MatchString(b.UUID) {
			t.Errorf("%q is read as %+v", text, b)
		}
	})
}
