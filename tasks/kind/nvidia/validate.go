package nvidia

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

var (
	version  = regexp.MustCompile(`^[1-9][0-9]{2}\.[0-9]{2,3}(\.[0-9]{2})?$`)
	address  = regexp.MustCompile(`^https?://[^\s"'\\<>]+$`)
	checksum = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

// Validate returns every fault of the spec. Which cards there are is known on the
// machine only.
func (s *Spec) Validate() []tasks.Problem {
	var out []tasks.Problem
	add := func(path, summary, hint string) {
		out = append(out, tasks.Problem{Path: path, Summary: summary, Hint: hint})
	}
	if s.Driver != "" && !version.MatchString(s.Driver) {
		add("driver", fmt.Sprintf("%q is no version of NVIDIA's driver", s.Driver), "write it in full: 570.86.15")
	}
	switch {
	case !slices.Contains([]string{"", InstallAPT, InstallRunfile, InstallNone}, s.Install):
		add("install", fmt.Sprintf("%q is no way to install", s.Install), "apt, runfile or none")
	case s.Driver == "" && (s.Install == InstallAPT || s.Install == InstallRunfile):
		add("driver", "is missing", "install "+s.Install+" needs the exact version: 570.86.15")
	case s.Install == InstallRunfile && s.Runfile == nil:
		add("runfile", "is missing", `install runfile needs {"url": …, "sha256": …}`)
	case s.Install != InstallRunfile && s.Runfile != nil:
		add("runfile", "is of no use without install runfile", `set "install": "runfile", or leave runfile out`)
	}
	if !slices.Contains([]string{"", OpenAuto, OpenOpen, OpenClosed}, s.Open) {
		add("open", fmt.Sprintf("%q is no kernel module", s.Open), "auto, open or closed")
	}
	if s.Runfile != nil {
		s.Runfile.validate(add)
	}
	return out
}

func (r *Runfile) validate(add func(path, summary, hint string)) {
	switch {
	case (r.URL == "") == (r.Path == ""):
		add("runfile", "needs exactly one of url and path", "url is fetched once for each host; path is a file on it")
	case r.URL != "" && !address.MatchString(r.URL):
		add("runfile.url", fmt.Sprintf("%q is no address to fetch from", r.URL), "https://us.download.nvidia.com/XFree86/Linux-x86_64/570.86.15/NVIDIA-Linux-x86_64-570.86.15.run")
	case r.Path != "" && (!path.IsAbs(r.Path) || path.Clean(r.Path) != r.Path || strings.ContainsFunc(r.Path, func(c rune) bool { return c < ' ' || c == 0x7f })):
		add("runfile.path", fmt.Sprintf("%q is no absolute, clean path", r.Path), "/root/NVIDIA-Linux-x86_64-570.86.15.run")
	}
	if !checksum.MatchString(r.SHA256) {
		add("runfile.sha256", fmt.Sprintf("%q is no SHA-256 checksum", r.SHA256), "64 hexadecimal digits; sha256sum prints them")
	}
}
