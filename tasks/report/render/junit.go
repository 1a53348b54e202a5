package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// The elements of a JUnit report, as the Jenkins xUnit plugin's schema (junit-10.xsd)
// has them: one suite per host, one case per step.
type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	Name    string   `xml:"name,attr"`
	junitCounts
	Suites []junitSuite `xml:"testsuite"`
}

type junitCounts struct {
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr"`
	Time     string `xml:"time,attr"`
}

type junitSuite struct {
	Name string `xml:"name,attr"`
	junitCounts
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Hostname  string      `xml:"hostname,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitOutcome `xml:"failure,omitempty"`
	Error   *junitOutcome `xml:"error,omitempty"`
	Skipped *junitOutcome `xml:"skipped,omitempty"`
	// Out is the warnings of a step that ended well.
	Out string `xml:"system-out,omitempty"`
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML: differences that a check found and refused
// steps are failures; steps that failed or could not tell, and hosts that ended badly
// as a whole (a case called "host"), are errors; steps not tried, and changes that
// wait for a restart, are skipped.
func JUnit(w io.Writer, r report.Report) error {
	all := junitSuites{Name: "phoenix " + r.Command}
	for _, h := range r.Hosts {
		s := junitHost(h)
		all.Suites = append(all.Suites, s)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
	}
	all.Time = seconds(r.DurationMS)
	raw, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encode JUnit report: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, raw)
	return err
}

func junitHost(h report.Host) junitSuite {
	s := junitSuite{Name: h.Name, Hostname: h.Name}
	s.Time = seconds(h.DurationMS)
	if !h.Started.IsZero() {
		s.Timestamp = h.Started.UTC().Format("2006-01-02T15:04:05")
	}
	if c, ok := junitWhole(h); ok {
		s.add(c)
	}
	for _, step := range h.Steps {
		s.add(junitStep(h.Name, step))
	}
	return s
}

func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

// junitWhole is the case of a host that ended badly as a whole, or never began.
func junitWhole(h report.Host) (junitCase, bool) {
	c := junitCase{Class: h.Name, Name: "host", Time: seconds(h.DurationMS)}
	switch {
	case h.Error != nil:
		text := plainText(h.Error.Error())
		if h.Error.Hint != "" {
			text += "\n" + plainText(h.Error.Hint)
		}
		c.Error = &junitOutcome{Message: oneLine(h.Error.Error()), Type: string(h.Error.Class), Text: text}
	case h.Status == report.HostNotStarted:
		c.Skipped = &junitOutcome{Message: "the run ended before the host's turn came"}
	default:
		return junitCase{}, false
	}
	return c, true
}

func junitStep(host string, s report.Step) junitCase {
	c := junitCase{Class: host, Name: oneLine(s.ID), Time: seconds(s.DurationMS)}
	o := &junitOutcome{Message: oneLine(s.Why), Type: term.StepWord(s.Result), Text: junitText(s)}
	switch {
	case s.Status == tasks.StatusWouldChange:
		o.Type = "drift"
		o.Message = term.Count(len(s.Changes), "difference")
		c.Failure = o
	case s.Cause == tasks.CauseRefused:
		c.Failure = o
	case s.Status == tasks.StatusFailed, s.Status == tasks.StatusUnknown:
		c.Error = o
	case s.Status == tasks.StatusSkipped:
		c.Skipped = o
	default:
		c.Out = warnings(s)
	}
	return c
}

func warnings(s report.Step) string {
	var b strings.Builder
	for _, w := range s.Warnings {
		b.WriteString("warning: " + oneLine(w) + "\n")
	}
	return b.String()
}

// junitText is the properties and the log of a step.
func junitText(s report.Step) string {
	style := term.Style{Unicode: true}
	var b strings.Builder
	if strings.Contains(s.Why, "\n") {
		b.WriteString(plainText(s.Why) + "\n")
	}
	for _, d := range []tasks.Diff{s.Changes, s.Remaining} {
		for _, c := range d {
			b.WriteString(strings.Join(style.Change(c, 0), "\n") + "\n")
		}
	}
	b.WriteString(warnings(s))
	for _, l := range s.Log {
		b.WriteString("| " + style.Clean(l.Text) + "\n")
	}
	return b.String()
}

// oneLine and plainText also keep out what XML 1.0 (section 2.2) has no way to write.
func oneLine(s string) string { return term.Style{Unicode: true}.Clean(s) }

func plainText(s string) string {
	return strings.Join(term.Style{Unicode: true}.Lines(s), "\n")
}

func seconds(ms int64) string {
	return fmt.Sprintf("%.3f", (time.Duration(ms) * time.Millisecond).Seconds())
}
