package system_test

import (
	"testing"

	"phoenix/tasks/kind/system"
	"phoenix/tasks/sim/simtest"
)

func TestSimulatedHosts(t *testing.T) {
	simtest.Converges(t, system.Kind(), map[string]string{
		"all": `{"timezone":"Europe/Berlin","ntp":false,"locale":"de_DE.UTF-8"}`,
	})
}
