package upgrade_test

import (
	"testing"

	"phoenix/tasks/kind/upgrade"
	"phoenix/tasks/sim/simtest"
)

func TestSimulatedHosts(t *testing.T) {
	simtest.Converges(t, upgrade.Kind(), map[string]string{
		"security": `{"upgrade":"security"}`,
		"full":     `{"upgrade":"full"}`,
	})
}
