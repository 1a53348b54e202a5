package sim

import "strings"

// pctUsage is what pct of pve-container 5.3.5 prints when it does not know the verb.
const pctUsage = `USAGE: pct <COMMAND> [ARGS] [OPTIONS]

       pct clone <vmid> <newid> [OPTIONS]
       pct create <vmid> <ostemplate> [OPTIONS]
       pct destroy <vmid> [OPTIONS]
       pct list 
       pct migrate <vmid> <target> [OPTIONS]
       pct move-volume <vmid> <volume> [<storage>] [<target-vmid>] [<target-volume>] [OPTIONS]
       pct pending <vmid>
       pct resize <vmid> <disk> <size> [OPTIONS]
       pct restore <vmid> <ostemplate> [OPTIONS]
       pct template <vmid>

       pct config <vmid> [OPTIONS]
       pct set <vmid> [OPTIONS]

       pct delsnapshot <vmid> <snapname> [OPTIONS]
       pct listsnapshot <vmid>
       pct rollback <vmid> <snapname> [OPTIONS]
       pct snapshot <vmid> <snapname> [OPTIONS]

       pct reboot <vmid> [OPTIONS]
       pct resume <vmid>
       pct shutdown <vmid> [OPTIONS]
       pct start <vmid> [OPTIONS]
       pct stop <vmid> [OPTIONS]
       pct suspend <vmid>

       pct console <vmid> [OPTIONS]
       pct cpusets 
       pct df <vmid>
       pct enter <vmid> [OPTIONS]
       pct exec <vmid> [<extra-args>] [OPTIONS]
       pct fsck <vmid> [OPTIONS]
       pct fstrim <vmid> [OPTIONS]
       pct mount <vmid>
       pct pull <vmid> <path> <destination> [OPTIONS]
       pct push <vmid> <file> <destination> [OPTIONS]
       pct remote-migrate <vmid> [<target-vmid>] <target-endpoint> --target-bridge <string> --target-storage <string> [OPTIONS]
       pct rescan  [OPTIONS]
       pct status <vmid> [OPTIONS]
       pct unlock <vmid>
       pct unmount <vmid>

       pct help [<extra-args>] [OPTIONS]
`

// usageOf is the line of pctUsage for a verb, without its indentation.
func usageOf(verb string) string {
	for line := range strings.SplitSeq(pctUsage, "\n") {
		line = strings.TrimPrefix(line, "       ")
		if strings.HasPrefix(line, "pct "+verb+" ") {
			return line
		}
	}
	return "pct " + verb
}

// pctHelpConfig is the help of the one verb whose help was recorded.
const pctHelpConfig = `
  Get container configuration.

  <vmid>     <integer> (100 - 999999999)
	     The (unique) ID of the VM.

  --current  <boolean>	 (default=0)
	     Get current values (instead of pending values).

  --snapshot <string>
	     Fetch config values from given snapshot.
`

// pctHelp serves `pct help [VERB]`.
func pctHelp(c *call) int {
	if len(c.argv) < 3 {
		c.printf("%s", pctUsage)
		return 0
	}
	verb := c.argv[2]
	if _, ok := findVerb(verb); !ok {
		c.errorf("ERROR: no such command 'pct %s'\n%s", verb, pctUsage)
		return 255
	}
	c.printf("USAGE: %s\n", usageOf(verb))
	if verb == "config" {
		c.printf("%s", pctHelpConfig)
	}
	return 0
}
