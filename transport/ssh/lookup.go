package ssh

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// systemConfig is the system's client configuration.
const systemConfig = "/etc/ssh/ssh_config"

// configCache holds the parsed configuration and OpenSSH's answers.
type configCache struct {
	once      sync.Once
	files     [][]directive
	err       error
	localUser string
	hostname  string

	mu    sync.Mutex
	asked map[string]settings
}

// load reads the configuration files, once.
func (d *Dialer) load() error {
	c := &d.state.config
	c.once.Do(func() {
		c.localUser = d.localUser()
		if c.hostname, c.err = os.Hostname(); c.err != nil {
			return
		}
		r := configReader{home: d.home(), systemDir: filepath.Dir(systemConfig), env: d.env, warn: d.warn}
		for _, f := range d.configFiles() {
			var directives []directive
			if directives, c.err = r.read(f, f != systemConfig, 0); c.err != nil {
				return
			}
			c.files = append(c.files, directives)
		}
	})
	return c.err
}

func (d *Dialer) configFiles() []string {
	switch d.ConfigFile {
	case Never:
		return nil
	case "":
		return []string{d.sshDir("config"), systemConfig}
	}
	return []string{d.ConfigFile}
}

// localUser is the login name on this machine, which is also the default on hosts.
func (d *Dialer) localUser() string {
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		return u.Username
	}
	return d.env("USER")
}

// lookup returns what the configuration says about a host; asUser is the login name
// where something stronger than the configuration decided it.
func (d *Dialer) lookup(ctx context.Context, host, asUser string) (settings, error) {
	if err := d.load(); err != nil {
		return settings{}, err
	}
	c := &d.state.config
	e := evaluation{original: host, user: asUser, localUser: c.localUser, warn: d.warn}
	for _, f := range c.files {
		e.run(f, true)
	}
	if e.beyond == "" {
		return e.settings, nil
	}
	program, ok := d.openSSH()
	if !ok {
		d.warn(e.beyond + " cannot be evaluated without OpenSSH; the block is skipped")
		return e.settings, nil
	}
	s, err := d.ask(ctx, program, host, asUser)
	if err != nil {
		d.warn(fmt.Sprintf("%s cannot be evaluated, the block is skipped: %v", e.beyond, err))
		return e.settings, nil
	}
	return s, nil
}

// openSSH finds the ssh program that reads the same files as the own reader. OpenSSH
// takes the home directory from the account, not from HOME, so where they differ it
// would read another file.
func (d *Dialer) openSSH() (string, bool) {
	if d.OpenSSH == Never {
		return "", false
	}
	if d.ConfigFile == "" {
		if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err != nil || filepath.Clean(u.HomeDir) != filepath.Clean(d.home()) {
			return "", false
		}
	}
	if d.OpenSSH != "" {
		return d.OpenSSH, true
	}
	path, err := exec.LookPath("ssh")
	return path, err == nil
}

// ask runs ssh -G for a host, once for each.
func (d *Dialer) ask(ctx context.Context, program, host, asUser string) (settings, error) {
	c := &d.state.config
	key := asUser + "@" + host
	c.mu.Lock()
	s, ok := c.asked[key]
	c.mu.Unlock()
	if ok {
		return s, nil
	}
	argv := []string{"-G"}
	if d.ConfigFile != "" {
		argv = append(argv, "-F", d.ConfigFile)
	}
	if asUser != "" {
		argv = append(argv, "-l", asUser)
	}
	cmd := exec.CommandContext(ctx, program, append(argv, "--", host)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return settings{}, fmt.Errorf("run %s -G %s: %w: %s", program, host, err, clean(stderr.String()))
	}
	s = parseOpenSSH(out)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = make(map[string]settings)
	}
	c.asked[key] = s
	return s, nil
}

// parseOpenSSH reads the output of ssh -G, which has every setting, the defaults
// included, one on a line, without quotes and with its own words for some values.
func parseOpenSSH(out []byte) settings {
	var s settings
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		key, rest, _ := strings.Cut(lines.Text(), " ")
		args := []string{rest}
		switch key {
		case "userknownhostsfile", "globalknownhostsfile":
			args = strings.Fields(rest)
		case "connecttimeout":
			if rest == Never {
				continue
			}
		case "stricthostkeychecking":
			args = []string{strings.NewReplacer("true", "yes", "false", "no").Replace(rest)}
		}
		if rest != "" {
			s.set(key, args)
		}
	}
	if isDefaultIdentities(s.identityFiles) {
		s.identityFiles = nil
	}
	return s
}

// isDefaultIdentities recognises the list that OpenSSH fills in where nobody wrote
// one: keys that were not asked for are not to count as if they were.
func isDefaultIdentities(files []string) bool {
	for _, name := range []string{"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"} {
		if !slices.Contains(files, "~/.ssh/"+name) {
			return false
		}
	}
	return true
}
