package daemon

import (
	"fmt"
	"strings"

	"phoenix/tasks"
)

// unit is the text of the unit file.
func (s *Service) unit() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by phoenix, which undoes changes by hand.")
	line("[Unit]\nDescription=%s\nWants=network-online.target\nAfter=network-online.target\n", escape(s.Description))
	line("[Service]\nType=exec\nStateDirectory=%s\nWorkingDirectory=%s", s.stateDirectory(), escape(s.workingDirectory()))
	if s.user() != root {
		// A home directory that exists and may be written to: the account has none.
		line("User=%s\nEnvironment=%s", s.user(), quote("HOME="+s.State()))
	}
	for _, name := range tasks.Keys(s.Environment) {
		line("Environment=%s", quote(name+"="+s.Environment[name]))
	}
	if len(s.Secrets) > 0 {
		line("EnvironmentFile=%s", s.secretsFile())
	}
	words := []string{quote(s.Command[0])}
	for _, w := range s.Command[1:] {
		words = append(words, quote(strings.ReplaceAll(w, "$", "$$")))
	}
	line("ExecStart=%s\nRestart=on-failure\nRestartSec=5", strings.Join(words, " "))
	// None of these needs a mount namespace of its own, which a container without nesting
	// may not make: the service would end with 226/NAMESPACE (systemd.exec(5)).
	line("UMask=0027\nNoNewPrivileges=yes\nLockPersonality=yes\nRestrictRealtime=yes\nRestrictSUIDSGID=yes\nSystemCallArchitectures=native")
	if s.user() != root {
		line("CapabilityBoundingSet=")
	}
	line("\n[Install]\nWantedBy=multi-user.target")
	return b.String()
}

// escape keeps systemd from taking % for one of its specifiers.
func escape(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// quote is one word as systemd.syntax(7) reads it. What breaks a line cannot be written;
// Validate refuses it.
func quote(word string) string {
	if word != "" && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@+=:,./-$") == "" {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(escape(word)) + `"`
}

// envLine is one line of an EnvironmentFile: in double quotes, a backslash has these four
// mean themselves (systemd.exec(5)).
func envLine(name, value string) string {
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(value) + "\"\n"
}
