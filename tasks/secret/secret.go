// Package secret has references to secrets, and the redactor that keeps their
// values out of everything that is written down.
//
// A reference names a secret; the inventory says where its value comes from, and
// the value travels beside the steps of a job, never in them. The package never
// resolves a reference: inventory/secrets does, on the workstation.
package secret

import (
	"bytes"
	"encoding/json"
	"fmt"

	"phoenix/tasks"
)

// Ref names a secret. In JSON it is {"secret": "NAME"}.
type Ref struct {
	Name string `json:"secret"`
}

// Text is either literal text or a reference to a secret. In JSON it is a string
// or {"secret": "NAME"}.
type Text struct {
	// Literal is the text; nil when there is a reference or nothing.
	Literal *string
	// Ref is the reference; nil when there is literal text or nothing.
	Ref *Ref
}

// MarshalJSON writes a string, an object or null.
func (t Text) MarshalJSON() ([]byte, error) {
	if t.Ref != nil {
		return json.Marshal(t.Ref)
	}
	return json.Marshal(t.Literal)
}

// UnmarshalJSON reads a string, an object with the one key "secret", or null.
func (t *Text) UnmarshalJSON(data []byte) error {
	*t = Text{}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		t.Ref = new(Ref)
		if err := tasks.UnmarshalStrict(data, t.Ref); err != nil {
			return fmt.Errorf("read secret reference: %w", err)
		}
		return nil
	}
	return json.Unmarshal(data, &t.Literal)
}
