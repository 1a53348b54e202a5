package inventory

import (
	"encoding/json"
	"os"
	"testing"
)

func TestACertificateMayHaveLinesWhereAnythingElseMayNot(t *testing.T) {
	pem, err := os.ReadFile("../tasks/kind/trustedca/testdata/home.pem")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(string(pem))
	if err != nil {
		t.Fatal(err)
	}
	const hosts = "version: 1\nhosts: {a: {lxc: lxc.json}}\n"
	section := func(certificates string) string {
		return `{"version": 1, "profiles": {"p": {"trusted_ca": {"certificates": ` + certificates + `}}}, "lxc_configs": {"900": {"template": "t", "profiles": ["p"], "features": ["trusted_ca"]}}}`
	}
	mustLoad(t, files{"hosts.yaml": hosts, "lxc.json": section(`{"home": ` + string(text) + `}`)})
	faulty{hosts: hosts, lxc: section(`{"home": "a\u001b[2J"}`),
		want: []string{"lxc.json:1:75: profiles.p.trusted_ca.certificates.home: the control character U+001B is not allowed here (take it out)"}}.run(t)
	faulty{hosts: hosts, lxc: section(`{"home": "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"}`),
		want: []string{"lxc.json:1:75: profiles.p.trusted_ca.certificates.home: holds a private key, which must not leave its owner (give the certificate alone)"}}.run(t)
}
