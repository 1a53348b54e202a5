package lxc_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
)

// ids is a map of 9 numbers in each range, one behind the other in the container.
func ids(ranges ...string) string {
	for i, r := range ranges {
		ranges[i] = fmt.Sprintf(`{"container_id":%d,%s,"count":9}`, 9*i, r)
	}
	return `"idmap":[` + strings.Join(ranges, ",") + "]"
}

func TestValidateNamesEachFault(t *testing.T) {
	for name, c := range map[string]struct{ spec, path, summary, hint string }{
		"a CTID that is reserved":       {`"ctid":99`, "ctid", "99 is not a CTID: they go from 100 to 999999999", ""},
		"an unknown state":              {`"state":"up"`, "state", `"up" is not known`, "one of running, stopped, absent"},
		"an unknown restart":            {`"restart":"always"`, "restart", `"always" is not known`, "one of allowed, never"},
		"an unknown system":             {`"os_type":"slackware"`, "os_type", `"slackware" is not known`, "one of debian, devuan, ubuntu, centos, fedora, opensuse, archlinux, alpine, gentoo, nixos, unmanaged"},
		"an unknown console mode":       {`"console_mode":"vt"`, "console_mode", `"vt" is not known`, "one of tty, console, shell"},
		"a name with an underscore":     {`"name":"web_1"`, "name", `"web_1" is not a host name`, "letters, digits and hyphens, dots between labels"},
		"a name with a line break":      {`"name":"web\nmp0: /etc,mp=/x"`, "name", `"web\nmp0: /etc,mp=/x" is not a host name`, "letters, digits and hyphens, dots between labels"},
		"a name like an option":         {`"name":"-x"`, "name", `"-x" is not a host name`, "letters, digits and hyphens, dots between labels"},
		"an escape in a description":    {`"description":"a\u001b[2J"`, "description", "has a control character or is not UTF-8", "only line feeds are allowed"},
		"a carriage return there":       {`"description":"a\rb"`, "description", "has a control character or is not UTF-8", "only line feeds are allowed"},
		"a long description":            {`"description":"` + strings.Repeat("x", 8193) + `"`, "description", "has 8193 bytes, more than 8192", ""},
		"a tag with a blank":            {`"tags":["ok","not ok"]`, "tags.1", `"not ok" is not a tag`, "letters, digits and _ - + ."},
		"a template path":               {`"template":"../x"`, "template", `"../x" is not a template`, "a series such as debian-12-standard, a file name, or STORAGE:vztmpl/FILE"},
		"a pool with a colon":           {`"storage_pool":"a:b"`, "storage_pool", `"a:b" is not the name of a storage`, ""},
		"a negative size":               {`"storage_size_gb":-1`, "storage_size_gb", "-1 is not a size from above 0 to 131072", "in GiB"},
		"gigabytes for megabytes":       {`"memory_mb":40`, "memory_mb", "40 is below the minimum of 64", "did you mean 40960?"},
		"negative swap":                 {`"swap_mb":-1`, "swap_mb", "-1 is below 0", ""},
		"too many processors":           {`"cores":8193`, "cores", "8193 is not a number of processors from 1 to 8192", ""},
		"a negative limit":              {`"cpu_limit":-0.5`, "cpu_limit", "-0.5 is not between 0 and 8192", "0 is no limit"},
		"a weight Proxmox cuts off":     {`"cpu_units":20000`, "cpu_units", "20000 is not between 1 and 10000", "100 is the default"},
		"a file system with a comma":    {`"pct_options":{"mount":["nfs,fuse=1"]}`, "pct_options.mount.0", `"nfs,fuse=1" is not a file system type`, ""},
		"too many terminals":            {`"tty_count":7`, "tty_count", "7 is not between 0 and 6", ""},
		"a zone that climbs":            {`"timezone":"../etc/passwd"`, "timezone", `"../etc/passwd" is not a time zone`, `a name such as Europe/Berlin, or "host"`},
		"a hook that is a path":         {`"hookscript":"/root/x"`, "hookscript", `"/root/x" is not a script on a storage`, "STORAGE:snippets/FILE"},
		"itself as a dependency":        {`"depends_on":[900]`, "depends_on.0", "container 900 cannot depend on itself", ""},
		"a name server by name":         {`"nameserver":"1.1.1.1 dns.lan"`, "nameserver", `"dns.lan" is not an IP address`, ""},
		"a name server line break":      {`"nameserver":"1.1.1.1\n"`, "nameserver", `"1.1.1.1\n" is not an IP address`, ""},
		"a domain with a slash":         {`"searchdomain":"a/b"`, "searchdomain", `"a/b" is not a domain`, ""},
		"an interface without name":     {`"network_config":{"bridge":"vmbr0"}`, "network_config.0.name", `"" is not the name of an interface`, "such as eth0"},
		"an interface twice":            {`"network_config":[{"name":"eth0"},{"name":"eth0"}]`, "network_config.1.name", "two interfaces are called eth0", ""},
		"a bridge with a comma":         {`"network_config":{"name":"eth0","bridge":"a,tag=1"}`, "network_config.0.bridge", `"a,tag=1" is not the name of a bridge`, "such as vmbr0"},
		"an address without a prefix":   {`"network_config":{"name":"eth0","ip":"10.0.0.5"}`, "network_config.0.ip", `"10.0.0.5" has no prefix length`, "did you mean 10.0.0.5/24?"},
		"an address out of range":       {`"network_config":{"name":"eth0","ip":"10.0.0.256/24"}`, "network_config.0.ip", `"10.0.0.256/24" is not an address`, "ADDRESS/PREFIX or dhcp, manual"},
		"IPv6 where IPv4 belongs":       {`"network_config":{"name":"eth0","ip":"fd00::1/64"}`, "network_config.0.ip", `"fd00::1/64" is of the other IP version`, ""},
		"a gateway with a prefix":       {`"network_config":{"name":"eth0","ip":"10.0.0.5/24","gw":"10.0.0.1/24"}`, "network_config.0.gw", `"10.0.0.1/24" is an address without a prefix length`, "did you mean 10.0.0.1?"},
		"a gateway beside dhcp":         {`"network_config":{"name":"eth0","ip":"dhcp","gw":"10.0.0.1"}`, "network_config.0.gw", `a gateway has no meaning with the address "dhcp"`, "leave one of the two out"},
		"a group MAC address":           {`"network_config":{"name":"eth0","mac_address":"01:00:5e:00:00:01"}`, "network_config.0.mac_address", "01:00:5e:00:00:01 is a group address", "the first byte must be even"},
		"a MAC address with hyphens":    {`"network_config":{"name":"eth0","mac_address":"BC-24-11-00-00-01"}`, "network_config.0.mac_address", `"BC-24-11-00-00-01" is not a MAC address`, "such as BC:24:11:00:00:01"},
		"a VLAN out of range":           {`"network_config":{"name":"eth0","vlan":4095}`, "network_config.0.vlan", "4095 is not a VLAN from 1 to 4094", ""},
		"a VLAN twice the size":         {`"network_config":{"name":"eth0","trunks":[5,8190]}`, "network_config.0.trunks.1", "8190 is not a VLAN from 1 to 4094", ""},
		"an architecture by its kernel": {`"arch":"x86_64"`, "arch", `"x86_64" is not known`, "one of amd64, i386, arm64, armhf, riscv32, riscv64"},
		"an option of another system":   {`"rootfs":{"mount_options":["noatime","ro"]}`, "rootfs.mount_options.1", `"ro" is not known`, "one of discard, lazytime, noatime, nodev, noexec, nosuid"},
		"no option":                     {`"volumes":[{"storage":"local","size_gb":1,"container_path":"/d","mount_options":[""]}]`, "volumes.0.mount_options.0", `" " is not known`, "one of discard, lazytime, noatime, nodev, noexec, nosuid"},
		"an option with a comma":        {`"mount_points":[{"host_path":"/srv","container_path":"/d","mount_options":["nodev,ro=0"]}]`, "mount_points.0.mount_options.0", `"nodev,ro=0" is not known`, "one of discard, lazytime, noatime, nodev, noexec, nosuid"},
		"quotas without privilege":      {`"rootfs":{"quota":true}`, "rootfs.quota", "an unprivileged container has no quotas", `set "unprivileged": false, or take it out`},
		"a profile with a line break":   {`"apparmor_profile":"a\nmp0: /etc,mp=/x"`, "apparmor_profile", `"a\nmp0: /etc,mp=/x" is not the name of a profile`, "generated, unconfined, or the name of a profile of the host"},
		"a profile in two places":       {`"apparmor_profile":"generated","lxc_options":["lxc.cap.drop: x","lxc.apparmor.profile = a"]`, "lxc_options.1", "apparmor_profile says lxc.apparmor.profile, too", "take the line out"},
		"a map in two places":           {`"idmap":[],"lxc_options":["lxc.idmap: u 0 100000 1"]`, "lxc_options.0", "idmap says lxc.idmap, too", "take the line out"},
		"a map with privilege":          {`"unprivileged":false,` + ids(`"host_id":100000`), "idmap", "a privileged container has the users of the host", "take it out, or set unprivileged to true"},
		"a map to root":                 {ids(`"host_id":0`), "idmap.0.host_id", "0 is root of the host", "a container that is to have it is privileged"},
		"a map below that":              {ids(`"host_id":-5`), "idmap.0.host_id", "-5 is not the first of 9 ids", ""},
		"a map beyond the last number":  {ids(`"host_id":4294967290`), "idmap.0.host_id", "4294967290 is not the first of 9 ids", ""},
		"an unknown sort of ids":        {ids(`"host_id":5,"type":"pid"`), "idmap.0.type", `"pid" is not known`, "one of uid, gid, both"},
		"a map of users alone":          {ids(`"host_id":5,"type":"uid"`), "idmap", "root of the container is mapped to nobody", "a range with container_id 0, of both users and groups"},
		"two ranges of one host":        {ids(`"host_id":5`, `"host_id":13`), "idmap.1.host_id", "overlaps with that of idmap.0", ""},
		"two ranges of one container":   {`"idmap":[{"container_id":0,"host_id":5,"count":9},{"type":"gid","container_id":8,"host_id":500,"count":1}]`, "idmap.1.container_id", "overlaps with that of idmap.0", ""},
		"a map of another root":         {`"template":"debian-12-standard",` + ids(`"host_id":200000`), "idmap", "root of the container would be 200000 of the host, and Proxmox makes the files of one from a template for 100000", "map container_id 0 to host_id 100000; or take template out, where the container is there and its files are others'"},
		"a range of none":               {`"idmap":[{"container_id":0,"host_id":5,"count":9},{"container_id":9,"host_id":50,"count":0}]`, "idmap.1.count", "0 is not a number of ids", ""},
		"a line of ours by hand":        {`"description":"a\n<!-- phoenix: ctid=900 clone=1 -->"`, "description", "has a line that begins with <!-- phoenix:", "take the line out: it is written and kept without"},
		"an MTU out of range":           {`"network_config":{"name":"eth0","mtu":63}`, "network_config.0.mtu", "63 is not an MTU from 64 to 65535", ""},
		"a negative rate":               {`"network_config":{"name":"eth0","rate_mbs":-1}`, "network_config.0.rate_mbs", "-1 is not a rate", "in MB/s"},
		"a relative mount":              {`"mount_points":[{"host_path":"/srv","container_path":"data"}]`, "mount_points.0.container_path", `"data" is not a clean absolute path`, "without //, ., .., a comma or a / at the end"},
		"a mount that climbs":           {`"mount_points":[{"host_path":"/srv/../etc","container_path":"/d"}]`, "mount_points.0.host_path", `"/srv/../etc" is not a clean absolute path`, "without //, ., .., a comma or a / at the end"},
		"a mount with an option in it":  {`"mount_points":[{"host_path":"/srv,ro=0","container_path":"/d"}]`, "mount_points.0.host_path", `"/srv,ro=0" is not a clean absolute path`, "without //, ., .., a comma or a / at the end"},
		"a mount with a line break":     {`"mount_points":[{"host_path":"/srv","container_path":"/d\nlxc.x: y"}]`, "mount_points.0.container_path", `"/d\nlxc.x: y" is not a clean absolute path`, "without //, ., .., a comma or a / at the end"},
		"the host's root":               {`"mount_points":[{"host_path":"/","container_path":"/d"}]`, "mount_points.0.host_path", "the host's root directory must not be given to a container", ""},
		"a path mounted twice":          {`"mount_points":[{"host_path":"/a","container_path":"/d"}],"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/d"}]`, "volumes.0.container_path", "/d is mounted twice, see mount_points.0.container_path", ""},
		"two owners of one directory":   {`"mount_points":[{"host_path":"/a","container_path":"/d","owner_uid":1},{"host_path":"/a","container_path":"/e","owner_uid":2}]`, "mount_points.1.owner_uid", "/a has another owner at /d", ""},
		"a volume without a size":       {`"volumes":[{"storage":"local-lvm","container_path":"/d"}]`, "volumes.0.size_gb", "0 is not a size from above 0 to 131072", "in GiB"},
		"a device elsewhere":            {`"devices":[{"path":"/etc/passwd"}]`, "devices.0.path", `"/etc/passwd" is not below /dev`, ""},
		"a mode of a device":            {`"devices":[{"path":"/dev/null","mode":"666"}]`, "devices.0.mode", `"666" is not a mode`, `four octal digits: "0660"`},
		"a raw option Proxmox drops":    {`"lxc_options":["lxc.foo.bar: 1"]`, "lxc_options.0", "Proxmox does not accept the option lxc.foo.bar", ""},
		"a raw option for the root":     {`"lxc_options":["lxc.rootfs.path: /x"]`, "lxc_options.0", "Proxmox does not accept the option lxc.rootfs.path", ""},
		"a raw option of two lines":     {`"lxc_options":["lxc.tty.dir: a\nmemory: 1"]`, "lxc_options.0", `"lxc.tty.dir: a\nmemory: 1" is not a raw option`, "write it as lxc.KEY: VALUE, without line breaks"},
		"a template and a parent":       {`"template":"debian-12-standard","clone_from_ctid":901`, "clone_from_ctid", "a container comes from a template or from another container, not from both", "take one of the two out"},
		"a parent that is no CTID":      {`"clone_from_ctid":9`, "clone_from_ctid", "9 is not a CTID: they go from 100 to 999999999", ""},
		"itself as a parent":            {`"clone_from_ctid":900`, "clone_from_ctid", "container 900 cannot be a clone of itself", ""},
		"an unknown mode of cloning":    {`"clone_from_ctid":901,"clone_mode":"copy"`, "clone_mode", `"copy" is not known`, "one of linked, full"},
		"a mode and no parent":          {`"clone_mode":"full"`, "clone_mode", "only a clone has a mode", "say clone_from_ctid, too"},
		"a snapshot and no parent":      {`"clone_from_snapshot":"base"`, "clone_from_snapshot", "only a clone comes from a snapshot", "say clone_from_ctid, too"},
		"a linked clone of a snapshot":  {`"clone_from_ctid":901,"clone_mode":"linked","clone_from_snapshot":"base"`, "clone_from_snapshot", "a linked clone comes from a template, which has no snapshots", "take it out, or set clone_mode to full"},
		"a snapshot like a section":     {`"template_snapshot_name":"a]\n[b"`, "template_snapshot_name", `"a]\n[b" is not the name of a snapshot`, "a letter, then letters, digits, _ and -, 2 to 40 in all"},
		"a snapshot of one letter":      {`"template_snapshot_name":"a"`, "template_snapshot_name", `"a" is not the name of a snapshot`, "a letter, then letters, digits, _ and -, 2 to 40 in all"},
		"a name Proxmox keeps":          {`"clone_from_ctid":901,"clone_from_snapshot":"current"`, "clone_from_snapshot", `"current" is not the name of a snapshot`, "a letter, then letters, digits, _ and -, 2 to 40 in all"},
		"a template that runs":          {`"is_template":true,"state":"running"`, "state", "a template cannot run", "leave state out, or set it to stopped"},
		"a template started at boot":    {`"is_template":true,"start_at_boot":true`, "start_at_boot", "a template is never started", "leave it out, or set it to false"},
		"a template with a snapshot":    {`"is_template":true,"template_snapshot_name":"base"`, "template_snapshot_name", "Proxmox makes no template of a container with snapshots", "take one of the two out; a template is cloned without a snapshot"},
		"a template with a directory":   {`"is_template":true,"mount_points":[{"host_path":"/a","container_path":"/d"}]`, "mount_points", "Proxmox makes no template of a container with directories of the host", "give them to its clones"},
		"a snapshot with a directory":   {`"template_snapshot_name":"base","mount_points":[{"host_path":"/a","container_path":"/d"}]`, "template_snapshot_name", "Proxmox takes no snapshot of a container with directories of the host", "use volumes in place of mount_points"},
		"an option that is not raw":     {`"lxc_options":["memory: 1"]`, "lxc_options.0", `"memory: 1" is not a raw option`, "write it as lxc.KEY: VALUE, without line breaks"},
		"a Unicode line separator":      {`"lxc_options":["lxc.environment: a\u2028b"]`, "lxc_options.0", "\"lxc.environment: a\\u2028b\" is not a raw option", "write it as lxc.KEY: VALUE, without line breaks"},
		"a dependency that is no CTID":  {`"depends_on":[1]`, "depends_on.0", "1 is not a CTID: they go from 100 to 999999999", ""},
		"a negative owner":              {`"mount_points":[{"host_path":"/a","container_path":"/d","owner_uid":-1}]`, "mount_points.0.owner_uid", "-1 is below 0", ""},
		"an unspecified address":        {`"network_config":{"name":"eth0","ip":"0.0.0.0/0"}`, "network_config.0.ip", `"0.0.0.0/0" is not the address of a machine`, ""},
		"an IPv6 address without /64":   {`"network_config":{"name":"eth0","ip6":"fd00::5"}`, "network_config.0.ip6", `"fd00::5" has no prefix length`, "did you mean fd00::5/64?"},
		"a device that is given twice":  {`"devices":[{"path":"/dev/null"},{"path":"/dev/null"}]`, "devices.1.path", "/dev/null is passed through twice", ""},
		"an interface name that's long": {`"network_config":{"name":"a234567890123456"}`, "network_config.0.name", `"a234567890123456" is not the name of an interface`, "such as eth0"},
	} {
		t.Run(name, func(t *testing.T) {
			var s lxc.Spec
			text := `{"ctid":900,` + c.spec + `}`
			if strings.HasPrefix(c.spec, `"ctid"`) {
				text = "{" + c.spec + "}"
			}
			if err := tasks.UnmarshalStrict([]byte(text), &s); err != nil {
				t.Fatal(err)
			}
			got := s.Validate()
			want := []tasks.Problem{{Path: c.path, Summary: c.summary, Hint: c.hint}}
			if name == "a name server line break" { // the blank between words is one of its own
				want = []tasks.Problem{{Path: c.path, Summary: c.summary}, {Path: c.path, Summary: "has a control character"}}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("problems %q, want %q", got, want)
			}
		})
	}
}

func TestValidateRefusesANumberThatIsNone(t *testing.T) {
	s := lxc.Spec{CTID: 900, StorageSizeGB: math.NaN()}
	if got := s.Validate(); len(got) != 1 || got[0].Path != "storage_size_gb" {
		t.Errorf("problems %q", got)
	}
}

func TestValidateAcceptsEveryProperty(t *testing.T) {
	if got := decode(t, full).Validate(); len(got) > 0 {
		t.Errorf("problems %q", got)
	}
}

func TestInterfacesAreAListOrOne(t *testing.T) {
	one := decode(t, `{"ctid":900,"network_config":{"name":"eth0"}}`)
	list := decode(t, `{"ctid":900,"network_config":[{"name":"eth0"}]}`)
	if !reflect.DeepEqual(one, list) {
		t.Errorf("%+v, want %+v", one, list)
	}
	for _, bad := range []string{`{"name":"eth0","vlan_id":5}`, `[{"name":"eth0","vlan_id":5}]`, `"eth0"`} {
		var s lxc.Spec
		if err := tasks.UnmarshalStrict([]byte(`{"ctid":900,"network_config":`+bad+`}`), &s); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestSpecSurvivesTheJourney(t *testing.T) {
	for _, text := range []string{full, `{"ctid":900,"tags":[],"pct_options":{"mount":[]},"lxc_options":[],"description":"","idmap":[],"rootfs":{"mount_options":[]},"network_config":[{"name":"eth0","trunks":[]}]}`} {
		s := decode(t, text)
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if again := decode(t, string(raw)); !reflect.DeepEqual(s, again) {
			t.Errorf("%+v came back as %+v", s, again)
		}
	}
}
