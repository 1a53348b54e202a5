package lxc_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

// TestEachPropertyIsSentAlone changes one property of a container and wants exactly
// one call with exactly that property, and then nothing.
func TestEachPropertyIsSentAlone(t *testing.T) {
	const mac = "BC:24:11:00:00:0A"
	set := func(call string) string { return "set 900 " + call }
	for name, c := range map[string]struct {
		more   string // of the spec
		path   string
		effect tasks.Effect // while the container runs
		call   string
	}{
		"name":             {`"name":"web2.lan"`, "name", tasks.EffectLive, set("--hostname web2.lan")},
		"description":      {`"description":"a\nb"`, "description", tasks.EffectLive, set("--description a\nb\n" + fromTemplate)},
		"tags":             {`"tags":["Web","prod","web"]`, "tags", tasks.EffectLive, set("--tags prod;web")},
		"memory":           {`"memory_mb":1024`, "memory_mb", tasks.EffectLive, set("--memory 1024")},
		"swap":             {`"swap_mb":0`, "swap_mb", tasks.EffectLive, set("--swap 0")},
		"cores":            {`"cores":2`, "cores", tasks.EffectLive, set("--cores 2")},
		"processor limit":  {`"cpu_limit":0.5`, "cpu_limit", tasks.EffectLive, set("--cpulimit 0.5")},
		"processor weight": {`"cpu_units":200`, "cpu_units", tasks.EffectLive, set("--cpuunits 200")},
		"start at boot":    {`"start_at_boot":true`, "start_at_boot", tasks.EffectLive, set("--onboot 1")},
		"boot order":       {`"boot_order":2`, "boot_order", tasks.EffectLive, set("--startup order=2")},
		"boot delay":       {`"boot_delay_s":9`, "boot_delay_s", tasks.EffectLive, set("--startup up=9")},
		"shutdown timeout": {`"shutdown_timeout_s":30`, "shutdown_timeout_s", tasks.EffectLive, set("--startup down=30")},
		"protection":       {`"protection":true`, "protection", tasks.EffectLive, set("--protection 1")},
		"keyctl":           {`"pct_options":{"keyctl":true}`, "pct_options.keyctl", tasks.EffectRestart, set("--features keyctl=1,nesting=1")},
		"nesting off":      {`"pct_options":{"nesting":false}`, "pct_options.nesting", tasks.EffectRestart, set("--delete features")},
		"writable /sys":    {`"pct_options":{"force_rw_sys":true}`, "pct_options.force_rw_sys", tasks.EffectRestart, set("--features force_rw_sys=1,nesting=1")},
		"architecture":     {`"arch":"i386"`, "arch", tasks.EffectRestart, set("--arch i386")},
		"root's options":   {`"rootfs":{"mount_options":["nosuid","noatime"]}`, "rootfs.mount_options", tasks.EffectRestart, set("--rootfs local-lvm:vm-900-disk-0,mountoptions=noatime;nosuid,size=4G")},
		"root without ACL": {`"rootfs":{"acl":false}`, "rootfs.acl", tasks.EffectRestart, set("--rootfs local-lvm:vm-900-disk-0,acl=0,size=4G")},
		"mount types":      {`"pct_options":{"mount":["nfs","cifs"]}`, "pct_options.mount", tasks.EffectRestart, set("--features mount=cifs;nfs,nesting=1")},
		"name servers":     {`"nameserver":"1.1.1.1;9.9.9.9"`, "nameserver", tasks.EffectRestart, set("--nameserver 1.1.1.1 9.9.9.9")},
		"search domain":    {`"searchdomain":"lan"`, "searchdomain", tasks.EffectRestart, set("--searchdomain lan")},
		"time zone":        {`"timezone":"UTC"`, "timezone", tasks.EffectRestart, set("--timezone UTC")},
		"console":          {`"console":false`, "console", tasks.EffectRestart, set("--console 0")},
		"console mode":     {`"console_mode":"shell"`, "console_mode", tasks.EffectRestart, set("--cmode shell")},
		"the hook":         {`"hookscript":"local:snippets/hook.sh"`, "hookscript", tasks.EffectLive, set("--hookscript local:snippets/hook.sh")},
		"the system":       {`"os_type":"alpine"`, "os_type", tasks.EffectRestart, set("--ostype alpine")},
		"the cable": {`"network_config":{"name":"eth0","link_down":true}`, "network_config.eth0.link_down", tasks.EffectLive,
			set("--net0 name=eth0,bridge=vmbr0,hwaddr=" + mac + ",ip=dhcp,link_down=1,tag=7,type=veth")},
		"MTU": {`"network_config":{"name":"eth0","mtu":1400}`, "network_config.eth0.mtu", tasks.EffectRestart,
			set("--net0 name=eth0,bridge=vmbr0,hwaddr=" + mac + ",ip=dhcp,mtu=1400,tag=7,type=veth")},
		"terminals": {`"tty_count":4`, "tty_count", tasks.EffectRestart, set("--tty 4")},
		"address": {`"network_config":{"name":"eth0","ip":"10.99.99.9/24"}`, "network_config.eth0.ip", tasks.EffectLive,
			set("--net0 name=eth0,bridge=vmbr0,hwaddr=" + mac + ",ip=10.99.99.9/24,tag=7,type=veth")},
		"bridge": {`"network_config":{"name":"eth0","bridge":"vmbr1"}`, "network_config.eth0.bridge", tasks.EffectLive,
			set("--net0 name=eth0,bridge=vmbr1,hwaddr=" + mac + ",ip=dhcp,tag=7,type=veth")},
		"firewall": {`"network_config":{"name":"eth0","firewall":true}`, "network_config.eth0.firewall", tasks.EffectLive,
			set("--net0 name=eth0,bridge=vmbr0,firewall=1,hwaddr=" + mac + ",ip=dhcp,tag=7,type=veth")},
		"MAC address": {`"network_config":{"name":"eth0","mac_address":"bc:24:11:00:00:0b"}`, "network_config.eth0.mac_address", tasks.EffectLive,
			set("--net0 name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:0B,ip=dhcp,tag=7,type=veth")},
		"a second interface": {`"network_config":[{"name":"lan1","bridge":"vmbr1","ip6":"auto"}]`, "network_config.lan1", tasks.EffectLive,
			set("--net1 name=lan1,bridge=vmbr1,ip6=auto")},
		"trunks": {`"network_config":{"name":"eth0","trunks":[30,4,30]}`, "network_config.eth0.trunks", tasks.EffectRestart,
			set("--net0 name=eth0,bridge=vmbr0,hwaddr=" + mac + ",ip=dhcp,tag=7,trunks=4;30,type=veth")},
		"options of a volume": {`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/data","mount_options":["noatime"]}]`,
			"volumes./data.mount_options", tasks.EffectRestart, set("--mp0 local-lvm:vm-900-disk-1,mp=/data,mountoptions=noatime,size=1G")},
		"a volume that is not replicated": {`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/data","replicate":false}]`,
			"volumes./data.replicate", tasks.EffectRestart, set("--mp0 local-lvm:vm-900-disk-1,mp=/data,replicate=0,size=1G")},
		"a shared mount": {`"mount_points":[{"host_path":"/srv","container_path":"/host","shared":true,"replicate":false,"mount_options":["nodev"]}]`,
			"mount_points./host", tasks.EffectLive, set("--mp1 /srv,mp=/host,mountoptions=nodev,replicate=0,shared=1")},
		"a mount":      {`"mount_points":[{"host_path":"/srv","container_path":"/host"}]`, "mount_points./host", tasks.EffectLive, set("--mp1 /srv,mp=/host")},
		"a volume":     {`"volumes":[{"storage":"local-lvm","size_gb":1.5,"container_path":"/db"}]`, "volumes./db", tasks.EffectLive, set("--mp1 local-lvm:1.5,mp=/db")},
		"a device":     {`"devices":[{"path":"/dev/null","mode":"0666"}]`, "devices./dev/null", tasks.EffectRestart, set("--dev0 /dev/null,mode=0666")},
		"backup":       {`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/data","backup":true}]`, "volumes./data.backup", tasks.EffectRestart, set("--mp0 local-lvm:vm-900-disk-1,mp=/data,backup=1,size=1G")},
		"root volume":  {`"storage_size_gb":6.5`, "storage_size_gb", tasks.EffectLive, "resize 900 rootfs 6656M"},
		"grown volume": {`"volumes":[{"storage":"local-lvm","size_gb":3,"container_path":"/data"}]`, "volumes./data.size_gb", tasks.EffectLive, "resize 900 mp0 3G"},
		"state":        {`"state":"stopped"`, "state", tasks.EffectLive, "shutdown 900 --timeout 60 --forceStop 1"},
	} {
		for _, state := range []string{"running", "stopped"} {
			if state == "stopped" && c.effect != tasks.EffectRestart {
				continue // the same as for a running one
			}
			t.Run(name+", "+state, func(t *testing.T) {
				m := newGuest(t, `{"ctid":900,"name":"web1","template":"debian-12-standard","storage_pool":"local-lvm","storage_size_gb":4,`+
					`"network_config":{"name":"eth0","bridge":"vmbr0","ip":"dhcp","mac_address":"`+mac+`","vlan":7},"pct_options":{"nesting":true},`+
					`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/data"}],"state":"`+state+`"}`)
				taskstest.Put(t, m.sim.Host(), "/var/lib/vz/snippets/hook.sh", "#!/bin/sh\n")
				executable := fs.FileMode(0o755)
				if err := m.sim.Host().Write(t.Context(), tasks.Edit{Verb: tasks.VerbAttr, Path: "/var/lib/vz/snippets/hook.sh", Mode: &executable}); err != nil {
					t.Fatal(err)
				}
				want := `{"ctid":900,` + c.more + `,"state":"` + state + `"}`
				if name == "state" {
					want = `{"ctid":900,` + c.more + `}`
				}
				res := m.check(t, want)
				effect := c.effect
				if state == "stopped" {
					effect = tasks.EffectLive
				}
				if len(res.Changes) != 1 || res.Changes[0].Path != c.path || res.Changes[0].Effect != effect {
					t.Fatalf("check: %s %+v, want %s alone, %s", res.Why, res.Changes, c.path, effect)
				}
				calls := []string{c.call}
				if effect == tasks.EffectRestart {
					calls = append(calls, "shutdown 900 --timeout 60 --forceStop 1", "start 900")
				}
				wantStatus(t, m.apply(t, want, tasks.Consent{Restart: true}), tasks.StatusChanged)
				wantCalls(t, m, calls...)
				wantStatus(t, m.apply(t, want, tasks.Consent{Restart: true}), tasks.StatusOK)
				wantCalls(t, m, calls...)
			})
		}
	}
}

func TestSeveralPropertiesGoInOneCall(t *testing.T) {
	m := newGuest(t, spec(`"tags":["a"],"start_at_boot":true`))
	s := strings.NewReplacer(`"memory_mb":512`, `"memory_mb":2048`, `"ip":"dhcp"`, `"ip":"10.99.99.9/24","gw":"10.99.99.1"`).
		Replace(spec(`"tags":[],"start_at_boot":false,"boot_order":1`))
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	calls := m.pct()
	if len(calls) != 1 || !strings.HasSuffix(calls[0], " --onboot 0 --startup order=1 --delete tags") {
		t.Errorf("pct was called as %q", calls)
	}
}

func TestGatewayGoesWithTheStaticAddress(t *testing.T) {
	m := newGuest(t, strings.Replace(spec(""), `"ip":"dhcp"`, `"ip":"10.99.99.9/24","gw":"10.99.99.1"`, 1))
	res := m.apply(t, spec(""), tasks.Consent{})
	wantStatus(t, res, tasks.StatusChanged)
	if got := paths(res.Changes); !slices.Equal(got, []string{"network_config.eth0.ip", "network_config.eth0.gw"}) {
		t.Errorf("changes %q", got)
	}
	if strings.Contains(m.line(t, "net0"), "gw=") {
		t.Error(m.line(t, "net0"))
	}
}

func TestWhatMeansTheSameIsNoDifference(t *testing.T) {
	for name, c := range map[string]struct{ old, fresh, more string }{
		"a boolean in words":           {"features: nesting=1", "features: nesting=yes", ""},
		"a number with zeros":          {"memory: 512", "cpulimit: 0.50\nmemory: 512", `"cpu_limit":0.5`},
		"a bare boot order":            {"memory: 512", "memory: 512\nstartup: 2", `"boot_order":2`},
		"tags in another form":         {"unprivileged: 1", "tags: b;A\nunprivileged: 1", `"tags":["a","B"]`},
		"a list with commas":           {"memory: 512", "memory: 512\nnameserver: 1.1.1.1,9.9.9.9", `"nameserver":"1.1.1.1 9.9.9.9"`},
		"a size in another unit":       {"size=4G", "size=4096M", ""},
		"defaults that are not there":  {"swap: 512\n", "", `"swap_mb":512,"start_at_boot":false,"console":true,"tty_count":2,"cpu_units":100,"shutdown_timeout_s":180`},
		"a mount path by hand":         {"ostype:", "mp0: /srv,mp=data/\nostype:", `"mount_points":[{"host_path":"/srv","container_path":"/data"}]`},
		"a measured volume":            {"size=4G", "size=4100M", `"storage_size_gb":4.001`},
		"a MAC address in lower case":  {"hwaddr=BC", "hwaddr=bc", ""},
		"an option of another version": {"memory: 512", "memory: 512\nentrypoint: /sbin/init", ""},
		"an interface that is unknown": {"ostype:", "net7: name=other,bridge=vmbr9\nostype:", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(""))
			m.hand(t, c.old, c.fresh)
			wantStatus(t, m.check(t, spec(c.more)), tasks.StatusOK)
		})
	}
}

func TestRawOptionsKeepTheRestOfTheFile(t *testing.T) {
	m := newGuest(t, spec(`"state":"stopped"`))
	const head = "#a note%3A kept\narch: amd64\nlxc.cap.drop: sys_time\ncores: 1\nfeatures: nesting=1\nfuture: thing\nhostname: web1\nmemory: 512\n"
	const tail = "\n[pve:pending]\ndelete: onboot\n\n[before]\nlxc.cap.drop: sys_admin\nmemory: 64\nsnaptime: 1700000000\n"
	rest := "rootfs: local-lvm:vm-900-disk-0,size=4G\nswap: 512\nunprivileged: 1\n"
	taskstest.Put(t, m.sim.Host(), "/etc/pve/lxc/900.conf", head+rest+tail)
	s := `{"ctid":900,"state":"stopped","lxc_options":["lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file","lxc.cgroup2.devices.allow: c 10:200 rwm"]}`
	res := m.apply(t, s, tasks.Consent{})
	wantStatus(t, res, tasks.StatusChanged)
	want := strings.Replace(head, "lxc.cap.drop: sys_time\n", "", 1) + rest +
		"lxc.mount.entry: /dev/net/tun dev/net/tun none bind,create=file\nlxc.cgroup2.devices.allow: c 10:200 rwm\n" + tail
	if got := m.conf(t); got != want {
		t.Errorf("configuration\n%s\nwant\n%s", got, want)
	}
	ops := m.Changes()
	if len(ops) != 1 || ops[0].Edit.Lock != "/run/lock/lxc/pve-config-900.lock" {
		t.Errorf("did %v, want one edit under Proxmox's lock", ops)
	}
}

func TestOwnersAreMappedIntoTheHost(t *testing.T) {
	mount := `"mount_points":[{"host_path":"/srv/data","container_path":"/data","owner_uid":33,"owner_gid":0,"create":true}]`
	for name, c := range map[string]struct {
		more     string
		uid, gid int
	}{
		"unprivileged":     {mount, 100033, 100000},
		"privileged":       {mount + `,"unprivileged":false`, 33, 0},
		"own mapping":      {mount + `,"lxc_options":["lxc.idmap: u 0 200000 65536","lxc.idmap: g 0 300000 65536"]`, 200033, 300000},
		"a map of its own": {mount + `,"idmap":[{"container_id":0,"host_id":100000,"count":33},{"container_id":33,"host_id":150000,"count":1}]`, 150000, 100000},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "8.4")
			taskstest.Put(t, m.sim.Host(), "/etc/subuid", "root:100000:200000\n")
			taskstest.Put(t, m.sim.Host(), "/etc/subgid", "root:100000:300000\n")
			wantStatus(t, m.apply(t, spec(c.more), tasks.Consent{}), tasks.StatusChanged)
			info, err := m.sim.Host().Stat("/srv/data")
			if err != nil || info.UID != c.uid || info.GID != c.gid {
				t.Errorf("owner %d:%d (%v), want %d:%d", info.UID, info.GID, err, c.uid, c.gid)
			}
		})
	}
	m := newMachine(t, "8.4")
	res := m.apply(t, spec(strings.Replace(mount, "33", "70000", 1)), tasks.Consent{})
	if !strings.Contains(res.Why, "owner_uid 70000 of the container has no number on the host") || len(m.Changes()) > 0 {
		t.Errorf("why %q, changes %v", res.Why, m.Changes())
	}
}

func TestProtectionIsSwitchedInCallsOfItsOwn(t *testing.T) {
	m := newGuest(t, spec(`"protection":true`))
	more := strings.Replace(spec(`"protection":false`), `"memory_mb":512`, `"memory_mb":1024`, 1)
	wantStatus(t, m.apply(t, more, tasks.Consent{}), tasks.StatusChanged)
	less := spec(`"protection":true`)
	wantStatus(t, m.apply(t, less, tasks.Consent{}), tasks.StatusChanged)
	wantCalls(t, m, "set 900 --protection 0", "set 900 --memory 1024", "set 900 --memory 512", "set 900 --protection 1")
}
