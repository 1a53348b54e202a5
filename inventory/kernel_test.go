package inventory

import (
	"strings"
	"testing"
)

func TestTheSectionsOfKernelAndNVIDIAHavePlaces(t *testing.T) {
	for section, want := range map[string]string{
		`"kernel": {"sysctl": {"vm.swappiness": 1.5}}`:                    `h.json:1:53: kernel.sysctl.vm.swappiness: `,
		`"kernel": {"cmdline": ["a", "b c"]}`:                             `h.json:1:42: kernel.cmdline.1: "b c" is no word`,
		`"kernel": {"module_options": {"kvm": "a=1\n"}}`:                  `h.json:1:51: kernel.module_options.kvm: `,
		`"kernel": {"module": ["a"]}`:                                     `h.json:1:25: kernel.module: unknown key "module" (did you mean modules?)`,
		`"nvidia": {"driver": "570"}`:                                     `h.json:1:35: nvidia.driver: "570" is no version of NVIDIA's driver (write it in full: 570.86.15)`,
		`"nvidia": {"mig": {"0": ["1g.5gb", "1g"]}}`:                      `h.json:1:49: nvidia.mig.0.1: "1g" is no profile`,
		`"nvidia": {"mig": {"0": "on"}}`:                                  `nvidia.mig.0: `,
		`"nvidia": {"mig": {"0": "off", "1": []}, "driver": "570.86.15"}`: "",
		`"nvidia": {"install": "apt"}`:                                    `nvidia.driver: is missing`,
		`"kernel": {"blacklist": ["nouveau", "nvidia"]}, "nvidia": {"driver": "570.86.15", "install": "apt"}`:        `h.json:1:50: kernel.blacklist.1: nvidia is blacklisted, and section nvidia wants it loaded`,
		`"kernel": {"sysctl": {"vm.swappiness": "10"}, "blacklist": ["nouveau"]}, "nvidia": {"driver": "570.86.15"}`: "",
	} {
		_, found := load(t, files{
			"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
			"h.json":     `{"version":1,` + section + `}`,
		})
		if text := strings.Join(found, "\n"); (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s\ngives %q\nwant %q", section, text, want)
		}
	}
}
