package sim

import (
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// creation is one container in the making.
type creation struct {
	*pctCall
	cfg *config
	// mounts are rootfs and the mount points, parsed.
	mounts map[string]map[string]string
	order  []string
	// made are the volumes allocated so far, freed again when something fails.
	made     []string
	template string
}

func pctCreate(p *pctCall) error {
	c := &creation{pctCall: p, cfg: newConfig(), mounts: map[string]map[string]string{}}
	if err := c.prepare(); err != nil {
		return err
	}
	err := p.locked(255, func() error {
		if err := c.vacant(); err != nil {
			return err
		}
		marker := newConfig()
		marker.keys["lock"] = "create"
		if err := p.save(p.id, marker); err != nil {
			return err
		}
		p.worker = true
		if err := c.build(); err != nil {
			if p.killed {
				return err
			}
			return die(255, "unable to create CT %d - %v", p.id, errors.Join(err, c.undo()))
		}
		return p.save(p.id, c.cfg)
	})
	if err == nil && p.on("start") {
		return startContainer(p)
	}
	return err
}

// vacant refuses a number that a guest of the cluster has.
func (c *creation) vacant() error {
	if g := c.m.guest(c.id); g.Node != "" {
		kind := "CT"
		if g.Type == "qemu" {
			kind = "VM"
		}
		return die(2, "%s %d already exists on node '%s'", kind, c.id, g.Node)
	}
	return nil
}

// prepare checks, in Proxmox's order, what can be checked before anything is made.
func (c *creation) prepare() error {
	if err := c.vacant(); err != nil {
		return err
	}
	if keys, ok := c.args["ssh-public-keys"]; ok && !validKeys(keys) {
		return die(255, "SSH public key validation error")
	}
	if err := c.checkDevices(); err != nil {
		return err
	}
	if err := c.volumes(); err != nil {
		return err
	}
	return c.findTemplate()
}

func validKeys(keys string) bool {
	line := regexp.MustCompile(`^(\S.* )?(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/=]+`)
	for l := range strings.SplitSeq(keys, "\n") {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' && !line.MatchString(l) {
			return false
		}
	}
	return true
}

// checkDevices refuses devN of what is no device node of the machine.
func (p *pctCall) checkDevices() error {
	for _, name := range p.given() {
		if !strings.HasPrefix(name, "dev") {
			continue
		}
		if dev, fault := deviceSchema().split(p.args[name]); fault == "" && dev["path"] != "" && !p.m.exists(dev["path"]) {
			return die(2, "Device %s does not exist", dev["path"])
		}
	}
	return nil
}

// volumes reads rootfs and mpN and checks their storages.
func (c *creation) volumes() error {
	storageID := c.args["storage"]
	if storageID == "" {
		storageID = "local"
	}
	if _, given := c.args["rootfs"]; !given {
		c.args["rootfs"] = storageID + ":4"
	}
	for _, name := range c.given() {
		schema := mountSchema()
		if name == "rootfs" {
			schema = rootfsSchema()
		} else if !regexp.MustCompile(`^mp\d+$`).MatchString(name) {
			continue
		}
		text := c.args[name]
		if checkType("number", text) == "" {
			text = storageID + ":" + text
		}
		mount, fault := schema.split(text)
		if fault != "" {
			return die(255, "%s", fault)
		}
		c.mounts[name] = mount
		c.order = append(c.order, name)
		if err := c.checkStorage(mount["volume"]); err != nil {
			return err
		}
	}
	slices.SortFunc(c.order, func(a, b string) int { return number(a) - number(b) }) // rootfs has no number: first
	return nil
}

// checkStorage looks at the storage of a volume that is to be used or made.
func (p *pctCall) checkStorage(volume string) error {
	if !isVolume(volume) {
		return nil
	}
	id, _, ok := splitVolumeID(volume)
	if !ok {
		return die(255, "unable to parse volume ID '%s'", volume)
	}
	s, ok := p.m.storage(id)
	switch {
	case !ok:
		return die(255, "storage '%s' does not exist", id)
	case s.disabled:
		return die(255, "storage '%s' is disabled", id)
	case !s.onNode(p.m.Node):
		return die(255, "storage '%s' is not available on node '%s'", id, p.m.Node)
	case !s.can("rootdir"):
		return badParameter(2, "storage", "storage '"+id+"' does not support container directories")
	}
	return nil
}

// findTemplate resolves the template's name; whether the file is there is only seen
// when it is unpacked.
func (c *creation) findTemplate() error {
	name := c.args["ostemplate"]
	if strings.HasPrefix(name, "/") {
		c.template = name
		return nil
	}
	where, err := c.m.volumePath(name)
	if err != nil {
		return die(255, "%v", err)
	}
	c.template = where
	return nil
}

// build makes the volumes, unpacks the template and fills in the configuration.
func (c *creation) build() error {
	if err := c.allocateAll(); err != nil {
		return err
	}
	if c.hit("allocated") {
		return errors.New("killed")
	}
	if err := c.bindSources(); err != nil {
		return err
	}
	if !c.m.exists(c.template) {
		if strings.HasPrefix(c.args["ostemplate"], "/") {
			return fmt.Errorf("can't find file '%s'", c.template)
		}
		return fmt.Errorf("volume '%s' does not exist", c.args["ostemplate"])
	}
	if err := c.unpack(); err != nil {
		return err
	}
	c.fill()
	return c.finishGuest()
}

func (c *creation) allocateAll() error {
	for _, name := range c.order {
		mount := c.mounts[name]
		if !isVolume(mount["volume"]) {
			continue
		}
		if id, size, ok := newVolume(mount["volume"]); ok {
			s, _ := c.m.storage(id)
			volid, err := c.allocate(s, c.id, size)
			if volid != "" {
				c.made = append(c.made, volid)
			}
			if err != nil {
				return err
			}
			mount["volume"], mount["size"] = volid, printSize(size)
			continue
		}
		size, err := c.m.volumeSize(mount["volume"])
		if err != nil {
			return err
		}
		mount["size"] = printSize(size)
	}
	return nil
}

// bindSources refuses a bind mount of a directory that is not there.
func (c *creation) bindSources() error {
	for _, name := range c.order {
		source := c.mounts[name]["volume"]
		if isVolume(source) || c.m.exists(source) {
			continue
		}
		c.printf("mounting container failed\n")
		return fmt.Errorf("directory '%s' does not exist", source)
	}
	return nil
}

// unpack lays the guest's files. A fault that hangs here stands for a long unpack;
// the context's end for the signal that ends it.
func (c *creation) unpack() error {
	c.printf("extracting archive '%s'\n", c.template)
	if _, hangs := c.struck("unpack", FaultHang); hangs {
		<-c.ctx.Done()
	}
	if c.ctx.Err() != nil {
		return fmt.Errorf("command 'tar xpf %s' failed: received interrupt", path.Base(c.template))
	}
	if c.hit("unpack") {
		return errors.New("killed")
	}
	if c.m.Containers != nil {
		return c.m.Containers.Unpack(c.ctx, c.id, c.template, c.m.path(guestRoot(c.id)), c.unprivileged())
	}
	c.printf("Total bytes read: 214732800 (205MiB, 118MiB/s)\n")
	return layGuest(c.m, c.id, path.Base(c.template))
}

// undo frees what was made and takes the configuration away.
func (c *creation) undo() error {
	var errs []error
	for _, volid := range c.made {
		if _, err := c.m.free(volid); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, os.RemoveAll(c.m.path(guestDir(c.id))), os.Remove(c.m.path(c.m.confPath(c.id))), c.m.removeRules(c.id))
	errs = append(errs, c.m.exclusive(func() error { return c.m.writeVMList() }))
	return errors.Join(errs...)
}

// unprivileged tells whether the container is to be one, as Proxmox's default has it.
func (c *creation) unprivileged() bool {
	if v, ok := c.args["unprivileged"]; ok {
		return v == "1"
	}
	return c.m.Release >= "9"
}

// fill makes the configuration of the arguments and Proxmox's defaults.
func (c *creation) fill() {
	keys := c.cfg.keys
	notKept := []string{"storage", "start", "password", "ssh-public-keys", "force", "restore", "unique", "pool", "bwlimit", "ignore-unpack-errors", "unprivileged", "template", "node"}
	for _, name := range c.given() {
		if !slices.Contains(notKept, name) && c.mounts[name] == nil {
			c.cfg.set(name, c.m.normalValue(name, c.args[name]))
		}
	}
	if c.unprivileged() {
		keys["unprivileged"] = "1"
	}
	for key, value := range map[string]string{"hostname": fmt.Sprintf("CT%d", c.id), "memory": "512", "swap": "512"} {
		if keys[key] == "" {
			keys[key] = value
		}
	}
	os, arch := templateOS(path.Base(c.template))
	for key, value := range map[string]string{"ostype": os, "arch": arch} {
		if keys[key] == "" {
			keys[key] = value
		}
	}
	for name, mount := range c.mounts {
		schema := mountSchema()
		if name == "rootfs" {
			schema = rootfsSchema()
		}
		keys[name] = schema.print(mount)
	}
}

// finishGuest prints what Proxmox prints while it sets the guest up, and puts the
// keys and the password in.
func (c *creation) finishGuest() error {
	os, arch := templateOS(path.Base(c.template))
	c.printf("Detected container architecture: %s\n", arch)
	host, _, _ := strings.Cut(c.args["hostname"], ".")
	if host == "" {
		host = "localhost"
	}
	if os == "debian" || os == "ubuntu" {
		kinds := []string{"ed25519", "ecdsa", "rsa"}
		c.m.shuffle(kinds)
		for _, kind := range kinds {
			c.printf("Creating SSH host key 'ssh_host_%s_key' - this may take some time ...\ndone: SHA256:%s root@%s\n", kind, c.m.fingerprint(), host)
		}
	}
	return guestCredentials(c.m, c.id, c.args["ssh-public-keys"], c.args["password"] != "")
}
