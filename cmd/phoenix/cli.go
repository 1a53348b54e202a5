package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"phoenix/tasks/report"
)

// Exit codes that are decided before there is a run; package report has the rest.
const (
	exitOK          = 0
	exitFailed      = 1
	exitInvalid     = 3
	exitStopped     = 5
	exitUsage       = 64
	exitInterrupted = 130
)

// cli is the grammar of the command line. Every flag can also be set by a variable
// of the environment: --max-failures by PHOENIX_MAX_FAILURES.
type cli struct {
	Inventory []string `short:"i" sep:"none" placeholder:"FILE" help:"Inventory: a YAML file, a directory, an executable that prints one, or - for standard input. May be repeated. Default: hosts.yaml."`
	Limit     string   `short:"l" placeholder:"PATTERN" help:"Only these hosts: globs, ! excludes, @ names a group; parts joined by ':' or ','. Example: 'pve*:!pve3:@gpu'."`
	Quiet     bool     `short:"q" help:"No progress, only results and errors."`
	Verbose   int      `short:"v" type:"counter" help:"Say more: -v each step, -vv what programs print."`
	Color     string   `enum:"auto,always,never" default:"auto" placeholder:"WHEN" help:"Colour and glyphs on terminals: auto, always or never."`
	LogFile   string   `placeholder:"FILE" help:"Also append every event as text to this file."`

	Run       runCmd       `cmd:"" help:"Make the hosts what the configuration says, and report."`
	Check     checkCmd     `cmd:"" help:"Report what differs from the configuration; change nothing. Exit status 2 on differences."`
	Validate  validateCmd  `cmd:"" help:"Validate the inventory and all configurations; contact nothing."`
	Inv       inventoryCmd `cmd:"" name:"inventory" help:"Show the inventory: list, show HOST, graph."`
	Facts     factsCmd     `cmd:"" help:"Ask the hosts what they are."`
	GPUs      gpusCmd      `cmd:"" name:"gpus" help:"Show the NVIDIA GPUs of the hosts, who has them, and what runs on them."`
	Exec      execCmd      `cmd:"" help:"Run a command on the hosts, or in a container of theirs."`
	Up        upCmd        `cmd:"" help:"Start every container that is to run, in order, and wait until each is ready."`
	Status    statusCmd    `cmd:"" help:"Show what the containers are doing: state, uptime, memory, address, drift."`
	Start     startCmd     `cmd:"" help:"Start containers, and wait until they are ready."`
	Stop      stopCmd      `cmd:"" help:"Stop containers."`
	Restart   restartCmd   `cmd:"" help:"Stop containers and start them again; start those that are stopped."`
	Snapshot  snapshotCmd  `cmd:"" help:"Take, take away and list snapshots of containers."`
	Rollback  rollbackCmd  `cmd:"" help:"Put a container back to a snapshot. Asks for its name."`
	Destroy   destroyCmd   `cmd:"" help:"Destroy containers. Asks for their names."`
	Clean     cleanCmd     `cmd:"" help:"Remove what phoenix keeps for itself from the hosts: helpers, records, downloads, the lock. What it configured stays."`
	Report    reportCmd    `cmd:"" help:"List, show and compare the runs that were kept."`
	Lab       labCmd       `cmd:"" help:"Start simulated Proxmox hosts behind real SSH servers, to try a configuration on."`
	Schema    schemaCmd    `cmd:"" help:"Print a JSON Schema: hypervisor, lxc, inventory, feature or report."`
	VersionOf versionCmd   `cmd:"" name:"version" help:"Print the version and the helpers inside."`
}

// exitError carries the exit code of an outcome that has been told already.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// kongExit is panicked by kong's own exits (--help) and caught in main.
type kongExit int

// main parses the arguments, runs the command, and returns the exit code.
func (p *program) main(args []string) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case kongExit:
			code = int(r)
		default:
			panic(r)
		}
	}()
	var grammar cli
	parser, err := p.parser(&grammar)
	if err != nil {
		fmt.Fprintln(p.stderr, "phoenix: build the command line:", err)
		return exitFailed
	}
	if len(args) == 1 && args[0] == "--version" {
		// Not a flag: PHOENIX_VERSION, which it would listen to, is a name that
		// people give to variables of their own.
		args = []string{"version"}
	}
	p.misspelled(parser.Model)
	parsed, err := parser.Parse(args)
	if err == nil {
		err = given(parsed)
	}
	if err != nil {
		return p.usage(parsed, err)
	}
	code = p.outcome(parsed.Run())
	// Where a command failed, it has told why by itself.
	if err := p.lost(); err != nil && (code == exitOK || code == report.ExitDrift) {
		fmt.Fprintf(p.stderr, "phoenix: write standard output: %v\n", err)
		return exitFailed
	}
	return code
}

// parser builds the command line's grammar over its values.
func (p *program) parser(grammar *cli) (*kong.Kong, error) {
	return kong.New(grammar,
		kong.Name("phoenix"),
		kong.Description("Turns a fleet of Proxmox VE hosts into what two JSON files say they should be.\n\n"+exitCodes),
		kong.DefaultEnvars("PHOENIX"),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(kongExit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 110}),
		kong.Bind(p, grammar),
	)
}

// exitCodes is the table that --help prints.
const exitCodes = `Exit status: 0 done, or in sync; 1 a step failed; 2 check and --dry-run: differences; 3 configuration invalid; 4 a host was unreachable; 5 stopped by a rule; 64 usage; 130, 143 interrupted.`

// usage tells of a command line that cannot be understood.
func (p *program) usage(parsed *kong.Context, err error) int {
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		parsed = parse.Context
	}
	var ours *usageError
	if errors.As(err, &ours) {
		// Without the names that kong puts in front of what is found too late.
		err = ours
	}
	fmt.Fprintf(p.stderr, "phoenix: %v\n", err)
	if parsed != nil && parsed.Command() != "" {
		if hint := instead(commandName(parsed), err.Error()); hint != "" {
			fmt.Fprintf(p.stderr, "hint: %s\n", hint)
		}
		fmt.Fprintf(p.stderr, "hint: phoenix %s --help\n", commandName(parsed))
	} else {
		fmt.Fprintln(p.stderr, "hint: phoenix --help")
	}
	return exitUsage
}

// instead is what to type where a command line shows what was meant.
func instead(command, fault string) string {
	word, unexpected := strings.CutPrefix(fault, "unexpected argument ")
	switch {
	case unexpected && (command == "run" || command == "check"):
		if _, err := strconv.Atoi(word); err == nil {
			return fmt.Sprintf("phoenix %s --tags ct%s takes that container only", command, word)
		}
		return "--limit takes hosts, --tags steps and containers: --tags ct900"
	case command == "rollback" && strings.Contains(fault, `"<snapshot>"`):
		return "phoenix snapshot list shows the snapshots that there are"
	}
	return ""
}

// commandName is the words of the command without its arguments.
func commandName(c *kong.Context) string {
	name := ""
	for n := c.Selected(); n != nil && n.Type == kong.CommandNode; n = n.Parent {
		if name == "" {
			name = n.Name
		} else {
			name = n.Name + " " + name
		}
	}
	return name
}

// outcome turns the error of a command into its exit code, and tells it unless that
// has been done.
func (p *program) outcome(err error) int {
	var code exitError
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "phoenix: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(p.stderr, "phoenix: %v\n", err)
	return exitFailed
}

// usageError is an argument that parsed and still makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }
