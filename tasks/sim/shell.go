package sim

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// shell runs simple command lines: words, quotes, $NAME and $?, pipes, ; && ||,
// redirections to and from files, 2>&1, and set -e. It knows -c and -e alone. Everything
// else is a syntax error, so that nothing is silently misread.
func shell(c *call) int {
	words := c.argv[1:]
	strict := len(words) > 0 && optionE(words[0])
	for len(words) > 0 && strings.HasPrefix(words[0], "-") && !strings.Contains(words[0], "c") {
		words = words[1:]
	}
	if len(words) > 0 && !strings.HasPrefix(words[0], "-") {
		return c.script(words)
	}
	line := ""
	if len(words) >= 2 && strings.HasPrefix(words[0], "-") {
		line = words[1]
	} else {
		data, err := io.ReadAll(io.LimitReader(c.in, maxOutput))
		if err != nil {
			return c.died(err, 2)
		}
		line = string(data)
	}
	s := &shellRun{call: *c, strict: strict}
	s.env = maps.Clone(c.env)
	if len(words) > 2 {
		s.args = words[2:]
	}
	// A group around everything is how phoenix hands over a script (tasks/interp).
	if body, ok := strings.CutPrefix(line, "{ :; "); ok {
		if body, ok = strings.CutSuffix(body, "\n} </dev/null\n"); ok {
			line, s.in = body, strings.NewReader("")
		}
	}
	code, err := s.line(line)
	if err != nil {
		c.errorf("sh: 1: Syntax error: %v\n", err)
		return 2
	}
	return code
}

type shellRun struct {
	call
	status int
	exited bool
	strict bool     // set -e
	args   []string // $0 and the others
}

// token is a word or, with op, an operator.
type token struct {
	text string
	op   bool
}

// line runs a list of pipelines.
func (s *shellRun) line(text string) (int, error) {
	tokens, err := tokens(text)
	if err != nil {
		return 2, err
	}
	run := true
	for len(tokens) > 0 && !s.exited {
		n := 0
		for n < len(tokens) && !(tokens[n].op && (tokens[n].text == ";" || tokens[n].text == "&&" || tokens[n].text == "||")) {
			n++
		}
		if run && n > 0 {
			if s.status, err = s.pipeline(tokens[:n]); err != nil {
				return 2, err
			}
		}
		if ends := n == len(tokens) || tokens[n].text == ";"; s.strict && ends && run && n > 0 && s.status != 0 {
			break
		}
		if n == len(tokens) {
			break
		}
		switch tokens[n].text {
		case ";":
			run = true
		case "&&":
			run = s.status == 0
		case "||":
			run = s.status != 0
		}
		tokens = tokens[n+1:]
	}
	return s.status, nil
}

// lexer splits a line into words and operators. A dollar sign that is meant as such
// becomes a NUL byte, which expand turns back.
type lexer struct {
	text   string
	at     int
	out    []token
	word   strings.Builder
	inWord bool
}

func tokens(text string) ([]token, error) {
	l := &lexer{text: text}
	for l.at = 0; l.at < len(text); l.at++ {
		if err := l.char(text[l.at]); err != nil {
			return nil, err
		}
	}
	l.end()
	return l.out, keyword(l.out)
}

// keyword refuses what begins a command that is not simple, before anything is run.
func keyword(tokens []token) error {
	first := true
	for _, t := range tokens {
		if first && !t.op && slices.Contains(strings.Fields("if then elif else fi for while until do done case esac function select ! [[ . source eval trap"), t.text) {
			return said("\"" + t.text + "\" unexpected (the simulated shell knows simple command lines only)")
		}
		first = t.op && slices.Contains([]string{";", "|", "&&", "||"}, t.text)
	}
	return nil
}

// optionE tells whether the letters of an option have e among them.
func optionE(word string) bool {
	return strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && strings.Contains(word, "e")
}

// end ends the word, if there is one.
func (l *lexer) end() {
	if l.inWord {
		l.out = append(l.out, token{text: l.word.String()})
	}
	l.word.Reset()
	l.inWord = false
}

func (l *lexer) add(text string) {
	l.word.WriteString(text)
	l.inWord = true
}

// char takes the character at l.at and what belongs to it.
func (l *lexer) char(ch byte) error {
	rest := l.text[l.at+1:]
	switch ch {
	case ' ', '\t':
		l.end()
	case '\n':
		l.end()
		l.out = append(l.out, token{";", true})
	case '#':
		if l.inWord {
			l.add("#")
		} else if n := strings.IndexByte(rest, '\n'); n >= 0 {
			l.at += n
		} else {
			l.at += len(rest)
		}
	case '\'':
		n := strings.IndexByte(rest, '\'')
		if n < 0 {
			return said("Unterminated quoted string")
		}
		l.add(strings.ReplaceAll(rest[:n], "$", "\x00"))
		l.at += n + 1
	case '"':
		n, err := quoted(rest, &l.word)
		l.inWord = true
		l.at += n
		return err
	case '\\':
		if rest != "" {
			l.add(strings.ReplaceAll(rest[:1], "$", "\x00"))
			l.at++
		}
	case '(', ')', '`', '{', '*':
		if n := strings.IndexByte(rest, '}'); ch == '{' && n > 0 && strings.HasSuffix(l.word.String(), "$") && identifier(rest[:n]) {
			l.add("{" + rest[:n+1])
			l.at += n + 1
			return nil
		}
		return said("\"" + string(ch) + "\" unexpected (the simulated shell knows simple command lines only)")
	case ';', '|', '&', '<', '>':
		return l.operator()
	default:
		l.add(string(ch))
	}
	return nil
}

// operator takes an operator, with the 2 before it where it is about stderr.
func (l *lexer) operator() error {
	op := operator(l.text[l.at:])
	if op == "" {
		return said("\"&\" unexpected (the simulated shell runs nothing in the background)")
	}
	l.at += len(op) - 1
	if l.word.String() == "2" && op[0] == '>' {
		l.word.Reset()
		l.inWord = false
		op = "2" + op
		if op == "2>" && strings.HasPrefix(l.text[l.at+1:], "&1") {
			op = "2>&1"
			l.at += 2
		}
	}
	l.end()
	l.out = append(l.out, token{op, true})
	return nil
}

// quoted reads a double-quoted string and returns its length with the closing
// quote.
func quoted(text string, word *strings.Builder) (int, error) {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return i + 1, nil
		case text[i] == '`' || text[i] == '$' && i+1 < len(text) && text[i+1] == '(':
			return 0, errors.New("command substitution unexpected (the simulated shell knows simple command lines only)")
		case text[i] == '\\' && i+1 < len(text) && strings.IndexByte(`"\$`, text[i+1]) >= 0:
			i++
			word.WriteString(strings.ReplaceAll(text[i:i+1], "$", "\x00"))
		default:
			word.WriteByte(text[i])
		}
	}
	return 0, said("Unterminated quoted string")
}

func operator(text string) string {
	for _, op := range []string{"&&", "||", ">>", ";", "|", "<", ">"} {
		if strings.HasPrefix(text, op) {
			return op
		}
	}
	return ""
}

// expand fills in $NAME, ${NAME} and $? in a word.
func (s *shellRun) expand(word string) string {
	word = os.Expand(word, func(name string) string {
		if name == "?" {
			return strconv.Itoa(s.status)
		}
		if name == "0" && len(s.args) > 0 {
			return s.args[0]
		}
		return s.env[name]
	})
	return strings.ReplaceAll(word, "\x00", "$")
}

// pipeline runs programs one after the other, each on the output of the last.
func (s *shellRun) pipeline(tokens []token) (int, error) {
	var input io.Reader = s.in
	for {
		n := 0
		for n < len(tokens) && !(tokens[n].op && tokens[n].text == "|") {
			n++
		}
		last := n == len(tokens)
		var between bytes.Buffer
		out := s.out
		if !last {
			out = &between
		}
		code, err := s.simple(tokens[:n], input, out)
		if err != nil || last {
			return code, err
		}
		input, tokens = &between, tokens[n+1:]
	}
}

// simple runs one program with its redirections.
func (s *shellRun) simple(tokens []token, in io.Reader, out io.Writer) (int, error) {
	d := s.call
	d.in, d.out, d.argv = in, out, nil
	d.env = maps.Clone(s.env)
	var saves []func() error
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if t.text == "$@" && len(s.args) > 0 {
			d.argv = append(d.argv, s.args[1:]...)
			continue
		}
		if !t.op {
			d.argv = append(d.argv, s.expand(t.text))
			continue
		}
		if t.text == "2>&1" {
			d.err = d.out
			continue
		}
		if i++; i == len(tokens) || tokens[i].op {
			return 2, errors.New("newline unexpected")
		}
		save, err := d.redirect(t.text, d.abs(s.expand(tokens[i].text)))
		if err != nil {
			s.errorf("sh: 1: cannot open %s: No such file\n", tokens[i].text)
			return 2, nil
		}
		saves = append(saves, save)
	}
	code := s.start(&d)
	for _, save := range saves {
		if err := save(); err != nil {
			return s.died(err, 2), nil
		}
	}
	return code, nil
}

// redirect points a stream of the call to a file; save ends it.
func (c *call) redirect(op, file string) (save func() error, err error) {
	if op == "<" {
		data, err := c.m.read(file)
		c.in = bytes.NewReader(data)
		return func() error { return nil }, err
	}
	var buffer bytes.Buffer
	if strings.HasSuffix(op, ">>") {
		buffer.WriteString(c.m.text(file))
	}
	if strings.HasPrefix(op, "2") {
		c.err = &buffer
	} else {
		c.out = &buffer
	}
	if file == "/dev/null" {
		return func() error { return nil }, nil
	}
	return func() error { return c.m.write(file, buffer.Bytes(), 0o644) }, nil
}

// start runs assignments, the built-in commands, or a program.
func (s *shellRun) start(d *call) int {
	for len(d.argv) > 0 {
		name, value, ok := strings.Cut(d.argv[0], "=")
		if !ok || !identifier(name) {
			break
		}
		d.env[name] = value
		if len(d.argv) == 1 {
			s.env[name] = value
			return 0
		}
		d.argv = d.argv[1:]
	}
	switch {
	case len(d.argv) == 0:
		return 0
	case d.argv[0] == "exit":
		s.exited = true
		if len(d.argv) > 1 {
			if n, err := strconv.Atoi(d.argv[1]); err == nil {
				return n & 0xff
			}
		}
		return s.status
	case d.argv[0] == "cd" && len(d.argv) == 2:
		s.dir = d.abs(d.argv[1])
		return 0
	case d.argv[0] == "set":
		for _, w := range d.argv[1:] {
			s.strict = s.strict && !strings.HasPrefix(w, "+e") || optionE(w)
		}
		return 0
	case d.argv[0] == "export":
		for _, w := range d.argv[1:] {
			if name, value, ok := strings.Cut(w, "="); ok {
				s.env[name] = value
			}
		}
		return 0
	case d.argv[0] == ":":
		return 0
	}
	if _, ok := s.m.find(d.argv[0]); !ok {
		why := ""
		if _, known := programs()[d.argv[0]]; !known && !strings.Contains(d.argv[0], "/") {
			why = " (or not simulated)"
		}
		d.errorf("sh: 1: %s: not found%s\n", d.argv[0], why)
		return 127
	}
	return d.run()
}

func identifier(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == "" && (s[0] < '0' || s[0] > '9')
}
