package main

import (
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"

	"phoenix/tasks/report"
)

// reportCmd is `phoenix report`.
type reportCmd struct {
	List reportListCmd `cmd:"" help:"List the runs that were kept, newest first."`
	Show reportShowCmd `cmd:"" help:"Show the report of a run again."`
	Diff reportDiffCmd `cmd:"" help:"Compare two runs: hosts, steps and properties that are not the same."`
}

type reportListCmd struct {
	Max int     `short:"n" default:"20" help:"How many runs; 0 lists all."`
	Out listing `embed:""`
}

func (p *program) store() (report.Store, error) {
	dir, err := report.StoreDir(p.environ)
	return report.Store{Dir: dir}, err
}

// Run is called by kong.
func (c *reportListCmd) Run(p *program) error {
	store, err := p.store()
	if err != nil {
		return err
	}
	ids, err := store.List()
	if err != nil {
		return err
	}
	if c.Max > 0 {
		ids = ids[:min(c.Max, len(ids))]
	}
	rows := make([]keptRun, len(ids))
	for i, id := range ids {
		rows[i].Run = id
		r, err := store.Load(id)
		if err != nil {
			rows[i].Error = err.Error()
			continue
		}
		rows[i].Command, rows[i].Hosts, rows[i].ExitCode = r.Command, r.Totals.Hosts, r.ExitCode
	}
	if c.Out.Output == "json" {
		return p.printJSON(rows)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tCOMMAND\tHOSTS\tCHANGED\tDRIFTED\tFAILED\tUNREACHABLE\tNOT STARTED\tEXIT")
	for _, r := range rows {
		if r.Error != "" {
			fmt.Fprintf(w, "%s\t(%s)\n", r.Run, r.Error)
			continue
		}
		n := r.Hosts
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.Run, r.Command, n.Total, n.Changed, n.Drifted, n.Failed, n.Unreachable, n.NotStarted, r.ExitCode)
	}
	return w.Flush()
}

// keptRun is a row of `report list`.
type keptRun struct {
	Run     string `json:"run"`
	Command string `json:"command,omitempty"`
	// Hosts counts them by status.
	Hosts    report.HostCounts `json:"hosts"`
	ExitCode int               `json:"exit_code"`
	// Error says why the run cannot be read.
	Error string `json:"error,omitempty"`
}

// kept loads a run. One that is not there was named wrongly.
func kept(store report.Store, id string) (report.Report, error) {
	if err := report.CheckRunID(id); err != nil {
		return report.Report{}, &usageError{fmt.Sprintf("%q names no run; phoenix report list has those that are kept", id)}
	}
	r, err := store.Load(id)
	if errors.Is(err, fs.ErrNotExist) {
		err = &usageError{fmt.Sprintf("no run %s is kept; phoenix report list has those that are", id)}
	}
	return r, err
}

// newest is the run that was recorded last.
func newest(store report.Store) (string, error) {
	ids, err := store.List()
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", fmt.Errorf("find the newest run: none are kept below %s", store.Dir)
	}
	// A run whose disk was full left a folder that nobody can read.
	for _, id := range ids {
		if _, err := store.Load(id); err == nil {
			return id, nil
		}
	}
	return ids[0], nil
}

type reportShowCmd struct {
	ID  string `arg:"" name:"run" optional:"" help:"Run to show; the newest by default."`
	Out output `embed:""`
}

// Run is called by kong.
func (c *reportShowCmd) Run(p *program, g *cli) error {
	store, err := p.store()
	if err != nil {
		return err
	}
	id := c.ID
	if id == "" {
		if id, err = newest(store); err != nil {
			return err
		}
	}
	r, err := kept(store, id)
	if err != nil {
		return err
	}
	rec := &recording{p: p, g: g}
	defer rec.close()
	if err := rec.open(request{output: c.Out}.outputs()); err != nil {
		return err
	}
	for _, s := range rec.outputs {
		if s.ndjson == nil {
			continue
		}
		events, err := store.Events(id)
		if err != nil {
			return err
		}
		for _, e := range events {
			s.ndjson.Event(e)
		}
	}
	return rec.write(r)
}
