package lab

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/pkg/sftp"
)

// tree serves the files of one machine. os.Root keeps every path, and every link,
// inside the machine's folder.
type tree struct{ root *os.Root }

func files(root string) (sftp.Handlers, func(), error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return sftp.Handlers{}, nil, err
	}
	t := tree{r}
	return sftp.Handlers{FileGet: t, FilePut: t, FileCmd: t, FileList: t}, func() { _ = r.Close() }, nil
}

// inside is the path below the root.
func inside(p string) string {
	if p = strings.TrimPrefix(path.Clean("/"+p), "/"); p != "" {
		return p
	}
	return "."
}

// Fileread opens a file for reading.
func (t tree) Fileread(r *sftp.Request) (io.ReaderAt, error) { return t.root.Open(inside(r.Filepath)) }

// Filewrite opens a file for writing.
func (t tree) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	want := r.Pflags()
	flags := os.O_WRONLY
	for flag, is := range map[int]bool{os.O_CREATE: want.Creat, os.O_EXCL: want.Excl, os.O_TRUNC: want.Trunc} {
		if is {
			flags |= flag
		}
	}
	return t.root.OpenFile(inside(r.Filepath), flags, 0o600)
}

// Filecmd changes names and modes.
func (t tree) Filecmd(r *sftp.Request) error {
	p := inside(r.Filepath)
	switch r.Method {
	case "Setstat":
		if r.AttrFlags().Permissions {
			return t.root.Chmod(p, r.Attributes().FileMode().Perm())
		}
		return nil
	case "Rename":
		return t.root.Rename(p, inside(r.Target))
	case "Remove":
		return t.root.Remove(p)
	case "Rmdir":
		return t.root.Remove(p)
	case "Mkdir":
		return t.root.Mkdir(p, 0o755)
	}
	return sftp.ErrSSHFxOpUnsupported
}

// Filelist lists folders and describes files.
func (t tree) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	p := inside(r.Filepath)
	switch r.Method {
	case "List":
		d, err := t.root.Open(p)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		infos, err := d.Readdir(-1)
		return listing(infos), err
	case "Stat":
		info, err := t.root.Stat(p)
		return listing{info}, err
	case "Readlink":
		info, err := t.root.Lstat(p)
		return listing{info}, errors.Join(err, sftp.ErrSSHFxOpUnsupported)
	}
	return nil, sftp.ErrSSHFxOpUnsupported
}

// Lstat describes a file itself.
func (t tree) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	info, err := t.root.Lstat(inside(r.Filepath))
	return listing{info}, err
}

type listing []fs.FileInfo

// ListAt copies what is at the offset.
func (l listing) ListAt(out []fs.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(out, l[offset:])
	if n < len(out) {
		return n, io.EOF
	}
	return n, nil
}
