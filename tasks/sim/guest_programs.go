package sim

import (
	"os"
	"strings"
)

// touch makes the files that are missing.
func (c *call) touch() int {
	for _, file := range c.argv[1:] {
		if c.m.exists(file) {
			continue
		}
		if err := c.m.write(file, nil, 0o644); err != nil {
			c.errorf("touch: cannot touch '%s': %v\n", file, err)
			return 1
		}
	}
	return 0
}

// nproc knows one processor only.
func nproc(c *call) int {
	c.printf("1\n")
	return 0
}

// ln makes a symbolic link: ln -s, -sf, -sfn TARGET LINK.
func ln(c *call) int {
	var words []string
	flags := ""
	for _, w := range c.argv[1:] {
		if strings.HasPrefix(w, "-") {
			flags += w
		} else {
			words = append(words, w)
		}
	}
	if !strings.Contains(flags, "s") || len(words) != 2 {
		return c.complain(1, "missing file operand")
	}
	link := c.abs(words[1])
	if st, err := os.Stat(c.m.path(link)); err == nil && st.IsDir() && !strings.Contains(flags, "n") {
		return c.complain(1, "%s: is a directory, which is not simulated", words[1])
	}
	return c.died(c.m.exclusive(func() error {
		if c.m.exists(link) && !strings.Contains(flags, "f") {
			return os.ErrExist
		}
		if err := os.RemoveAll(c.m.path(link)); err != nil {
			return err
		}
		return os.Symlink(words[0], c.m.path(link))
	}), 1)
}
