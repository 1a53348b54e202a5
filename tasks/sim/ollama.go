package sim

import (
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// ollamaMark begins the simulated archive of a release of Ollama.
const ollamaMark = "simulated archive of ollama "

// ollamaRelease is the archive of a release: with zstd from 0.14.0 on.
func ollamaRelease(url string) []byte {
	f := regexp.MustCompile(`^https://github\.com/ollama/ollama/releases/download/v([0-9.]+)/ollama-linux-amd64\.(tar\.zst|tgz)$`).FindStringSubmatch(url)
	if f == nil || (f[2] == "tgz") != regexp.MustCompile(`^0\.([0-9]|1[0-3])\.`).MatchString(f[1]) {
		return nil
	}
	return []byte(ollamaMark + f[1] + "\n" + f[2] + "\n")
}

// ollamaSums is the list of checksums of a release.
func ollamaSums(url string) string {
	base, is := strings.CutSuffix(url, "/sha256sum.txt")
	if !is {
		return ""
	}
	out := ""
	for _, name := range []string{"ollama-linux-amd64.tar.zst", "ollama-linux-amd64.tgz"} {
		if data := ollamaRelease(base + "/" + name); data != nil {
			out += fmt.Sprintf("%x  ./%s\n", sha256.Sum256(data), name)
		}
	}
	return out
}

// tarProgram unpacks a release of Ollama, and no other archive.
func tarProgram(c *call) int {
	file, dir := valueOf(c.argv, "--file", ""), valueOf(c.argv, "--directory", "/")
	data, err := c.m.read(c.abs(file))
	if err != nil {
		c.errorf("tar: %s: Cannot open: No such file or directory\ntar: Error is not recoverable: exiting now\n", file)
		return 2
	}
	version, marked := strings.CutPrefix(string(data), ollamaMark)
	version, whole := strings.CutSuffix(version, "\n")
	if !marked || !whole || !strings.Contains(version, "\n") {
		c.errorf("tar: This does not look like a tar archive\ntar: Exiting with failure status due to previous errors\n")
		return 2
	}
	version, form, _ := strings.Cut(version, "\n")
	if form == "tar.zst" && !c.m.packaged([]string{"zstd"}) {
		c.errorf("tar (child): zstd: Cannot exec: No such file or directory\ntar: Child returned status 2\n")
		return 2
	}
	if err := c.m.write(path.Join(dir, "lib/ollama/libggml-base.so"), []byte("\x7fELF simulated\n"), 0o755); err != nil {
		return c.died(err, 2)
	}
	return c.died(c.m.write(path.Join(dir, "bin/ollama"), []byte("\x7fELF simulated "+version+"\n"), 0o755), 2)
}

// ollamaProgram knows `ollama pull NAME`, which the server does.
func ollamaProgram(c *call) int {
	if len(c.argv) != 3 || c.argv[1] != "pull" {
		return c.complain(1, "only pull is simulated")
	}
	at := c.env["OLLAMA_HOST"]
	if at == "" {
		at = "127.0.0.1:11434"
	}
	if ollamaServer(c.m, at[strings.LastIndex(at, ":")+1:]) == nil {
		c.errorf("Error: could not connect to ollama server, run 'ollama serve' to start it\n")
		return 1
	}
	name, tag, _ := strings.Cut(c.argv[2], ":")
	if tag == "" {
		tag = "latest"
	}
	if _, offline := c.struck("", FaultDownload); offline || name == "nosuch" {
		c.errorf("Error: pull model manifest: file does not exist\n")
		return 1
	}
	_, env := c.m.unitCommand("ollama.service")
	c.errorf("pulling manifest\nverifying sha256 digest\nwriting manifest\nsuccess\n")
	return c.died(c.m.write(env["OLLAMA_MODELS"]+"/manifests/registry.ollama.ai/library/"+name+"/"+tag, []byte("{}\n"), 0o644), 1)
}
