package sim

import (
	"errors"
	"os"
	"path"
	"strings"
)

func pctTemplate(p *pctCall) error {
	return p.change(255, func(cfg *config) error {
		switch {
		case cfg.on("template"):
			return die(255, "you can't convert a template to a template")
		case len(cfg.snapshots) > 0:
			return die(255, "unable to create template, because CT contains snapshots")
		case p.m.running(p.id):
			return die(255, "you can't convert a CT to template if the CT is running")
		}
		keys := append([]string{"rootfs"}, cfg.numbered("mp")...)
		for _, key := range keys {
			mount, _ := mountSchema().split(cfg.keys[key])
			if id, _, _ := splitVolumeID(mount["volume"]); !isVolume(mount["volume"]) || p.m.storageType(id) == "lvm" {
				return die(0, "Template feature is not available for '%s'", mount["volume"]) // the task failed, which pct template does not tell
			}
		}
		for _, key := range keys {
			text, err := p.rename(key, cfg.keys[key])
			if err != nil {
				return die(0, "%v", err)
			}
			cfg.keys[key] = text
		}
		if p.hit("renamed") {
			return die(137, "")
		}
		cfg.keys["template"] = "1"
		_ = os.Remove(p.m.path(guestDir(p.id) + "/config")) // one that never ran has none
		return nil
	})
}

func (m *Machine) storageType(id string) string {
	s, _ := m.storage(id)
	return s.typ
}

// rename makes a base volume of a mount point's volume.
func (p *pctCall) rename(key, text string) (string, error) {
	mount, fault := mountSchema().split(text)
	if fault != "" {
		return "", errors.New(fault)
	}
	where, err := p.m.volumePath(mount["volume"])
	if err != nil {
		return "", err
	}
	name := path.Base(where)
	base := strings.Replace(strings.Replace(name, "subvol-", "basevol-", 1), "vm-", "base-", 1)
	to := path.Join(path.Dir(where), base)
	size, err := p.m.volumeSize(mount["volume"])
	if err != nil {
		return "", err
	}
	if err := os.Rename(p.m.path(where), p.m.path(to)); err != nil {
		return "", err
	}
	st, err := os.Stat(p.m.path(to))
	switch {
	case err != nil:
		return "", err
	case st.IsDir():
		_ = os.Remove(p.m.path(quotaFile(where))) // a volume without a limit has none
		err = p.m.setQuota(to, size)
	default:
		err = os.Chmod(p.m.path(to), 0o444)
	}
	mount["volume"] = strings.TrimSuffix(mount["volume"], name) + base
	return printMount(key, mount), err
}
