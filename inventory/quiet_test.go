package inventory

import (
	"slices"
	"testing"
)

func TestQuietAfterS_isTwoMinutesUnlessSomebodySaysOtherwise(t *testing.T) {
	fleet := mustLoad(t, files{"hosts.yaml": `version: 1
defaults: { quiet_after_s: 300 }
groups:
  slow: { quiet_after_s: 900 }
hosts:
  pve1: {}
  pve2: { groups: [slow] }
  pve3: { groups: [slow], quiet_after_s: 0 }
`})
	for host, want := range map[string]int{"pve1": 300, "pve2": 900, "pve3": 0} {
		h := fleet.Host(host)
		if h.QuietAfterS != want {
			t.Errorf("%s: %d, want %d", host, h.QuietAfterS, want)
		}
		if !slices.ContainsFunc(h.Settings(), func(s Setting) bool { return s.Key == "quiet_after_s" && s.Origin != "default" }) {
			t.Errorf("%s: the settings %v do not tell", host, h.Settings())
		}
	}
	if h := mustLoad(t, files{"hosts.yaml": "version: 1\nhosts: { pve1: {} }\n"}).Hosts[0]; h.QuietAfterS != 120 {
		t.Errorf("%d when nobody says anything", h.QuietAfterS)
	}
	_, found := load(t, files{"hosts.yaml": "version: 1\nhosts: { pve1: { quiet_after_s: -1 } }\n"})
	if want := "hosts.yaml:2:33: hosts.pve1.quiet_after_s: -1 is below the minimum of 0"; len(found) != 1 || found[0] != want {
		t.Errorf("%q, want %s", found, want)
	}
}
