package kernel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Spec is what is wanted of the kernel of one machine.
type Spec struct {
	// Modules to be loaded, now and at each boot. Others are left alone.
	Modules []string `json:"modules,omitempty"`
	// Sysctl are kernel parameters by name ("vm.swappiness"), now and at each boot. Nil
	// is not managed; an empty map takes all lines out of phoenix's own file.
	Sysctl map[string]Value `json:"sysctl,omitzero"`
	// Cmdline lists words that must be on the kernel's command line.
	Cmdline []string `json:"cmdline,omitempty"`
	// CmdlineAbsent lists words that must not be there. One that ends in "=" means
	// every word that begins with it, except those in Cmdline.
	CmdlineAbsent []string `json:"cmdline_absent,omitempty"`
	// ModuleOptions are parameters by module: "ids=10de:2204 disable_vga=1".
	ModuleOptions map[string]string `json:"module_options,omitempty"`
	// Blacklist lists modules that no device may cause to be loaded. With nouveau goes
	// its option modeset=0.
	Blacklist []string `json:"blacklist,omitempty"`
}

// Value is the value of a kernel parameter: in JSON text or a whole number.
type Value string

// UnmarshalJSON reads a text or a whole number.
func (v *Value) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*v = Value(text)
		return nil
	}
	var n json.Number
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&n); err != nil || strings.ContainsAny(n.String(), ".eE") {
		return fmt.Errorf("read a kernel parameter's value: %s is neither a text nor a whole number", data)
	}
	*v = Value(n)
	return nil
}

// String is the value with each run of blanks as one: the kernel prints tabs where
// people write blanks.
func (v Value) String() string { return fold(string(v)) }

func fold(s string) string { return strings.Join(strings.Fields(s), " ") }
