package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// maxJumps bounds a chain of jump hosts, and so a configuration in which two hosts
// name each other.
const maxJumps = 8

// hop is one host on the way, and how to log in there.
type hop struct {
	// name is what messages call it.
	name       string
	host, port string
	// instead is what is connected to in place of host, if set.
	instead string
	user    string
	// pinned is the only host key to accept, if set.
	pinned xssh.PublicKey
	// alias stands for the address in known_hosts (HostKeyAlias).
	alias      string
	knownHosts []string
	acceptNew  bool
	hashNew    bool

	// identities are the keys that somebody named; without any, the defaults are
	// tried.
	identities []string
	// extra are keys to offer besides; they do not replace the defaults.
	extra          []string
	certificates   []string
	identitiesOnly bool
	agent          string

	// limit is ConnectTimeout, 0 when it says nothing.
	limit time.Duration
	// through tells that there is a jump host before this one.
	through bool
}

// address is host:port as the network takes it.
func (h *hop) address() string { return net.JoinHostPort(orDefault(h.instead, h.host), h.port) }

// id tells hops apart for sharing connections.
func (h *hop) id() string { return h.user + "@" + h.address() }

// timeout is the shorter of the configuration's ConnectTimeout and d.
func (h *hop) timeout(d time.Duration) time.Duration {
	if h.limit > 0 {
		return min(h.limit, d)
	}
	return d
}

// endpoint is a host as somebody wrote it.
type endpoint struct{ user, host, port string }

// parseEndpoint reads [user@]host[:port], with brackets around an IPv6 address that
// has a port, and ssh:// before it.
func parseEndpoint(s string) (endpoint, error) {
	var e endpoint
	rest := strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		e.user, rest = rest[:at], rest[at+1:]
	}
	e.host = rest
	if host, port, err := net.SplitHostPort(rest); err == nil {
		e.host, e.port = host, port
	}
	e.host = strings.TrimSuffix(strings.TrimPrefix(e.host, "["), "]")
	if err := e.check(); err != nil {
		return endpoint{}, fmt.Errorf("read host %q: %w", clean(s), err)
	}
	return e, nil
}

// check refuses what could be an option of a program or reach into known_hosts.
func (e endpoint) check() error {
	bad := func(s string) bool {
		return strings.HasPrefix(s, "-") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`,*?!|"'`, r) })
	}
	switch {
	case e.host == "":
		return errors.New("the address is empty")
	case bad(e.host):
		return fmt.Errorf("%q is not an address", clean(e.host))
	case bad(e.user):
		return fmt.Errorf("%q is not a user name", clean(e.user))
	}
	if e.port == "" {
		return nil
	}
	if n, err := strconv.Atoi(e.port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q is not a port; it is a number from 1 to 65535", clean(e.port))
	}
	return nil
}

// route lists the hosts on the way to t, t last.
func (d *Dialer) route(ctx context.Context, t transport.Target) ([]*hop, error) {
	e := endpoint{user: t.User, host: t.Address}
	if t.Port != 0 {
		e.port = strconv.Itoa(t.Port)
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	last, s, err := d.hop(ctx, e)
	if err != nil {
		return nil, err
	}
	last.name, last.instead = orDefault(t.Name, t.Address), t.Instead
	if len(t.IdentityFiles) > 0 {
		last.identities = d.paths(nil, t.IdentityFiles)
	}
	if t.HostKey != "" {
		if last.pinned, err = parseHostKey(t.HostKey); err != nil {
			return nil, &transport.DialError{Stage: transport.StageHostKey, Err: err}
		}
	}
	hops, err := d.way(ctx, t, last, s)
	if err != nil {
		return nil, err
	}
	last.through = len(hops) > 0
	return append(hops, last), nil
}

// way lists the jump hosts before the last hop: the target's own; where it names
// none, the configuration's. "none" is a way without any.
func (d *Dialer) way(ctx context.Context, t transport.Target, last *hop, s settings) ([]*hop, error) {
	jumps, err := t.Jump, error(nil)
	switch {
	case len(jumps) == 0:
		jumps, err = configuredJumps(last, s)
	case len(jumps) == 1 && strings.EqualFold(jumps[0], Never):
		jumps = nil
	}
	if err != nil {
		return nil, err
	}
	hops, err := d.jumpRoute(ctx, jumps, maxJumps)
	if err != nil {
		return nil, fmt.Errorf("find the way to %s: %w", last.name, err)
	}
	for _, h := range hops {
		if len(t.Jump) > 0 {
			// Who names the way and the key in one place means the key for the way, too.
			h.extra = d.paths(nil, t.IdentityFiles)
		}
	}
	return hops, nil
}

// jumpRoute lists the jump hosts. The first one may have a jump host of its own in
// the configuration, the others are reached through the one before them.
func (d *Dialer) jumpRoute(ctx context.Context, jumps []string, left int) ([]*hop, error) {
	if len(jumps) > left {
		return nil, fmt.Errorf("more than %d jump hosts; does one of them name itself as its ProxyJump?", maxJumps)
	}
	var hops []*hop
	for i, j := range jumps {
		e, err := parseEndpoint(j)
		if err != nil {
			return nil, err
		}
		h, s, err := d.hop(ctx, e)
		if err != nil {
			return nil, err
		}
		h.name = e.host
		h.through = i > 0
		if i == 0 {
			own, err := configuredJumps(h, s)
			if err != nil {
				return nil, err
			}
			// "Host *" with a ProxyJump also covers the jump host.
			if slices.ContainsFunc(own, func(name string) bool { same, err := parseEndpoint(name); return err == nil && same.host == e.host }) {
				own = nil
			}
			if hops, err = d.jumpRoute(ctx, own, left-len(jumps)); err != nil {
				return nil, err
			}
			h.through = len(hops) > 0
		}
		hops = append(hops, h)
	}
	return hops, nil
}

// configuredJumps are the jump hosts that the ssh configuration names.
func configuredJumps(h *hop, s settings) ([]string, error) {
	if s.proxyCommand != "" && !strings.EqualFold(s.proxyCommand, Never) {
		return nil, fmt.Errorf("read ssh configuration of %s: ProxyCommand is not supported; use ProxyJump, or jump: in the inventory", h.host)
	}
	if s.proxyJump == "" || strings.EqualFold(s.proxyJump, Never) {
		return nil, nil
	}
	t := tokens{'h': h.host, 'n': h.name, 'p': h.port, 'r': h.user}
	return strings.Split(t.expand(s.proxyJump), ","), nil
}

// hop looks a host up in the configuration. What the endpoint says is stronger.
func (d *Dialer) hop(ctx context.Context, e endpoint) (*hop, settings, error) {
	s, err := d.lookup(ctx, e.host, e.user)
	if err != nil {
		return nil, s, err
	}
	local := d.state.config.localUser
	h := &hop{
		name: e.host,
		host: orDefault(tokens{'h': e.host, 'n': e.host}.expand(s.hostName), e.host),
		port: orDefault(orDefault(e.port, s.port), "22"),
		user: orDefault(orDefault(e.user, s.user), local),
	}
	if err := (endpoint{user: h.user, host: h.host, port: h.port}).check(); err != nil {
		return nil, s, fmt.Errorf("read ssh configuration of %s: %w", e.host, err)
	}
	hostname := d.state.config.hostname
	short, _, _ := strings.Cut(hostname, ".")
	t := tokens{
		'd': d.home(), 'h': h.host, 'i': strconv.Itoa(os.Getuid()), 'k': orDefault(s.hostKeyAlias, e.host), 'L': short, 'l': hostname,
		'n': e.host, 'p': h.port, 'r': h.user, 'u': local,
	}
	h.identities = d.paths(t, s.identityFiles)
	h.certificates = d.paths(t, s.certificateFiles)
	h.identitiesOnly = strings.EqualFold(s.identitiesOnly, "yes")
	h.agent = d.agentSocket(t, s.identityAgent)
	h.alias = t.expand(s.hostKeyAlias)
	h.acceptNew = d.AcceptNew || d.configuredAcceptNew(s.strictHostKey)
	h.hashNew = strings.EqualFold(s.hashKnownHosts, "yes")
	h.knownHosts = d.knownHostsFiles(t, s)
	h.limit = d.connectTimeout(s.connectTimeout)
	return h, s, nil
}

// configuredAcceptNew reads StrictHostKeyChecking. "no" would also accept changed
// keys in part; nothing of it is honoured.
func (d *Dialer) configuredAcceptNew(value string) bool {
	switch strings.ToLower(value) {
	case "accept-new":
		return true
	case "no", "off":
		d.warn("StrictHostKeyChecking " + value + " in the ssh configuration is not honoured: host keys are always checked; use accept-new to record new ones")
	}
	return false
}

func (d *Dialer) connectTimeout(value string) time.Duration {
	if value == "" || strings.EqualFold(value, Never) {
		return 0
	}
	if n, err := strconv.Atoi(value); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	limit, err := time.ParseDuration(strings.ToLower(value))
	if err != nil || limit < 0 {
		d.warn("ConnectTimeout " + value + " in the ssh configuration is not a number of seconds; it is ignored")
		return 0
	}
	return limit
}

// knownHostsFiles are the files to look in, the one to write to first.
func (d *Dialer) knownHostsFiles(t tokens, s settings) []string {
	if len(d.KnownHosts) > 0 {
		return d.paths(t, d.KnownHosts)
	}
	own, system := s.userKnownHosts, s.globalKnownHosts
	if own == nil {
		own = []string{d.sshDir("known_hosts"), d.sshDir("known_hosts2")}
	}
	if system == nil {
		system = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	return append(d.paths(t, own), d.paths(t, system)...)
}

// paths expands file names of the configuration; "none" is no file.
func (d *Dialer) paths(t tokens, files []string) []string {
	var out []string
	for _, f := range files {
		if !strings.EqualFold(f, Never) {
			out = append(out, d.path(t, f))
		}
	}
	return out
}

func (d *Dialer) path(t tokens, f string) string {
	f = t.expand(expandEnv(f, d.env))
	if f == "~" || strings.HasPrefix(f, "~/") {
		return filepath.Join(d.home(), strings.TrimPrefix(f, "~"))
	}
	return f
}

// agentSocket is the agent's socket: IdentityAgent, else SSH_AUTH_SOCK; empty is
// none.
func (d *Dialer) agentSocket(t tokens, configured string) string {
	switch {
	case configured == "", configured == "SSH_AUTH_SOCK":
		return d.env("SSH_AUTH_SOCK")
	case strings.EqualFold(configured, Never):
		return ""
	case strings.HasPrefix(configured, "$") && !strings.HasPrefix(configured, "${"):
		return d.env(configured[1:])
	}
	return d.path(t, configured)
}
