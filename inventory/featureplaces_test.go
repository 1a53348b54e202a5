package inventory

import (
	"fmt"
	"strings"
	"testing"
)

func TestAFeatureIsUsedWhereItSaysThatItMayBe(t *testing.T) {
	for _, tc := range []struct {
		more       string // of feature.json
		host, item string // what is said of its use there, "" for nothing
	}{
		{``, "", ""},
		{`"for":["hypervisor","container"],`, "", ""},
		{`"for":["hypervisor"],`, "", `l.json:1:117: lxc_configs.900.features.0.mark: the feature is for a hypervisor, and not for a container (its feature.json says so: "for": ["hypervisor"])`},
		{`"for":["container"],`, `h.json:1:30: features.mark: the feature is for a container, and not for a hypervisor (its feature.json says so: "for": ["container"])`, ""},
		{`"needs":["user:ann"],`, "", `l.json:1:117: lxc_configs.900.features.0.mark: the feature needs user:ann, a step of a hypervisor (take needs out of its feature.json, or say there "for": ["hypervisor"])`},
	} {
		for where, want := range map[string]string{"host": tc.host, "item": tc.item} {
			f := files{
				"hosts.yaml":                 "version: 1\nhosts: { pve1: { hypervisor: h.json, lxc: l.json, containers: all } }\n",
				"h.json":                     `{"version":1}`,
				"l.json":                     `{"version":1}`,
				"features/mark/feature.json": fmt.Sprintf(`{"description":"x",%s"parameters":{"properties":{"word":{"type":"string"}}},"check":"c","apply":"c"}`, tc.more),
				"features/mark/c":            "true\n",
			}
			if where == "host" {
				f["h.json"] = `{"version":1, "features":   {"mark":{"word":"a"}},"users":{"ann":{}}}`
			} else {
				f["l.json"] = `{"version":1,"defaults":{"template":"debian-12-standard","storage_pool":"local"},"lxc_configs":{"900":{"features":[{"mark":{"word":"a"}}]}}}`
			}
			fleet, found := load(t, f)
			switch {
			case want != "":
				if len(found) != 1 || found[0] != want {
					t.Errorf("%s, %s: found\n%s\nwant\n%s", tc.more, where, strings.Join(found, "\n"), want)
				}
			case len(found) > 0:
				t.Errorf("%s, %s: found %s", tc.more, where, strings.Join(found, "\n"))
			case where == "host" && fleet.Hosts[0].Hypervisor.Features[0].Spec.Env["PHOENIX_WORD"] != "a",
				where == "item" && fleet.Hosts[0].Containers[0].Inside[0].Name != "feature/mark":
				t.Errorf("%s, %s: it is not there", tc.more, where)
			}
		}
	}
}
