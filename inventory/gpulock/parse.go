package gpulock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/gpu"
)

// Fault is one thing that is wrong in a file.
type Fault struct {
	// Path in the file: "hosts.pve1.containers.900.gpus.0".
	Path string
	// Why says what is wrong with it.
	Why string
}

// Faults are all that is wrong in a file.
type Faults []Fault

func (f Faults) Error() string {
	var out []string
	for _, one := range f {
		out = append(out, one.Path+": "+one.Why)
	}
	return "read GPU lock: " + strings.Join(out, "; ")
}

func (f *Faults) add(path, format string, args ...any) {
	*f = append(*f, Fault{path, fmt.Sprintf(format, args...)})
}

// Parse reads a file. What is in it and cannot be right is Faults; of other errors, as for
// what is no JSON or has an unknown key, the first is told.
func Parse(data []byte) (*Lock, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	l := new(Lock)
	if err := d.Decode(l); err != nil {
		return nil, fmt.Errorf("read GPU lock: %w", plain(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read GPU lock: something stands behind its end")
	}
	if l.Version != Version {
		return nil, Faults{{"version", fmt.Sprintf("the file has version %d, and this phoenix reads version %d", l.Version, Version)}}
	}
	var out Faults
	for _, name := range slices.Sorted(maps.Keys(l.Hosts)) {
		if h := l.Hosts[name]; h != nil {
			h.check("hosts."+name, &out)
		}
	}
	if len(out) > 0 {
		return nil, out
	}
	return l, nil
}

// plain says where a value is of the wrong type without the names of Go's types.
func plain(err error) error {
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		return fmt.Errorf("%s: %s is not what belongs there", wrong.Field, wrong.Value)
	}
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

func (h *Host) check(at string, out *Faults) {
	for _, id := range slices.Sorted(maps.Keys(h.Cards)) {
		at := at + ".cards." + id
		if !gpu.IsUUID(id) && !migUUID.MatchString(id) {
			out.add(at, "%q is neither the UUID of a card nor that of a MIG instance", id)
		}
		address := h.Cards[id].PCIAddress
		if name, ok := gpu.CardName(address); address != "" && (!ok || name != address || !strings.Contains(name, ":")) {
			out.add(at+".pci_address", "%q is not a PCI address", address)
		}
	}
	for _, ctid := range slices.Sorted(maps.Keys(h.Containers)) {
		h.Containers[ctid].check(at+".containers."+strconv.Itoa(ctid), out)
	}
}

var migUUID = regexp.MustCompile(`^MIG-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (p Pin) check(at string, out *Faults) {
	if p.Request != nil {
		for _, problem := range p.Request.Validate() {
			out.add(at+".request."+problem.Path, "%s", problem.Summary)
		}
	}
	switch {
	case p.Request != nil && len(p.Names) > 0:
		out.add(at, "it has both a request and names")
	case p.Request == nil && len(p.GPUs) > 0:
		out.add(at+".gpus", "there is no request that they are the answer to")
	}
	for i, id := range p.GPUs {
		at := at + ".gpus." + strconv.Itoa(i)
		switch {
		case !gpu.IsUUID(id) && !migUUID.MatchString(id):
			out.add(at, "%q is neither the UUID of a card nor that of a MIG instance", id)
		case slices.Contains(p.GPUs[:i], id):
			out.add(at, "%s is there twice", id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Names)) {
		switch id := p.Names[name]; {
		case !gpu.IsIndex(name):
			out.add(at+".names", "%q is not the index of a card", name)
		case !gpu.IsUUID(id):
			out.add(at+".names."+name, "%q is not the UUID of a card", id)
		}
	}
}
