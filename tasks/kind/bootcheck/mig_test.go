package bootcheck

import (
	"os"
	"strings"
	"testing"
)

// TestTheUnitThatDividesCardsIsKnown: what phoenix itself writes for containers with
// instances makes all that they have.
func TestTheUnitThatDividesCardsIsKnown(t *testing.T) {
	data, err := os.ReadFile("../mig/testdata/phoenix-mig.service")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(commands(string(data)), "\n")
	for _, node := range []string{"/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-caps/nvidia-cap21"} {
		if got := makesCard(text, node); got != certain {
			t.Errorf("%s: %d", node, got)
		}
	}
}
