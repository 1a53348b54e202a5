package sim

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Where pve-manager keeps the indexes of what can be downloaded.
const (
	indexDir     = "/var/lib/pve-manager/apl-info"
	proxmoxIndex = "download.proxmox.com"
	turnkeyIndex = "releases.turnkeylinux.org"
)

// pveam manages container templates (PVE::CLI::pveam, pve-manager 8.4.21).
func pveam(c *call) int {
	return cliProgram{name: "pveam", code: 2, verbs: []cliVerb{
		{usage: "pveam available  [OPTIONS]", options: []cliOption{{"section", "system|mail|turnkeylinux"}}, run: pveamAvailable},
		{usage: "pveam download <storage> <template>", fixed: []string{"storage", "template"}, run: pveamDownload},
		{usage: "pveam list <storage>", fixed: []string{"storage"}, run: pveamList},
		{usage: "pveam remove <template_path>", fixed: []string{"template_path"}, run: pveamRemove},
		{usage: "pveam update ", run: pveamUpdate},
	}}.run(c)
}

// appliance is one paragraph of an index.
type appliance struct{ file, section, url, sha512 string }

// appliances reads the indexes; a missing one is a complaint, not a failure.
func (c *call) appliances() []appliance {
	var list []appliance
	for _, index := range []string{proxmoxIndex, turnkeyIndex} {
		data, err := c.m.read(indexDir + "/" + index)
		if err != nil {
			c.errorf("unable to open file '%s/%s' - No such file or directory\n", indexDir, index)
			continue
		}
		for _, p := range paragraphs(string(data)) {
			location := p["Location"]
			if location == "" {
				continue
			}
			base := "http://download.proxmox.com/images/"
			if index == turnkeyIndex {
				base = ""
			}
			list = append(list, appliance{
				file: location[strings.LastIndex(location, "/")+1:], section: p["Section"], url: base + location, sha512: p["sha512sum"],
			})
		}
	}
	slices.SortFunc(list, func(x, y appliance) int { return strings.Compare(x.section+" "+x.file, y.section+" "+y.file) })
	return list
}

// paragraphs reads a file in the style of Debian's control files. Continuation
// lines belong to the field above them.
func paragraphs(text string) []map[string]string {
	var list []map[string]string
	for block := range strings.SplitSeq(text, "\n\n") {
		p := map[string]string{}
		field := ""
		for line := range strings.SplitSeq(block, "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, " ") {
				field = key
				p[key] = strings.TrimSpace(value)
			} else if field != "" && strings.HasPrefix(line, " ") {
				p[field] += "\n" + strings.TrimSpace(line)
			}
		}
		if len(p) > 0 {
			list = append(list, p)
		}
	}
	return list
}

func pveamAvailable(c *call, a cliArgs) int {
	for _, t := range c.appliances() {
		if a["section"] == "" || a["section"] == t.section {
			c.printf("%-15s %s\n", t.section, t.file)
		}
	}
	return 0
}

func pveamList(c *call, a cliArgs) int {
	s, ok := c.m.storage(a["storage"])
	if !ok {
		c.errorf("storage '%s' does not exist\n", a["storage"])
		return 255
	}
	if !s.content["vztmpl"] {
		c.errorf("Storage does not support templates!\n")
		return 255
	}
	c.printf("%-60s %-6s\n", "NAME", "SIZE")
	for _, v := range c.m.contents(s) {
		if v.kind == "vztmpl" {
			c.printf("%-60s %-6s\n", v.id, fmt.Sprintf("%.2fMB", float64(v.size)/(1<<20)))
		}
	}
	return 0
}

func pveamRemove(c *call, a cliArgs) int {
	id, name, ok := volumeID(a["template_path"])
	if !ok {
		c.errorf("%spveam remove <template_path>\n", complaint("template_path: invalid format - unable to parse volume ID '"+a["template_path"]+"'\n"))
		return 2
	}
	s, found := c.m.storage(id)
	if !found {
		c.errorf("storage '%s' does not exist\n", id)
		return 255
	}
	p, err := s.locate(name)
	if err != nil || !strings.HasPrefix(name, "vztmpl/") || !c.m.exists(p) {
		c.errorf("volume '%s' does not exist\n", a["template_path"])
		return 2
	}
	return c.died(os.Remove(c.m.path(p)), 2)
}

func pveamUpdate(c *call, _ cliArgs) int {
	if _, hit := c.struck("", FaultDownload); hit {
		c.errorf("update failed - see /var/log/pveam.log for details\n")
		return 0
	}
	if err := c.m.write(indexDir+"/"+proxmoxIndex, []byte(c.m.proxmoxTemplates()), 0o644); err != nil {
		return c.died(err, 2)
	}
	if err := c.m.write(indexDir+"/"+turnkeyIndex, []byte(turnkeyTemplates()), 0o644); err != nil {
		return c.died(err, 2)
	}
	c.printf("update successful\n")
	return 0
}

func pveamDownload(c *call, a cliArgs) int {
	usage := "pveam download <storage> <template>"
	list := c.appliances()
	i := slices.IndexFunc(list, func(t appliance) bool { return t.file == a["template"] })
	if i < 0 {
		c.errorf("%s%s\n", complaint("template: no such template"), usage)
		return 2
	}
	s, ok := c.m.storage(a["storage"])
	switch {
	case !ok:
		c.errorf("storage '%s' does not exist\n", a["storage"])
		return 255
	case !s.can("vztmpl"):
		c.errorf("%s%s\n", complaint("storage: storage '"+s.id+"' does not support templates!"), usage)
		return 2
	}
	return c.download(list[i], s.templates()+"/"+a["template"])
}

// download fetches a template as PVE::Tools::download_file_from_url does with wget.
// It ends with 0 even when it failed, because the real one does.
func (c *call) download(t appliance, to string) int {
	if have, err := c.m.read(to); err == nil {
		c.printf("calculating checksum of existing file...")
		if sha512Hex(have) == t.sha512 {
			c.printf("OK, got correct file already, no need to download\n")
			return 0
		}
		c.printf("mismatch\n")
	}
	c.printf("downloading %s to %s\n", t.url, to)
	now := c.m.Now().Format("2006-01-02 15:04:05")
	c.printf("--%s--  %s\n", now, t.url)
	site := strings.Split(strings.TrimPrefix(strings.TrimPrefix(t.url, "http://"), "https://"), "/")[0]
	if _, hit := c.struck("", FaultDownload); hit {
		c.printf("Resolving %s (%s)... failed: Temporary failure in name resolution.\n", site, site)
		c.errorf("download failed: wget: unable to resolve host address '%s'\n", site)
		return 0
	}
	data := templateContent(t.file)
	temporary := fmt.Sprintf("%s.tmp_dwnl.%d", to, 1000+c.m.intN(30000))
	c.printf("Resolving %s (%s)... 51.91.38.34, 2607:5300:203:7dc2::162\nConnecting to %s (%s)|51.91.38.34|:80... connected.\n", site, site, site, site)
	c.printf("HTTP request sent, awaiting response... 200 OK\nLength: %d [application/octet-stream]\nSaving to: '%s'\n", len(data), temporary)
	if code, hit := c.fault("download"); hit {
		_ = c.m.write(temporary, data[:len(data)/2], 0o644) // what a killed wget leaves
		return code
	}
	for i := 1; i <= 4; i++ {
		fmt.Fprintf(c.out, "%6dK ........ ........ ........ ........ %2d%% 24.1M 0s\n", i*len(data)/4096, 25*i)
	}
	c.printf("%s (24.1 MB/s) - '%s' saved [%d/%d]\n\ncalculating checksum...", now, temporary, len(data), len(data))
	if sha512Hex(data) != t.sha512 {
		c.printf("\n")
		c.errorf("checksum mismatch: got '%s' != expect '%s', aborting\n", sha512Hex(data), t.sha512)
		return 0
	}
	if err := c.m.write(to, data, 0o644); err != nil {
		return c.died(err, 2)
	}
	c.printf("OK, checksum verified\ndownload of '%s' to '%s' finished\n", t.url, to)
	return 0
}

// templateContent is what a simulated download of a template yields: 64 KiB that
// depend on the name alone.
func templateContent(name string) []byte {
	line := "simulated template " + name + "\n"
	return []byte(strings.Repeat(line, 64<<10/len(line)+1)[:64<<10])
}

func sha512Hex(data []byte) string {
	sum := sha512.Sum512(data)
	return hex.EncodeToString(sum[:])
}
