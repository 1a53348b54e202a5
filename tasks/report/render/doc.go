// Package render puts a finished report before its reader: as text for people, as
// JSON and JUnit XML for programs, and the events of a run as NDJSON while it goes on.
//
// It never looks at anything but the report, so a report that was kept renders like
// the one of a run that just ended. Start reading at Formats and Text.
package render
