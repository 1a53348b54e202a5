package taskstest

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"phoenix/tasks"
)

// unitDir holds one file per unit of a Tree: "LOAD ACTIVE FILE".
const unitDir = "/run/units/"

// Unit describes a unit for NewTree: put it under UnitFile(name).
func Unit(load, active, file string) string { return load + " " + active + " " + file }

// UnitFile is where Systemctl keeps the state of a unit.
func UnitFile(name string) string { return unitDir + name }

// Systemctl is a systemctl with show, enable, disable, start, stop and
// daemon-reload, for units that are kept below UnitFile.
func Systemctl() Program {
	return func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		name := c.Argv[len(c.Argv)-1]
		state := []string{"not-found", "inactive", ""}
		data, err := h.ReadFile(UnitFile(name))
		if err == nil {
			state = strings.Split(strings.TrimSuffix(string(data), "\n"), " ")
		} else if !errors.Is(err, fs.ErrNotExist) {
			return tasks.Output{Code: 1, Stderr: []byte(err.Error())}
		}
		switch c.Argv[1] {
		case "daemon-reload":
			return tasks.Output{}
		case "show":
			return tasks.Output{Stdout: []byte("LoadState=" + state[0] + "\nActiveState=" + state[1] + "\nUnitFileState=" + state[2] + "\nNeedDaemonReload=no\n")}
		}
		if state[0] == "not-found" {
			return tasks.Output{Code: 5, Stderr: []byte("Failed to " + c.Argv[1] + " " + name + ": Unit " + name + " not found.\n")}
		}
		switch c.Argv[1] {
		case "enable":
			state[2] = "enabled"
		case "disable":
			state[2] = "disabled"
		case "start":
			state[1] = "active"
		case "stop":
			state[1] = "inactive"
		default:
			return tasks.Output{Code: 1, Stderr: []byte("Unknown command verb " + c.Argv[1] + ".\n")}
		}
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: UnitFile(name), Data: []byte(strings.Join(state, " "))}); err != nil {
			return tasks.Output{Code: 1, Stderr: []byte(err.Error())}
		}
		return tasks.Output{}
	}
}
