package sim

import (
	"os"
	"path"
	"slices"
	"strings"
)

// Where update-ca-certificates reads and writes.
const (
	localCADir = "/usr/local/share/ca-certificates"
	etcCADir   = "/etc/ssl/certs"
)

// updateCACertificates makes the bundle of the local certificates, as the shell script of
// Debian 12 does and the program of Alpine 3.20. The distribution's own certificates are
// one line here. Without --fresh, Debian's leaves the links of files that are gone.
func updateCACertificates(c *call) int {
	alpine := c.m.distro.id == "alpine"
	fresh := alpine || slices.Contains(c.argv, "--fresh") || slices.Contains(c.argv, "-f")
	return c.died(c.m.exclusive(func() error {
		prefix := ""
		if alpine {
			prefix = "ca-cert-"
		}
		if fresh {
			for _, link := range c.m.glob(etcCADir + "/*.pem") {
				target, err := os.Readlink(c.m.path(link))
				if err != nil || !strings.HasPrefix(target, localCADir) {
					continue
				}
				if err := os.Remove(c.m.path(link)); err != nil {
					return err
				}
			}
		}
		all, added := "-----BEGIN CERTIFICATE-----\nsimulated roots of the distribution\n-----END CERTIFICATE-----\n", 0
		for _, file := range c.m.glob(localCADir + "/*.crt") {
			text := c.m.text(file)
			if !alpine && !strings.HasSuffix(text, "\n") {
				text += "\n"
			}
			all += text
			link := etcCADir + "/" + prefix + strings.TrimSuffix(path.Base(file), ".crt") + ".pem"
			if c.m.exists(link) {
				continue
			}
			added++
			if err := os.MkdirAll(c.m.path(etcCADir), 0o755); err != nil {
				return err
			}
			if err := c.m.link(link, file); err != nil {
				return err
			}
		}
		if !alpine {
			c.printf("Updating certificates in /etc/ssl/certs...\n%d added, 0 removed; done.\nRunning hooks in /etc/ca-certificates/update.d...\ndone.\n", added)
		}
		return c.m.write(etcCADir+"/ca-certificates.crt", []byte(all), 0o644)
	}), 1)
}
