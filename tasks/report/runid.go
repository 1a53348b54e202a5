package report

import (
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"time"
)

// NewRunID makes the name of a run: the time in UTC and three random bytes,
// "20261123-041530-ab12cd". The names of runs sort by their time.
func NewRunID(now time.Time, random io.Reader) (string, error) {
	var b [3]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw run ID: %w", err)
	}
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(b[:]), nil
}

// CheckRunID refuses what NewRunID does not make. A run ID becomes the name of a
// folder, so nothing else may pass.
func CheckRunID(id string) error {
	if ok, err := regexp.MatchString(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{6}$`, id); err != nil || !ok {
		return fmt.Errorf("check run ID %q: it is not of the form 20261123-041530-ab12cd", id)
	}
	return nil
}
