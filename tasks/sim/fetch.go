package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
)

// curl fetches a file: of the simulated internet there is NVIDIA's installer alone.
func curl(c *call) int {
	if code, local := c.curlLocal(); local {
		return code
	}
	if code, met := c.curlGuest(); met {
		return code
	}
	i := slices.IndexFunc(c.argv, func(w string) bool { return w == "-o" || w == "--output" })
	url := c.argv[len(c.argv)-1]
	if key := archiveKey(url); i < 0 && key != nil {
		c.printf("%s", key)
		return 0
	}
	if sums := ollamaSums(url); i < 0 && sums != "" {
		c.printf("%s", sums)
		return 0
	}
	if i < 0 || i+1 >= len(c.argv) || !strings.Contains(url, "://") {
		c.errorf("curl: (2) no URL specified\n")
		return 2
	}
	content, code := c.internet(url)
	if code != 0 {
		return code
	}
	if _, hit := c.fault("download"); hit {
		_ = c.m.write(c.argv[i+1], content[:len(content)/2], 0o644)
		return 137
	}
	switch err := c.m.write(c.argv[i+1], content, 0o644); {
	case errors.Is(err, errNoSpace):
		c.errorf("curl: (23) Failure writing output to destination\n")
		return 23
	case err != nil:
		return c.died(err, 23)
	}
	return 0
}

// internet is what an address gives, or curl's exit status.
func (c *call) internet(url string) ([]byte, int) {
	host, _, _ := strings.Cut(url[strings.Index(url, "://")+3:], "/")
	if _, offline := c.struck("", FaultDownload); offline {
		c.errorf("curl: (6) Could not resolve host: %s\n", host)
		return nil, 6
	}
	if data := ollamaRelease(url); data != nil {
		return data, 0
	}
	version := regexp.MustCompile(`/NVIDIA-Linux-x86_64-([0-9.]+)\.run$`).FindStringSubmatch(url)
	if version == nil {
		c.errorf("curl: (22) The requested URL returned error: 404\n")
		return nil, 22
	}
	return runfileContent(version[1]), 0
}

// sha256sum prints the checksums of files.
func sha256sum(c *call) int {
	code := 0
	for _, word := range c.argv[1:] {
		if strings.HasPrefix(word, "-") {
			continue
		}
		data, err := c.m.read(c.abs(word))
		if err != nil {
			c.errorf("sha256sum: %s: No such file or directory\n", word)
			code = 1
			continue
		}
		sum := sha256.Sum256(data)
		c.printf("%s  %s\n", hex.EncodeToString(sum[:]), word)
	}
	return code
}

// mv renames one file.
func mv(c *call) int {
	words := slices.DeleteFunc(slices.Clone(c.argv[1:]), func(w string) bool { return strings.HasPrefix(w, "-") })
	if len(words) != 2 {
		c.errorf("mv: missing file operand\nTry 'mv --help' for more information.\n")
		return 1
	}
	to := c.m.path(c.abs(words[1]))
	if slices.Contains(c.argv, "--backup=numbered") && c.m.exists(c.abs(words[1])) {
		if err := os.Rename(to, to+".~1~"); err != nil {
			return c.died(err, 1)
		}
	}
	err := os.Rename(c.m.path(c.abs(words[0])), to)
	if errors.Is(err, fs.ErrNotExist) {
		c.errorf("mv: cannot stat '%s': No such file or directory\n", words[0])
		return 1
	}
	return c.died(err, 1)
}

// aptCache is `apt-cache madison NAME…`.
func aptCache(c *call) int {
	if len(c.argv) < 2 || c.argv[1] != "madison" {
		c.errorf("E: Invalid operation\n")
		return 100
	}
	for _, name := range c.argv[2:] {
		for _, s := range c.m.sources() {
			for _, a := range c.m.listed(s) {
				if a.name == name {
					c.printf("%s | %s | %s %s/%s amd64 Packages\n", leftPad(a.name), leftPad(a.version), s.uri, s.suite, strings.Join(s.components[:min(1, len(s.components))], ""))
				}
			}
		}
	}
	return 0
}

func leftPad(s string) string { return strings.Repeat(" ", max(0, 10-len(s))) + s }

// lists are the files of the source's package lists: one for each component, or one for
// an archive that has none.
func (s source) lists() []string {
	if len(s.components) == 0 {
		return []string{s.listName() + "_Packages"}
	}
	var out []string
	for _, component := range s.components {
		out = append(out, s.listName()+"_"+component+"_binary-amd64_Packages")
	}
	return out
}

// listed are the packages in the fetched lists of one source.
func (m *Machine) listed(s source) []dpkgEntry {
	var out []dpkgEntry
	for _, list := range s.lists() {
		for _, p := range paragraphs(m.text("/var/lib/apt/lists/" + list)) {
			if p["Package"] != "" {
				out = append(out, dpkgEntry{p["Package"], "", p["Version"], p["Architecture"], p["Depends"]})
			}
		}
	}
	return out
}

// script runs `sh FILE ARGUMENTS`: NVIDIA's installer, or a file of simple commands.
func (c *call) script(words []string) int {
	data, err := c.m.read(c.abs(words[0]))
	if err != nil {
		c.errorf("sh: 0: cannot open %s: No such file\n", words[0])
		return 2
	}
	if line, is := strings.CutPrefix(string(data), runfileMark); is {
		return c.sub(append([]string{"nvidia-installer", strings.Fields(line)[2]}, words[1:]...)...)
	}
	return c.sub("sh", "-c", string(data))
}
