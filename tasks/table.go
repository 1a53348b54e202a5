package tasks

import "sync"

// ReadTable reads a file that is about the whole machine, such as the kernel's table of
// sockets, which each of a hundred containers is looked up in. A job that only checks
// reads it once: the kernel writes such a table anew for each reader, and that takes
// longer than all else a check does. The bytes must not be changed.
func ReadTable(h Host, path string) ([]byte, error) {
	if t, ok := h.(*tables); ok {
		return t.once(path)
	}
	return h.ReadFile(path)
}

// tables is a ReadOnly host for the length of one job that changes nothing.
type tables struct {
	readOnly
	mu   sync.Mutex // held while reading, so that nobody else does
	read map[string][]byte
}

func (t *tables) once(path string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if data, ok := t.read[path]; ok {
		return data, nil
	}
	data, err := t.ReadFile(path)
	if err == nil {
		t.read[path] = data
	}
	return data, err
}
