package dpkg

import (
	"strings"
	"testing"
)

const sample = `Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9

Package: libc6
Status: install ok half-configured
Architecture: amd64
Version: 2.36-9+deb12u9
Description: GNU C Library
 Package: not-a-package
 .
 Status: none of this counts

Package: exim4
Status: hold ok installed
Architecture: amd64
Version: 4.96
Provides: mail-transport-agent, default-mta (= 4.96)

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Provides: nothing-more
`

func TestParse_tellsStatesApart(t *testing.T) {
	s, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	any, _ := s.Find("libc6")
	amd64, _ := s.Find("libc6:amd64")
	exim, _ := s.Find("exim4")
	gone, _ := s.Find("gone")
	_, arm := s.Find("libc6:arm64")
	_, text := s.Find("not-a-package")
	mta, virtual := s.Provider("default-mta")
	_, removed := s.Provider("nothing-more")
	for name, ok := range map[string]bool{
		"the installed architecture comes first":      any.Arch == "i386" && any.Installed(),
		"an architecture can be asked for":            amd64.State == "half-configured" && !amd64.Installed() && !amd64.Gone(),
		"an architecture that is not there":           !arm,
		"continued lines are not read":                !text,
		"a held package is installed":                 exim.Installed() && exim.Held(),
		"configuration files alone are gone":          gone.Gone() && !gone.Installed(),
		"a virtual package has a provider":            virtual && mta.Name == "exim4",
		"a removed package provides nothing any more": !removed,
	} {
		if !ok {
			t.Errorf("not so: %s", name)
		}
	}
}

func TestParse_namesTheLineOfAFault(t *testing.T) {
	if _, err := Parse([]byte("Package: a\nVersion: 1\nStatus: install ok\n")); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkParse(b *testing.B) {
	data := []byte(strings.Repeat(sample+"\n", 400))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
