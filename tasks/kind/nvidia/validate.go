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
	var out tasks.Problems
	if s.Driver != "" && !version.MatchString(s.Driver) {
		out.Add("driver", fmt.Sprintf("%q is no version of NVIDIA's driver", s.Driver), "write it in full: 570.86.15")
	}
	switch {
	case !slices.Contains([]string{"", InstallAPT, InstallRunfile, InstallNone}, s.Install):
		out.Add("install", fmt.Sprintf("%q is no way to install", s.Install), "apt, runfile or none")
	case s.Driver == "" && (s.Install == InstallAPT || s.Install == InstallRunfile):
		out.Add("driver", "is missing", "install "+s.Install+" needs the exact version: 570.86.15")
	case s.Install == InstallRunfile && s.Runfile == nil:
		out.Add("runfile", "is missing", `install runfile needs {"url": …, "sha256": …}`)
	case s.Install != InstallRunfile && s.Runfile != nil:
		out.Add("runfile", "is of no use without install runfile", `set "install": "runfile", or leave runfile out`)
	}
	if !slices.Contains([]string{"", OpenAuto, OpenOpen, OpenClosed}, s.Open) {
		out.Add("open", fmt.Sprintf("%q is no kernel module", s.Open), "auto, open or closed")
	}
	if s.Runfile != nil {
		s.Runfile.validate(&out)
	}
	return out
}

func (r *Runfile) validate(out *tasks.Problems) {
	switch {
	case (r.URL == "") == (r.Path == ""):
		out.Add("runfile", "needs exactly one of url and path", "url is fetched once for each host; path is a file on it")
	case r.URL != "" && !address.MatchString(r.URL):
		out.Add("runfile.url", fmt.Sprintf("%q is no address to fetch from", r.URL), "https://us.download.nvidia.com/XFree86/Linux-x86_64/570.86.15/NVIDIA-Linux-x86_64-570.86.15.run")
	case r.Path != "" && (!path.IsAbs(r.Path) || path.Clean(r.Path) != r.Path || strings.ContainsFunc(r.Path, func(c rune) bool { return c < ' ' || c == 0x7f })):
		out.Add("runfile.path", fmt.Sprintf("%q is no absolute, clean path", r.Path), "/root/NVIDIA-Linux-x86_64-570.86.15.run")
	}
	if !checksum.MatchString(r.SHA256) {
		out.Add("runfile.sha256", fmt.Sprintf("%q is no SHA-256 checksum", r.SHA256), "64 hexadecimal digits; sha256sum prints them")
	}
}
