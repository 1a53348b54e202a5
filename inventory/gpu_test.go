package inventory

import (
	"strings"
	"testing"
)

func TestContainersThatShareACardAreWarnedOf(t *testing.T) {
	const uuid, part = "GPU-00000000-0000-0000-0000-000000000001", "MIG-00000000-0000-0000-0000-000000000001"
	for name, c := range map[string]struct{ first, second, want string }{
		"the same index":              {`"gpu_assignment": "0,1"`, `"gpu_assignment": [1]`, "container 901 shares GPUs: 1 with container 900"},
		"two indexes":                 {`"gpu_assignment": "0,1"`, `"gpu_assignment": "1, 0"`, "container 901 shares GPUs: 1 with container 900; 0 with container 900"},
		"an address in two forms":     {`"gpu_assignment": "01:00.0"`, `"gpu_assignment": "00000000:01:00.0"`, "container 901 shares GPUs: 0000:01:00.0 with container 900"},
		"a UUID in two cases":         {`"gpu_assignment": "` + uuid + `"`, `"gpu_assignment": "` + strings.ToLower(uuid) + `"`, "container 901 shares GPUs: " + uuid + " with container 900"},
		"a MIG instance":              {`"gpu_assignment": "` + part + `"`, `"gpu_assignment": "` + part + `"`, "container 901 shares GPUs: " + part + " with container 900"},
		"an instance beside all":      {`"gpu_assignment": "` + part + `"`, `"gpu_assignment": "all"`, ""},
		"all after one":               {`"gpu_assignment": 0`, `"gpu_assignment": "all"`, "container 901 shares GPUs: all, of which container 900 gets some"},
		"one after all":               {`"gpu_assignment": "all"`, `"gpu_assignment": 3`, "container 901 shares GPUs: 3 with container 900, which gets all"},
		"another index":               {`"gpu_assignment": 0`, `"gpu_assignment": 1`, ""},
		"what only the host can tell": {`"gpu_assignment": 0`, `"gpu_assignment": "` + uuid + `"`, ""},
		"none":                        {`"gpu_assignment": "none"`, `"gpu_assignment": "all"`, ""},
		"a container that goes":       {`"gpu_assignment": 0, "state": "absent"`, `"gpu_assignment": 0`, ""},
		"a template":                  {`"gpu_assignment": 0, "is_template": true`, `"gpu_assignment": 0`, ""},
		"a container without the key": {`"cores": 1`, `"gpu_assignment": 0`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, found := loadList(t, files{
				"hosts.yaml": "version: 1\nhosts: {a: {lxc: lxc.json}}\n",
				"lxc.json":   `{"version": 1, "defaults": {"template": "t", "features": ["nvidia"]}, "lxc_configs": {"900": {` + c.first + `}, "901": {` + c.second + `}}}`,
			})
			var got []string
			for _, d := range found {
				got = append(got, d.Path+": "+d.Summary)
			}
			want := "lxc_configs.901.gpu_assignment: " + c.want
			if c.want == "" {
				want = ""
			}
			if strings.Join(got, "\n") != want || found.HasErrors() {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestFaultsOfACardHaveTheirPlace(t *testing.T) {
	for lxc, want := range map[string]string{
		`"gpu_assignment": "0,x"`:         `lxc.json:1:75: lxc_configs.900.gpu_assignment.1: "x" is not the name of a card`,
		`"gpu_assignment": ["0", "1", 0]`: `lxc.json:1:86: lxc_configs.900.gpu_assignment.2: 0 is named twice`,
		`"gpu_assignment": [true]`:        `lxc.json:1:76: lxc_configs.900.gpu_assignment.0: `,
		`"gpu_assignment": -1`:            `lxc.json:1:75: lxc_configs.900.gpu_assignment: -1 is below the minimum of 0`,
		`"gpu_assignment": {"a": 1}`:      `lxc.json:1:76: lxc_configs.900.gpu_assignment.a: unknown key "a"`,
	} {
		faulty{
			hosts: "version: 1\nhosts: {a: {lxc: lxc.json}}\n", lxc: `{"version": 1, "lxc_configs": {"900": {"template": "t", ` + lxc + `, "features": ["nvidia"]}}}`,
			want: []string{want},
		}.run(t)
	}
}
