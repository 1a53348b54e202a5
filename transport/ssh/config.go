package ssh

import (
	"fmt"
	"strings"
)

// How the ssh configuration is read.
//
// The own reader parses ~/.ssh/config and /etc/ssh/ssh_config once and evaluates
// them for each host. It knows every directive that decides how a host is reached
// and Match with all, host, originalhost, user and localuser. Where a file asks for
// more (Match exec, canonical, final, …), OpenSSH itself is asked, by ssh -G HOST, one
// process for each distinct host; where there is no OpenSSH, that Match does not
// apply and a warning says so. A thousand hosts with an ordinary configuration thus
// start no process at all, and TestOpenSSHReadsTheSame holds the two to one answer.

// settings are what the ssh configuration says about a host; the zero value of a
// field means that it says nothing.
type settings struct {
	hostName, user, port string
	identityFiles        []string
	certificateFiles     []string
	identitiesOnly       string
	identityAgent        string
	proxyJump            string
	proxyCommand         string
	userKnownHosts       []string
	globalKnownHosts     []string
	strictHostKey        string
	hashKnownHosts       string
	hostKeyAlias         string
	connectTimeout       string
}

// first sets a value that nothing has set yet: in ssh_config the first one counts.
func first(field *string, args []string) {
	if *field == "" && len(args) > 0 {
		*field = args[0]
	}
}

func firstList(field *[]string, args []string) {
	if *field == nil {
		*field = args
	}
}

// set takes one directive; false means that the reader does not know it.
func (s *settings) set(key string, args []string) bool {
	switch key {
	case "hostname":
		first(&s.hostName, args)
	case "user":
		first(&s.user, args)
	case "port":
		first(&s.port, args)
	case "identityfile":
		s.identityFiles = append(s.identityFiles, args[0])
	case "certificatefile":
		s.certificateFiles = append(s.certificateFiles, args[0])
	case "identitiesonly":
		first(&s.identitiesOnly, args)
	case "identityagent":
		first(&s.identityAgent, args)
	case "proxyjump", "proxycommand":
		s.setProxy(key, args)
	case "userknownhostsfile":
		firstList(&s.userKnownHosts, args)
	case "globalknownhostsfile":
		firstList(&s.globalKnownHosts, args)
	case "stricthostkeychecking":
		first(&s.strictHostKey, args)
	case "hashknownhosts":
		first(&s.hashKnownHosts, args)
	case "hostkeyalias":
		first(&s.hostKeyAlias, args)
	case "connecttimeout":
		first(&s.connectTimeout, args)
	default:
		return false
	}
	return true
}

// setProxy takes ProxyJump and ProxyCommand, of which the first one excludes the
// other.
func (s *settings) setProxy(key string, args []string) {
	switch {
	case s.proxyJump != "" || s.proxyCommand != "":
	case key == "proxyjump":
		s.proxyJump = args[0]
	default:
		s.proxyCommand = strings.Join(args, " ")
	}
}

// heeded are directives that decide how or whether a host is reached and that
// Phoenix does not follow; each use is worth a warning. Whatever is neither here nor
// in settings.set concerns terminals, forwarding, multiplexing or speed.
func heeded(key string) bool {
	switch key {
	case "addressfamily", "bindaddress", "bindinterface", "canonicalizehostname", "ciphers",
		"gssapiauthentication", "hostbasedauthentication", "hostkeyalgorithms", "casignaturealgorithms",
		"kexalgorithms", "knownhostscommand", "macs", "pkcs11provider", "proxyusefdpass",
		"revokedhostkeys", "securitykeyprovider", "usekeychain", "verifyhostkeydns":
		return true
	}
	return false
}

// harmless tells whether a heeded directive has a value that changes nothing.
func harmless(d directive) bool {
	switch d.key {
	case "gssapiauthentication", "usekeychain":
		// Debian's own ssh_config sets the first; the agent covers the second.
		return true
	case "addressfamily":
		return strings.EqualFold(d.args[0], "any")
	}
	return strings.EqualFold(d.args[0], "no") || strings.EqualFold(d.args[0], "none")
}

// evaluation is one host's pass over the configuration.
type evaluation struct {
	// original is the name as it was asked for; host is what HostName made of it.
	original, user, localUser string
	settings                  settings
	// beyond is the place of the first Match that the own reader cannot evaluate.
	beyond string
	warn   func(string)
}

// run evaluates one file. Blocks inside an inactive Include never match.
func (e *evaluation) run(file []directive, enclosing bool) {
	active := enclosing
	for _, d := range file {
		switch d.key {
		case "host":
			active = enclosing && listMatch(d.args, e.original)
		case "match":
			active = enclosing && e.match(d)
		case "include":
			for _, f := range d.included {
				e.run(f, active)
			}
		default:
			if !active || e.settings.set(d.key, d.args) || !heeded(d.key) || harmless(d) {
				continue
			}
			e.warn(fmt.Sprintf("%s: %s is not followed by phoenix", d.at(), d.key))
		}
	}
}

// match evaluates a Match line from left to right; the first criterion that is
// false decides.
func (e *evaluation) match(d directive) bool {
	for i := 0; i < len(d.args); i++ {
		name, negated := strings.CutPrefix(strings.ToLower(d.args[i]), "!")
		if name == "all" {
			continue
		}
		name, arg, inline := strings.Cut(name, "=")
		if inline {
			_, arg, _ = strings.Cut(d.args[i], "=")
		} else if i+1 < len(d.args) {
			i++
			arg = d.args[i]
		}
		subject, known := e.subject(name)
		if !known {
			if e.beyond == "" {
				e.beyond = fmt.Sprintf("%s: Match %s", d.at(), name)
			}
			return false
		}
		if listMatch(lowerAll(strings.Split(arg, ",")), strings.ToLower(subject)) == negated {
			return false
		}
	}
	return true
}

// subject is what a criterion of Match looks at.
func (e *evaluation) subject(criterion string) (string, bool) {
	switch criterion {
	case "host":
		if e.settings.hostName != "" {
			return tokens{'h': e.original, 'n': e.original}.expand(e.settings.hostName), true
		}
		return e.original, true
	case "originalhost":
		return e.original, true
	case "user":
		return e.loginUser(), true
	case "localuser":
		return e.localUser, true
	}
	return "", false
}

func (e *evaluation) loginUser() string {
	switch {
	case e.user != "":
		return e.user
	case e.settings.user != "":
		return e.settings.user
	}
	return e.localUser
}

// tokens are the % escapes of ssh_config(5) by their letter.
type tokens map[byte]string

// expand replaces the escapes it knows and leaves the others.
func (t tokens) expand(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+1 < len(s) {
			if value, ok := t[s[i+1]]; ok {
				b.WriteString(value)
				i++
				continue
			}
			if s[i+1] == '%' {
				i++
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func lowerAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}
