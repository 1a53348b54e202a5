// Package distro tells Linux distributions apart, and has packages and services in the
// way of each: apt and systemd of Debian and Ubuntu, apk and OpenRC of Alpine.
//
// It is what the features of containers share; the hypervisor, which is always a Debian,
// has no need of it. It decides nothing about what is to be installed. Start reading at
// Read.
package distro

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Distro is what /etc/os-release says (os-release(5)).
type Distro struct {
	// ID is "debian", "ubuntu", "alpine"; Like are the IDs of those it is made from.
	ID   string
	Like []string
	// VersionID is "12", "24.04", "3.20.3"; Codename "bookworm", "noble" or "".
	VersionID, Codename string
	// Name is for people: "Debian GNU/Linux 12 (bookworm)".
	Name string
}

// Read finds out what the machine is. A distribution that nothing here knows is no error;
// its Packages and Services are.
func Read(h tasks.Host) (Distro, error) {
	data, err := h.ReadFile("/etc/os-release")
	if errors.Is(err, fs.ErrNotExist) {
		data, err = h.ReadFile("/usr/lib/os-release")
	}
	if err != nil {
		return Distro{}, fmt.Errorf("find out the distribution: %w", err)
	}
	return parse(string(data)), nil
}

// parse reads NAME=VALUE, where a value may be quoted as in a shell.
func parse(text string) Distro {
	// What the manual says of a file that names nothing.
	d := Distro{ID: "linux", Name: "Linux"}
	for _, line := range tasks.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		value = unquote(value)
		if !ok || value == "" {
			continue
		}
		switch key {
		case "ID":
			d.ID = value
		case "ID_LIKE":
			d.Like = strings.Fields(value)
		case "VERSION_ID":
			d.VersionID = value
		case "VERSION_CODENAME":
			d.Codename = value
		case "PRETTY_NAME":
			d.Name = value
		}
	}
	return d
}

// unquote takes the quotes from a value and, but for single quotes, the backslashes.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return s[1 : len(s)-1]
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func (d Distro) is(id string) bool { return d.ID == id || slices.Contains(d.Like, id) }

// Debian tells whether the distribution is Debian or made from it, and so has apt.
func (d Distro) Debian() bool { return d.is("debian") }

// Alpine tells whether it is Alpine, with apk and OpenRC.
func (d Distro) Alpine() bool { return d.is("alpine") }

// Packages is a distribution's package manager.
type Packages interface {
	// Version is what of a package is installed; there is false where it is not, or only
	// in part. It reads the database anew with each call and starts nothing.
	Version(h tasks.Host, name string) (version string, there bool, err error)
	// Install installs packages without what they only recommend, and without a question.
	// It fetches the lists where they are missing or more than a day old.
	Install(ctx context.Context, h tasks.Host, names ...string) error
	// Remove removes packages and keeps their configuration.
	Remove(ctx context.Context, h tasks.Host, names ...string) error
}

// Packages is the package manager. Of a distribution that nothing here knows it is an
// error that says which are known.
func (d Distro) Packages() (Packages, error) {
	switch {
	case d.Debian():
		return &apt{}, nil
	case d.Alpine():
		return &apk{}, nil
	}
	return nil, fmt.Errorf("find the package manager of %s: only those of Debian, Ubuntu and Alpine are known", d.Name)
}

// Service is what a service is, and is to be.
type Service struct {
	// Exists tells whether there is a unit or an init script of that name.
	Exists bool
	// Enabled services start at boot; Active ones run now.
	Enabled, Active bool
}

// Services is a distribution's service manager.
type Services interface {
	// State asks for a service by its name without a suffix: "docker".
	State(ctx context.Context, h tasks.Host, name string) (Service, error)
	// Enable makes the service start at boot, and start now where it does not run.
	Enable(ctx context.Context, h tasks.Host, name string) error
	// Restart stops and starts it. What it said is in the error where it fails.
	Restart(ctx context.Context, h tasks.Host, name string) error
	// Reload has it read its configuration again.
	Reload(ctx context.Context, h tasks.Host, name string) error
}

// Services is the service manager: systemd where it is the first process
// (/run/systemd/system is there, sd_booted(3)), OpenRC where /sbin/openrc is.
func (d Distro) Services(h tasks.Host) (Services, error) {
	for _, known := range []struct {
		path    string
		manager Services
	}{{"/run/systemd/system", &systemdServices{}}, {"/sbin/openrc", &openrc{}}} {
		if _, err := h.Stat(known.path); err == nil {
			return known.manager, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("find the service manager of %s: neither systemd nor OpenRC is there", d.Name)
}
