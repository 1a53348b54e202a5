package user

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/account"
	"phoenix/tasks/pve"
)

// The modes that sshd's StrictModes is content with.
const (
	keyDirMode  fs.FileMode = 0o700
	keyFileMode fs.FileMode = 0o600
)

// maxKeyFile bounds what is read of a file that its user can make of any size.
const maxKeyFile = 1 << 20

// keyFile is the authorized_keys of one user.
type keyFile struct {
	// link is the path in the home directory; target is the file behind it, since
	// Proxmox makes root's a link into the cluster file system.
	link, target string
	// shared tells that the file is the cluster's: mode and owner are Proxmox's.
	shared bool
}

// keyFile finds the file below the home directory that the user has or is to have.
func (t *task) keyFile(h tasks.Host, now account.User) (keyFile, error) {
	f := keyFile{link: t.home(now) + "/.ssh/authorized_keys"}
	f.target = f.link
	for range 8 {
		info, err := h.Stat(f.target)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f, fmt.Errorf("find the keys of %s: %w", t.spec.Name, err)
		}
		if err == nil && !info.Mode.IsRegular() && info.Mode&fs.ModeSymlink == 0 {
			return f, fmt.Errorf("find the keys of %s: %s is no file", t.spec.Name, f.target)
		}
		if err == nil && info.Mode.IsRegular() && info.Size > maxKeyFile {
			return f, fmt.Errorf("find the keys of %s: %s has %d bytes, more than %d", t.spec.Name, f.target, info.Size, maxKeyFile)
		}
		if err != nil || info.Mode&fs.ModeSymlink == 0 {
			f.shared = strings.HasPrefix(f.target, "/etc/pve/")
			return f, nil
		}
		if !path.IsAbs(info.Target) {
			info.Target = path.Dir(f.target) + "/" + info.Target
		}
		f.target = path.Clean(info.Target)
	}
	return f, fmt.Errorf("find the keys of %s: %s is a link that leads nowhere", t.spec.Name, f.link)
}

// home is where the home directory is to be.
func (t *task) home(now account.User) string {
	switch {
	case t.spec.Home != "":
		return t.spec.Home
	case now.Home != "":
		return now.Home
	case t.spec.Name == "root":
		return "/root"
	}
	return "/home/" + t.spec.Name
}

// keys is what is wanted of the file. Validate has parsed the lines.
func (t *task) keys(h tasks.Host, f keyFile) (keySet, error) {
	s := keySet{exclusive: t.spec.ExclusiveKeys, held: t.spec.Name == "root"}
	for _, l := range t.spec.AuthorizedKeys {
		if k, err := parseKey(l); err == nil {
			s.want = append(s.want, k)
		}
	}
	if !s.exclusive || !f.shared {
		return s, nil
	}
	nodes, err := h.ReadDir("/etc/pve/nodes")
	if err != nil {
		return s, fmt.Errorf("find the nodes of the cluster: %w", err)
	}
	// Without each other's keys the nodes of a cluster can neither migrate nor replicate.
	s.spare = func(k key) bool {
		node, root := strings.CutPrefix(k.comment, "root@")
		return root && slices.Contains(nodes, node)
	}
	return s, nil
}

// checkKeys compares the file line by line, and then who may write to it.
func (t *task) checkKeys(h tasks.Host, now account.User, exists bool, d *tasks.Diff) error {
	if len(t.spec.AuthorizedKeys) == 0 {
		return nil
	}
	f, err := t.keyFile(h, now)
	if err != nil {
		return err
	}
	if f.shared {
		if _, err := pve.Node(h); err != nil {
			return err
		}
	}
	data, _, err := tasks.ReadIfExists(h, f.target)
	if err != nil {
		return err
	}
	s, err := t.keys(h, f)
	if err != nil {
		return err
	}
	s.diff(data, d)
	if !exists {
		return nil // made with the right modes
	}
	if err := t.checkAccess(h, "directory", path.Dir(f.link), keyDirMode, now, d); err != nil {
		return err
	}
	if f.shared {
		return nil
	}
	return t.checkAccess(h, "file", f.target, keyFileMode, now, d)
}

// diff lists the keys that are missing, have other options, or must go.
func (s *keySet) diff(data []byte, d *tasks.Diff) {
	lines := keyLines(data)
	for _, k := range s.want {
		c := tasks.Change{Path: "authorized_keys." + k.fingerprint(), To: k.short(), Effect: tasks.EffectLive}
		found, other := false, false
		for _, l := range lines {
			if !l.is || l.key.blob != k.blob {
				continue
			}
			found = true
			if l.key.options != k.options {
				other, c.From = true, l.key.short()
			}
		}
		if !found || other {
			*d = append(*d, c)
		}
	}
	first := len(*d)
	for i, l := range lines {
		if _, wanted := s.find(l.key.blob); l.is && wanted || !s.goes(l) {
			continue
		}
		c := tasks.Change{Path: fmt.Sprintf("authorized_keys.line %d", i+1), From: "not a key", Effect: tasks.EffectLive}
		if l.is {
			c.Path, c.From = "authorized_keys."+l.key.fingerprint(), l.key.short()
		}
		if !d.Has(c.Path) { // the same key twice is one change
			*d = append(*d, c)
		}
	}
	if going := (*d)[first:]; s.held && len(going) > 0 {
		for i := range going {
			going[i].Note = refusal(len(going)).Note()
		}
	}
}

// refusal is that of taking keys from root. Which key phoenix itself logs in with is
// not known here, and without it no later run could give it back.
func refusal(keys int) *tasks.RefusedError {
	what := fmt.Sprintf("removing %d keys of root", keys)
	if keys == 1 {
		what = "removing 1 key of root"
	}
	return &tasks.RefusedError{What: what, Instead: "list them in authorized_keys, or take them out by hand: phoenix may be logging in with one of them"}
}

// checkAccess compares mode and owner of what is there; what is missing is made right,
// and whoever made the folder a link has a reason. A new number of the user is no
// matter of the files: usermod gives it to all that lies in the home directory.
func (t *task) checkAccess(h tasks.Host, what, at string, mode fs.FileMode, now account.User, d *tasks.Diff) error {
	info, err := h.Stat(at)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode&fs.ModeSymlink != 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check %s: %w", at, err)
	}
	d.Add("authorized_keys."+what+"_mode", octal(info.Mode), octal(mode), tasks.EffectLive)
	d.Add("authorized_keys."+what+"_owner", fmt.Sprintf("%d:%d", info.UID, info.GID), fmt.Sprintf("%d:%d", now.UID, now.GID), tasks.EffectLive)
	return nil
}

func octal(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }
