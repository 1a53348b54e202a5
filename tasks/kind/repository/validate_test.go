package repository_test

import (
	"testing"

	"phoenix/tasks/kind/repository"
)

func TestValidate_namesTheFault(t *testing.T) {
	source := func(change func(*repository.Source)) repository.Spec {
		s := docker()
		change(&s)
		return repository.Spec{ExtraSources: map[string]repository.Source{"d": s}}
	}
	named := func(name string) repository.Spec {
		return repository.Spec{ExtraSources: map[string]repository.Source{name: docker()}}
	}
	for _, tc := range []struct {
		name string
		spec repository.Spec
		path string
	}{
		{"another archive", repository.Spec{Repositories: "community"}, "repositories"},
		{"no archive of Proxmox VE", repository.Spec{Repositories: "none"}, "repositories"},
		{"another archive of Ceph", repository.Spec{Ceph: "squid"}, "ceph"},
		{"a negative wait", repository.Spec{LockTimeoutS: -1}, "lock_timeout_s"},
		{"a file in another folder", named("../x"), "extra_sources.../x"},
		{"a hidden file", named(".x"), "extra_sources..x"},
		{"a file of Proxmox's", named("ceph"), "extra_sources.ceph"},
		{"another type", source(func(s *repository.Source) { s.Types = []string{"rpm"} }), "extra_sources.d.types.0"},
		{"no address", source(func(s *repository.Source) { s.URIs = nil }), "extra_sources.d.uris"},
		{"a password in the address", source(func(s *repository.Source) { s.URIs = []string{"https://me:secret@example.org/debian"} }), "extra_sources.d.uris.0"},
		{"a line break in the address", source(func(s *repository.Source) { s.URIs = []string{"https://example.org/\nTrusted: yes"} }), "extra_sources.d.uris.0"},
		{"an address twice", source(func(s *repository.Source) { s.URIs = append(s.URIs, s.URIs[0]) }), "extra_sources.d.uris.1"},
		{"no suite", source(func(s *repository.Source) { s.Suites = nil }), "extra_sources.d.suites"},
		{"a line break in a suite", source(func(s *repository.Source) { s.Suites = []string{"x\nTrusted: yes"} }), "extra_sources.d.suites.0"},
		{"no component", source(func(s *repository.Source) { s.Components = nil }), "extra_sources.d.components"},
		{"a component of a path", source(func(s *repository.Source) { s.Suites = []string{"./"} }), "extra_sources.d.components"},
		{"a path among suites", source(func(s *repository.Source) { s.Suites, s.Components = []string{"x", "./"}, nil }), "extra_sources.d.suites"},
		{"a blank in a component", source(func(s *repository.Source) { s.Components = []string{"main contrib"} }), "extra_sources.d.components.0"},
		{"an upper-case architecture", source(func(s *repository.Source) { s.Architectures = []string{"AMD64"} }), "extra_sources.d.architectures.0"},
		{"a relative keyring", source(func(s *repository.Source) { s.SignedBy = "docker.gpg" }), "extra_sources.d.signed_by"},
		{"a keyring with another field behind it", source(func(s *repository.Source) { s.SignedBy = "/x\nTrusted: yes" }), "extra_sources.d.signed_by"},
		{"a private key", source(func(s *repository.Source) { s.SignedBy = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n" }), "extra_sources.d.signed_by"},
		{"a key with something else in it", source(func(s *repository.Source) {
			s.SignedBy = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nTrusted: yes\n-----END PGP PUBLIC KEY BLOCK-----"
		}), "extra_sources.d.signed_by"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestValidate_takesWhatAptTakes(t *testing.T) {
	for _, s := range []repository.Source{
		docker(),
		{URIs: []string{"file:/srv/repo"}, Suites: []string{"./"}},
		{Types: []string{"deb", "deb-src"}, URIs: []string{"http://deb.debian.org/debian/", "http://10.0.0.1:3142/debian"}, Suites: []string{"release-backports", "bookworm/updates"}, Components: []string{"main", "non-free-firmware"}, SignedBy: "/usr/share/keyrings/debian-archive-keyring.gpg"},
		{URIs: []string{"https://example.org"}, Suites: []string{"stable"}, Components: []string{"main"}, SignedBy: "-----BEGIN PGP PUBLIC KEY BLOCK-----\r\nVersion: GnuPG v2\r\n\r\nmQIN+/=\r\n=abcd\r\n-----END PGP PUBLIC KEY BLOCK-----\r\n"},
	} {
		spec := repository.Spec{Repositories: "enterprise", Ceph: "none", ExtraSources: map[string]repository.Source{"x.y-1": s}}
		if p := spec.Validate(); len(p) != 0 {
			t.Errorf("%+v: %v", s, p)
		}
	}
}
