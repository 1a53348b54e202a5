package sim

import (
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// timeZones are the zones that a machine has, host or guest.
func timeZones() []string {
	return strings.Fields("Etc/UTC UTC Europe/Berlin Europe/Vienna Europe/London Europe/Paris America/New_York America/Los_Angeles Asia/Tokyo Asia/Singapore Australia/Sydney")
}

// options splits the words of a program into the letters of its options, of which it
// knows some, and the others. One that it does not know ends it.
func (c *call) options(known string) (flags string, words []string, ok bool) {
	for i, w := range c.argv[1:] {
		switch {
		case w == "--":
			return flags, append(words, c.argv[i+2:]...), true
		case len(w) < 2 || w[0] != '-':
			words = append(words, w)
		case strings.Trim(w[1:], known) != "":
			c.errorf("%[1]s: invalid option -- '%[2]s' (the simulated one knows -%[3]s)\nTry '%[1]s --help' for more information.\n", c.argv[0], strings.Trim(w[1:], known)[:1], known)
			return "", nil, false
		default:
			flags += w[1:]
		}
	}
	if len(words) == 0 && !strings.Contains(flags, "f") {
		c.errorf("%[1]s: missing operand\nTry '%[1]s --help' for more information.\n", c.argv[0])
		return "", nil, false
	}
	return flags, words, true
}

// below runs do with the machine's tree, which no link leads out of, and the path in it
// that a word names.
func (c *call) below(word string, do func(r *os.Root, at string) error) error {
	r, err := os.OpenRoot(c.m.Root)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it holds nothing that could be lost
	at := strings.TrimPrefix(c.abs(word), "/")
	if at == "" {
		at = "."
	}
	return c.m.exclusive(func() error { return do(r, at) })
}

// reason is what the kernel says of an error.
func reason(err error) string {
	text := err.Error()
	text = text[strings.LastIndex(text, ": ")+1:]
	text = strings.TrimSpace(text)
	return strings.ToUpper(text[:1]) + text[1:]
}

// mkdir knows -p.
func mkdir(c *call) int {
	flags, words, ok := c.options("p")
	if !ok {
		return 1
	}
	code := 0
	for _, w := range words {
		err := c.below(w, func(r *os.Root, at string) error {
			if strings.Contains(flags, "p") {
				return r.MkdirAll(at, 0o755)
			}
			return r.Mkdir(at, 0o755)
		})
		if err != nil {
			code = c.complain(1, "cannot create directory '%s': %s", w, reason(err))
		}
	}
	return code
}

// rm knows -r and -f.
func rm(c *call) int {
	flags, words, ok := c.options("rRf")
	if !ok {
		return 1
	}
	code := 0
	for _, w := range words {
		err := c.below(w, func(r *os.Root, at string) error {
			info, err := r.Lstat(at)
			switch {
			case os.IsNotExist(err) && strings.Contains(flags, "f"):
				return nil
			case err != nil:
				return err
			case !strings.ContainsAny(flags, "rR") && info.IsDir():
				return said("Is a directory")
			}
			return r.RemoveAll(at)
		})
		if err != nil {
			code = c.complain(1, "cannot remove '%s': %s", w, reason(err))
		}
	}
	return code
}

// chmod knows modes in octal and such as u+rwx,go-w, and -R.
func chmod(c *call) int {
	words := c.argv[1:]
	all := len(words) > 0 && words[0] == "-R"
	if all {
		words = words[1:]
	}
	if len(words) < 2 {
		return c.complain(1, "missing operand")
	}
	if _, ok := changedMode(0, words[0]); !ok {
		return c.complain(1, "invalid mode: '%s'", words[0])
	}
	return c.eachFile(words[1:], all, func(r *os.Root, at string, info fs.FileInfo) error {
		mode, _ := changedMode(info.Mode(), words[0])
		return r.Chmod(at, mode)
	})
}

// eachFile does something with files and, with all, what is below them.
func (c *call) eachFile(words []string, all bool, do func(r *os.Root, at string, info fs.FileInfo) error) int {
	code := 0
	for _, w := range words {
		err := c.below(c.m.behind(c.abs(w)), func(r *os.Root, at string) error {
			return fs.WalkDir(r.FS(), at, func(p string, e fs.DirEntry, err error) error {
				if err != nil || e.Type()&fs.ModeSymlink != 0 {
					return err
				}
				info, err := e.Info()
				if err == nil {
					err = do(r, p, info)
				}
				if err == nil && e.IsDir() && !all {
					return fs.SkipDir
				}
				return err
			})
		})
		if err != nil {
			code = c.complain(1, "cannot access '%s': %s", w, reason(err))
		}
	}
	return code
}

// special are the bits of a mode beyond those of permission, from 01000 on.
func special() []fs.FileMode { return []fs.FileMode{fs.ModeSticky, fs.ModeSetgid, fs.ModeSetuid} }

// changedMode is a mode after what chmod was told.
func changedMode(now fs.FileMode, to string) (fs.FileMode, bool) {
	if n, err := strconv.ParseUint(to, 8, 12); err == nil {
		mode := fs.FileMode(n) & fs.ModePerm
		for i, bit := range special() {
			if n&(0o1000<<i) != 0 {
				mode |= bit
			}
		}
		return mode, true
	}
	for clause := range strings.SplitSeq(to, ",") {
		i := strings.IndexAny(clause, "+-=")
		if i < 0 || strings.Trim(clause[:i], "ugoa") != "" || strings.Trim(clause[i+1:], "rwx") != "" {
			return 0, false
		}
		who, bits, mask := clause[:i], fs.FileMode(0), fs.FileMode(0)
		for j, letter := range "xwr" {
			if strings.ContainsRune(clause[i+1:], letter) {
				bits |= 0o111 << j
			}
		}
		for j, letter := range "ogu" {
			if who == "" || strings.ContainsAny(who, "a"+string(letter)) {
				mask |= 0o7 << (3 * j)
			}
		}
		switch clause[i] {
		case '+':
			now |= bits & mask
		case '-':
			now &^= bits & mask
		case '=':
			now = now&^mask | bits&mask
		}
	}
	return now, true
}

// chown knows USER, USER:GROUP and :GROUP, by name or number, and -R.
func chown(c *call) int {
	words := c.argv[1:]
	all := len(words) > 0 && words[0] == "-R"
	if all {
		words = words[1:]
	}
	if len(words) < 2 {
		return c.complain(1, "missing operand")
	}
	user, group, _ := strings.Cut(words[0], ":")
	uid, userThere := c.number(passwdFile, user)
	gid, groupThere := c.number("/etc/group", group)
	if !userThere {
		return c.complain(1, "invalid user: '%s'", words[0])
	}
	if !groupThere {
		return c.complain(1, "invalid group: '%s'", words[0])
	}
	var files []string
	code := c.eachFile(words[1:], all, func(_ *os.Root, at string, _ fs.FileInfo) error {
		files = append(files, path.Join("/", at))
		return nil
	})
	h := c.m.Host()
	for _, file := range files {
		info, err := h.Stat(file)
		if err != nil {
			return c.died(err, 1)
		}
		owner := tasks.Owner{UID: info.UID, GID: info.GID}
		if user != "" {
			owner.UID = uid
		}
		if group != "" {
			owner.GID = gid
		}
		if err := c.m.give(file, owner); err != nil {
			return c.died(err, 1)
		}
	}
	return code
}

// number is that of a user or a group; "" is nobody in particular.
func (c *call) number(file, name string) (int, bool) {
	if n, err := strconv.Atoi(name); err == nil || name == "" {
		return n, true
	}
	table := c.m.table(file)
	i := table.row(name)
	if i < 0 || len(table[i]) < 3 {
		return 0, false
	}
	n, err := strconv.Atoi(table[i][2])
	return n, err == nil
}

// testProgram is test, and [ with its bracket.
func testProgram(c *call) int {
	words := c.argv[1:]
	if filepath.Base(c.argv[0]) == "[" {
		if len(words) == 0 || words[len(words)-1] != "]" {
			return c.complain(2, "missing ]")
		}
		words = words[:len(words)-1]
	}
	not := false
	for len(words) > 1 && words[0] == "!" {
		not, words = !not, words[1:]
	}
	holds, fault := c.holds(words)
	switch {
	case fault != "":
		return c.complain(2, "%s", fault)
	case holds == not:
		return 1
	}
	return 0
}

// holds evaluates one condition.
func (c *call) holds(words []string) (holds bool, fault string) {
	switch len(words) {
	case 0:
		return false, ""
	case 1:
		return words[0] != "", ""
	case 2:
		return c.holdsOf(words[0], words[1])
	case 3:
	default:
		return false, "too many arguments (the simulated one knows one condition)"
	}
	a, op, b := words[0], words[1], words[2]
	switch op {
	case "=", "==":
		return a == b, ""
	case "!=":
		return a != b, ""
	}
	signs := map[string][]int{"-eq": {0}, "-ne": {-1, 1}, "-lt": {-1}, "-le": {-1, 0}, "-gt": {1}, "-ge": {0, 1}}[op]
	if signs == nil {
		return false, op + ": unexpected operator"
	}
	x, err := strconv.Atoi(a)
	if err != nil {
		return false, "Illegal number: " + a
	}
	y, err := strconv.Atoi(b)
	if err != nil {
		return false, "Illegal number: " + b
	}
	sign := 0
	if x < y {
		sign = -1
	} else if x > y {
		sign = 1
	}
	return slices.Contains(signs, sign), ""
}

// holdsOf evaluates a condition about one text or file.
func (c *call) holdsOf(op, word string) (holds bool, fault string) {
	file := c.m.path(c.m.behind(c.abs(word)))
	if op == "-L" || op == "-h" {
		file = c.m.path(c.abs(word))
	}
	info, err := os.Lstat(file)
	there := err == nil
	switch op {
	case "-n":
		return word != "", ""
	case "-z":
		return word == "", ""
	case "-e", "-r", "-w": // root may read and write everything
		return there, ""
	case "-f":
		return there && info.Mode().IsRegular(), ""
	case "-d":
		return there && info.IsDir(), ""
	case "-x":
		return there && info.Mode()&0o111 != 0, ""
	case "-s":
		return there && info.Size() > 0, ""
	case "-L", "-h":
		return there && info.Mode()&fs.ModeSymlink != 0, ""
	}
	return false, op + ": unexpected operator"
}

// wc counts lines, words and bytes: -l, -w, -c.
func wc(c *call) int {
	var files []string
	flags := ""
	for _, w := range c.argv[1:] {
		if len(w) > 1 && w[0] == '-' {
			flags += w[1:]
		} else {
			files = append(files, w)
		}
	}
	if len(files) == 0 {
		files = []string{"-"}
	}
	code := 0
	for _, file := range files {
		code = max(code, c.inputs([]string{file}, func(r io.Reader) error {
			data, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			var out []string
			for _, n := range []struct {
				flag  string
				count int
			}{{"l", strings.Count(string(data), "\n")}, {"w", len(strings.Fields(string(data)))}, {"c", len(data)}} {
				if flags == "" || strings.Contains(flags, n.flag) {
					out = append(out, strconv.Itoa(n.count))
				}
			}
			if file != "-" {
				out = append(out, file)
			}
			c.printf("%s\n", strings.Join(out, " "))
			return nil
		}))
	}
	return code
}
