package repository_test

import (
	"testing"

	"phoenix/tasks/kind/repository"
	"phoenix/tasks/sim/simtest"
)

func TestSimulatedHosts(t *testing.T) {
	simtest.Converges(t, repository.Kind(), map[string]string{
		"no-subscription":  `{"repositories":"no-subscription","ceph":"none","extra_sources":{"docker":{"uris":["https://download.docker.com/linux/debian"],"suites":["release"],"components":["stable"]}}}`,
		"Ceph is switched": `{"repositories":"no-subscription","ceph":"no-subscription"}`,
	})
}
