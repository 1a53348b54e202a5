package ssh

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// maxInclude is how deep Include may nest, as in OpenSSH (READCONF_MAX_DEPTH).
const maxInclude = 16

// directive is one line of an ssh configuration.
type directive struct {
	// key is in lower case.
	key  string
	args []string
	file string
	line int
	// included are the files that an Include names, each a list of directives.
	included [][]directive
}

// at says where the directive stands.
func (d directive) at() string { return fmt.Sprintf("%s:%d", d.file, d.line) }

// configReader reads ssh configuration files with what they include.
type configReader struct {
	// home is the user's home directory; systemDir is what an Include of the system's
	// file is relative to.
	home, systemDir string
	env             func(string) string
	warn            func(string)
}

// read returns the directives of a file; a missing file has none.
func (r configReader) read(path string, user bool, depth int) ([]directive, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ssh configuration: %w", err)
	}
	var out []directive
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		d, err := parseDirective(lines.Text())
		d.file, d.line = path, n
		switch {
		case err != nil:
			r.warn(fmt.Sprintf("%s: %v; the line is ignored", d.at(), err))
			continue
		case d.key == "":
			continue
		case d.key == "include" && depth >= maxInclude:
			return nil, fmt.Errorf("read ssh configuration: %s: Include is nested more than %d deep", d.at(), maxInclude)
		case d.key == "include":
			if d.included, err = r.include(d.args, user, depth+1); err != nil {
				return nil, err
			}
		}
		out = append(out, d)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read ssh configuration %s: %w", path, err)
	}
	return out, nil
}

// include reads the files that the patterns of an Include name.
func (r configReader) include(patterns []string, user bool, depth int) ([][]directive, error) {
	var out [][]directive
	for _, p := range patterns {
		p = expandEnv(p, r.env)
		switch {
		case strings.HasPrefix(p, "~/"):
			p = filepath.Join(r.home, p[2:])
		case !filepath.IsAbs(p) && user:
			p = filepath.Join(r.home, ".ssh", p)
		case !filepath.IsAbs(p):
			p = filepath.Join(r.systemDir, p)
		}
		files, err := filepath.Glob(p)
		if err != nil {
			r.warn(fmt.Sprintf("ssh configuration: Include %s: %v", p, err))
		}
		sort.Strings(files)
		for _, f := range files {
			directives, err := r.read(f, user, depth)
			if err != nil {
				return nil, err
			}
			out = append(out, directives)
		}
	}
	return out, nil
}

// parseDirective reads "Key arg…", "Key=arg" and comments.
func parseDirective(line string) (directive, error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return directive{}, nil
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return directive{}, fmt.Errorf("%s has no argument", clean(line))
	}
	key, rest := line[:end], strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	args, err := splitArgs(rest)
	if err != nil {
		return directive{}, fmt.Errorf("%s: %w", clean(key), err)
	}
	if len(args) == 0 {
		return directive{}, fmt.Errorf("%s has no argument", clean(key))
	}
	return directive{key: strings.ToLower(key), args: args}, nil
}

// splitArgs splits the way OpenSSH's argv_split does: quotes group, a backslash
// escapes quotes, spaces and itself, a # that starts a word starts a comment.
func splitArgs(s string) ([]string, error) {
	var out []string
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return out, nil
		}
		word, rest, err := nextArg(s)
		if err != nil {
			return nil, err
		}
		out, s = append(out, word), rest
	}
}

func nextArg(s string) (word, rest string, err error) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
			i++
			b.WriteByte(s[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", errors.New("a quote is not closed")
	}
	return b.String(), "", nil
}

// expandEnv replaces ${NAME} by the environment's value.
func expandEnv(s string, env func(string) string) string {
	var b strings.Builder
	for {
		start := strings.Index(s, "${")
		if start < 0 {
			break
		}
		end := strings.IndexByte(s[start:], '}')
		if end < 0 {
			break
		}
		b.WriteString(s[:start])
		b.WriteString(env(s[start+2 : start+end]))
		s = s[start+end+1:]
	}
	b.WriteString(s)
	return b.String()
}

// globMatch matches OpenSSH's patterns: * is any text, ? any one character, and
// nothing else is special.
func globMatch(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// listMatch matches s against patterns of which those with a leading ! exclude.
func listMatch(patterns []string, s string) bool {
	matched := false
	for _, p := range patterns {
		if negated, ok := strings.CutPrefix(p, "!"); ok {
			if globMatch(negated, s) {
				return false
			}
			continue
		}
		matched = matched || globMatch(p, s)
	}
	return matched
}
