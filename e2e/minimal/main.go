// Command minimal is the smallest program that checks what the benchmark's
// configuration asks for: it reads the wanted state from standard input, compares
// files, packages and the time zone, and prints a line per property. It has no
// protocol, journal or report, and so is the floor for what a helper can cost.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
)

// wanted is the desired state, as the benchmark writes it.
type wanted struct {
	Files []struct {
		Path, Content string
		Mode          uint32
		UID           uint32
	}
	Packages []string
	Timezone string
}

func main() {
	var w wanted
	if err := json.NewDecoder(os.Stdin).Decode(&w); err != nil {
		fmt.Fprintln(os.Stderr, "minimal: read the wanted state:", err)
		os.Exit(1)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, f := range w.Files {
		data, err := os.ReadFile(f.Path)
		fmt.Fprintln(out, f.Path, "content", err == nil && string(data) == f.Content)
		var st syscall.Stat_t
		err = syscall.Lstat(f.Path, &st)
		fmt.Fprintln(out, f.Path, "mode", err == nil && st.Mode&0o7777 == f.Mode)
		fmt.Fprintln(out, f.Path, "owner", err == nil && st.Uid == f.UID)
	}
	status, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		fmt.Fprintln(os.Stderr, "minimal:", err)
	}
	installed := installed(status)
	for _, p := range w.Packages {
		fmt.Fprintln(out, p, "installed", installed[p])
	}
	link, err := os.Readlink("/etc/localtime")
	fmt.Fprintln(out, "timezone", err == nil && link == "/usr/share/zoneinfo/"+w.Timezone)
}

func installed(status []byte) map[string]bool {
	found := map[string]bool{}
	name := ""
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("Package: ")); ok {
			name = string(bytes.TrimSpace(rest))
		}
		if rest, ok := bytes.CutPrefix(line, []byte("Status: ")); ok {
			found[name] = bytes.HasSuffix(bytes.TrimSpace(rest), []byte(" installed"))
		}
	}
	return found
}
