package inventory

import (
	"strings"
	"testing"
)

// aptHost has a hypervisor file with nothing but a section apt.
func aptHost(section string) files {
	return files{
		"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
		"h.json":     `{"version":1,"apt":` + section + `}`,
	}
}

func TestTheSectionAptIsReadByThreeFamilies(t *testing.T) {
	for _, tc := range []struct {
		name, section                   string
		repositories, packages, upgrade bool
	}{
		{"nothing", `{}`, false, false, false},
		{"what is shared makes no step", `{"lock_timeout_s": 20}`, false, false, false},
		{"archives", `{"repositories": "keep", "lock_timeout_s": 20}`, true, false, false},
		{"packages", `{"hold": ["bash"], "lock_timeout_s": 20}`, false, true, false},
		{"upgrades", `{"upgrade": "full", "lock_timeout_s": 20}`, false, false, true},
		{"all", `{"ceph": "none", "packages": ["jq"], "upgrade": "security", "cache_max_age_s": 60, "lock_timeout_s": 20}`, true, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fleet, found := load(t, aptHost(tc.section))
			if fleet == nil {
				t.Fatal(found)
			}
			h := fleet.Hosts[0].Hypervisor
			if (h.Repositories != nil) != tc.repositories || (h.Apt != nil) != tc.packages || (h.Upgrade != nil) != tc.upgrade {
				t.Errorf("repositories %+v, packages %+v, upgrade %+v", h.Repositories, h.Apt, h.Upgrade)
			}
			if h.Repositories != nil && strings.Contains(tc.section, "lock") && h.Repositories.LockTimeoutS != 20 || h.Upgrade != nil && h.Upgrade.LockTimeoutS != 20 || h.Apt != nil && h.Apt.LockTimeoutS != 20 {
				t.Error("the time to wait for a lock is not theirs")
			}
			if tc.name == "all" && (h.Apt.CacheMaxAgeS != 60 || h.Upgrade.CacheMaxAgeS != 60) {
				t.Error("the age of the lists is not theirs")
			}
		})
	}
}

func TestFaultsOfAptHaveTheirPlaceOnce(t *testing.T) {
	for section, want := range map[string]string{
		`{"upgrade": "always", "packages": []}`:                                                         `h.json:1:32: apt.upgrade: "always"`,
		`{"upgrade": "full", "packages": ["a b"]}`:                                                      `h.json:1:53: apt.packages.0: "a b" is no package name`,
		`{"repositories": "none", "upgrade": "full"}`:                                                   `h.json:1:37: apt.repositories: "none"`,
		`{"upgrades": "full"}`:                                                                          `h.json:1:21: apt.upgrades: unknown key "upgrades" (did you mean upgrade?)`,
		`{"ceph": "none", "packages": [], "upgrade": "full", "lock_timeout_s": -1}`:                     `h.json:1:90: apt.lock_timeout_s: `,
		`{"extra_sources": {"d": {"uris": ["http://x"]}}}`:                                              `h.json:1:44: apt.extra_sources.d: missing "suites"`,
		`{"extra_sources": {"d": {"uris": ["http://a:b@x"], "suites": ["x"], "components": ["y"]}}}`:    `h.json:1:54: apt.extra_sources.d.uris.0: "http://a:b@x" is not allowed here`,
		`{"extra_sources": {"ceph": {"uris": ["http://x"], "suites": ["x"], "components": ["y"]}}}`:     `h.json:1:47: apt.extra_sources.ceph: ceph.sources belongs to the system`,
		`{"extra_sources": {"d": {"uris": ["http://x\n"], "suites": ["x"], "components": ["y"]}}}`:      `h.json:1:54: apt.extra_sources.d.uris.0: a line break is not allowed here`,
		`{"extra_sources": {"d": {"uris": ["http://x"], "suites": ["./"], "signed_by": "/x\nA: yes"}}}`: `h.json:1:98: apt.extra_sources.d.signed_by: is neither the path of a keyring nor an armoured key`,
	} {
		_, found := load(t, aptHost(section))
		if len(found) != 1 || !strings.HasPrefix(found[0], want) {
			t.Errorf("%s: got %q\nwant %s", section, found, want)
		}
	}
}
