// Package dropin lists the files that a program of Debian's reads from its several
// folders: /etc/NAME.d, /run/NAME.d, /usr/lib/NAME.d.
//
// It knows the order in which they are read and which file hides which, as systemd
// and kmod do it, and nothing of what is in them. Start reading at Read.
package dropin

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"phoenix/tasks"
)

// File is one file with its content.
type File struct {
	Path string
	Data []byte
}

// Read returns the files whose names end like ext, in the order of their names. Of two
// with the same name, the one in the folder that is named first hides the other; a
// link to /dev/null hides as well and has nothing to say. Missing folders are empty.
func Read(h tasks.Host, ext string, dirs ...string) ([]File, error) {
	at := make(map[string]string)
	for _, dir := range dirs {
		names, err := h.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list %s: %w", dir, err)
		}
		for _, n := range names {
			if _, hidden := at[n]; !hidden && strings.HasSuffix(n, ext) && !strings.HasPrefix(n, ".") {
				at[n] = path.Join(dir, n)
			}
		}
	}
	var out []File
	for _, n := range tasks.Keys(at) {
		fi, err := h.Stat(at[n])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if fi.Target == "/dev/null" || fi.Mode.IsDir() {
			continue
		}
		// A link to nothing is skipped by the programs, too.
		data, there, err := tasks.ReadIfExists(h, at[n])
		if err != nil {
			return nil, err
		}
		if there {
			out = append(out, File{Path: at[n], Data: data})
		}
	}
	return out, nil
}

// Folders are those of NAME.d in the order of systemd and of kmod, the strongest first.
// /lib is the same as /usr/lib on a machine with merged folders.
func Folders(name string) []string {
	return []string{"/etc/" + name, "/run/" + name, "/usr/local/lib/" + name, "/usr/lib/" + name, "/lib/" + name}
}
