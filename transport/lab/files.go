package lab

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// The files that the lab writes into its folder.
const (
	// InventoryFile lists the hosts. It is written anew when a port has changed, as long
	// as it begins as the lab has written it.
	InventoryFile = "hosts.yaml"
	// HypervisorFile and LXCFile say what is wanted. They are written once, and then
	// belong to the user.
	HypervisorFile = "phoenix_hypervisor_config.json"
	LXCFile        = "phoenix_lxc_configs.json"
	// KeyFile is the private key that opens every host.
	KeyFile = "id_ed25519"
	// KnownHostsFile has the hosts' key.
	KnownHostsFile = "known_hosts"

	hostKeyFile = "ssh_host_ed25519_key"
	portsFile   = ".ports.json"
	lockFile    = ".lock"
)

// claim takes the folder for this lab, for as long as the file is open: a second one
// would write other ports into the same files.
func claim(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another lab serves %s; stop it, or give another --dir", dir)
	}
	return f, nil
}

// keys are the lab's two keys.
type keys struct{ user, host ssh.Signer }

func loadKeys(dir string) (keys, error) {
	user, err := loadKey(filepath.Join(dir, KeyFile), keyComment)
	if err != nil {
		return keys{}, err
	}
	host, err := loadKey(filepath.Join(dir, hostKeyFile), hostKeyComment)
	return keys{user, host}, err
}

// loadKey reads a private key, or makes one.
func loadKey(path, comment string) (ssh.Signer, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = newKey(comment)
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return signer, nil
}

func newKey(comment string) ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(block), nil
}

// serverConfig lets in root with the user key, and nobody else.
func (k keys) serverConfig() *ssh.ServerConfig {
	want := k.user.PublicKey().Marshal()
	c := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-PhoenixLab",
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if meta.User() != "root" || !bytes.Equal(key.Marshal(), want) {
				return nil, errors.New("authenticate: the lab knows root with its own key only")
			}
			return nil, nil
		},
	}
	c.AddHostKey(k.host)
	return c
}

// loadPorts reads which port each host had; none where that is not known.
func loadPorts(dir string) map[string]int {
	ports := make(map[string]int)
	data, err := os.ReadFile(filepath.Join(dir, portsFile))
	if err != nil || json.Unmarshal(data, &ports) != nil {
		return make(map[string]int)
	}
	return ports
}

// writeFiles writes what a user of the lab needs. An inventory that still fits, and
// configurations that are there, are left alone: the user may have changed them.
func (l *Lab) writeFiles(k keys, before map[string]int) error {
	ports := make(map[string]int, len(l.Hosts))
	same := len(before) == len(l.Hosts)
	for _, h := range l.Hosts {
		ports[h.Name] = h.Addr.Port
		same = same && before[h.Name] == h.Addr.Port
	}
	data, err := json.Marshal(ports)
	if err != nil {
		return err
	}
	hostKey := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.host.PublicKey())))
	var known strings.Builder
	for _, h := range l.Hosts {
		fmt.Fprintf(&known, "[127.0.0.1]:%d %s\n", h.Addr.Port, hostKey)
	}
	for _, f := range []struct {
		name, text string
		always     bool
	}{
		{portsFile, string(data) + "\n", true},
		{KnownHostsFile, known.String(), true},
		{KeyFile + ".pub", string(ssh.MarshalAuthorizedKey(k.user.PublicKey())), true},
		{InventoryFile, l.inventory(hostKey), !same},
		{HypervisorFile, hypervisorConfig, false},
		{LXCFile, l.containers(), false},
	} {
		path := filepath.Join(l.dir, f.name)
		old, err := os.ReadFile(path)
		switch {
		case err == nil && !f.always:
			continue
		case err == nil && f.name == InventoryFile && !writtenByLab(old):
			// The user's own, which fitted until a port was taken.
			return notTheLabs(l.dir, f.name)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := os.WriteFile(path, []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// inventory is hosts.yaml.
func (l *Lab) inventory(hostKey string) string {
	var b strings.Builder
	fmt.Fprintf(&b, inventoryHead+` Written by phoenix lab, and again whenever a port has changed.
version: 1
defaults:
  user: root
  address: 127.0.0.1
  identity_files: [%s]
  host_key: %s
  hypervisor: %s
  lxc: %s
hosts:
`, KeyFile, hostKey, HypervisorFile, LXCFile)
	share := l.share()
	for i, h := range l.Hosts {
		fmt.Fprintf(&b, "  %s: { port: %d, containers: %s }\n", h.Name, h.Addr.Port, share[i])
	}
	return b.String()
}

// firstCTID is the container on the first host; each host has the next one.
const firstCTID = 900

// hypervisorConfig is what every host is to look like.
const hypervisorConfig = `{
  // What every host of the lab is to look like.
  "version": 1,
  "system": { "timezone": "Europe/Berlin" },
  "apt": { "packages": ["htop"] },
  "storage": {
    "tank": { "type": "dir", "path": "/srv/tank", "content": ["backup", "iso"] },
  },
  "templates": [{ "name": "debian-12-standard", "storage": "local" }],
  "files": {
    "/etc/motd": { "content": "This is ${host.name}, kept by phoenix.\n" },
  },
}
`

// containers is phoenix_lxc_configs.json: one container a host.
func (l *Lab) containers() string {
	var b strings.Builder
	b.WriteString(`{
  ` + containersHead + `
  "version": 1,
  "defaults": {
    "template": "debian-12-standard",
    "storage_pool": "local-lvm",
    "storage_size_gb": 8,
    "memory_mb": 1024,
    "cores": 2,
    "network_config": { "name": "eth0", "bridge": "vmbr0", "ip": "dhcp" },
    "start_at_boot": true,
  },
  "lxc_configs": {
`)
	for i, h := range l.Hosts {
		fmt.Fprintf(&b, "    \"%d\": { \"name\": \"web-%s\" },\n", firstCTID+i, h.Name)
	}
	b.WriteString("  },\n}\n")
	return b.String()
}
