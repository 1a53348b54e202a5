package render

import (
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
)

// Next is the one command to type after a run, or empty when there is nothing left to
// do or nothing that a command would mend. It agrees to nothing that the operator has
// not agreed to: what loses data or stops guests is named beside what was refused, and is
// not to be had by pasting a line.
func Next(r report.Report) string {
	command := func(verb, limit string, more ...string) string {
		words := append([]string{"phoenix", verb}, r.Args...)
		if limit != "" {
			words = append(words, "--limit", limit)
		}
		return line(append(words, more...))
	}
	if r.Command != "run" && r.Command != "check" {
		return ""
	}
	counts := r.Totals.Hosts
	switch {
	case r.DryRun && (r.Signal != "" || r.Stopped != ""):
		return command("run", r.Limit, dry(r)...)
	case r.Signal != "" || r.Stopped != "":
		return command("check", r.Limit)
	case counts.Failed > 0 && r.ReadOnly() && untold(r) && mendable(r):
		return command("run", r.Limit)
	case counts.Failed > 0 && r.Command == "check" && onlyCards(r):
		return command("gpus", among(r, report.HostFailed))
	case counts.Failed > 0:
		return command(r.Command, among(r, report.HostFailed), append(dry(r), "-v")...)
	case counts.Unreachable > 0:
		return command(r.Command, among(r, report.HostUnreachable), dry(r)...)
	case counts.Drifted > 0 && r.ReadOnly() && mendable(r):
		return command("run", r.Limit)
	}
	return ""
}

// untold tells whether all that did not end well could only not be told, as of a container
// that a run would start.
func untold(r report.Report) bool {
	for _, h := range r.Hosts {
		for _, s := range h.Steps {
			if s.Status == tasks.StatusFailed || s.Status == tasks.StatusSkipped && s.Cause != tasks.CauseNeed {
				return false
			}
		}
	}
	return true
}

// onlyCards tells whether all that failed are cards: asking again would say the same, and
// what they are and do is shown elsewhere.
func onlyCards(r report.Report) bool {
	for _, h := range r.Hosts {
		if h.Status != report.HostFailed {
			continue
		}
		if h.Error != nil || len(h.Steps) == 0 {
			return false
		}
		for _, s := range h.Steps {
			if bad := s.Status == tasks.StatusFailed || s.Status == tasks.StatusUnknown; bad && (s.ID != gpus.StepID || s.Cause != "") {
				return false
			}
		}
	}
	return true
}

// mendable tells whether a plain run would mend some of what a check has found.
func mendable(r report.Report) bool {
	for _, h := range r.Hosts {
		changes := 0
		for _, s := range h.Steps {
			if slices.ContainsFunc(s.Changes, func(c tasks.Change) bool { return !c.Held() && c.Effect != tasks.EffectReboot }) {
				return true
			}
			changes += len(s.Changes)
		}
		if h.Status == report.HostDrifted && changes == 0 {
			return true // it is not told what differs
		}
	}
	return false
}

func dry(r report.Report) []string {
	if r.DryRun {
		return []string{"--dry-run"}
	}
	return nil
}

// limitHosts is how many names a suggested limit has at most; with more, the limit of
// the run itself is repeated.
const limitHosts = 3

// among is a limit that selects the hosts with a status.
func among(r report.Report, status report.HostStatus) string {
	var names []string
	for _, h := range r.Hosts {
		if h.Status == status {
			names = append(names, h.Name)
		}
	}
	if len(names) == len(r.Hosts) || len(names) > limitHosts {
		return r.Limit
	}
	return strings.Join(names, ":")
}

// line joins words so that a POSIX shell reads them as they are.
func line(words []string) string {
	harmless := regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if !harmless.MatchString(w) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
