// Package library asks the NVIDIA driver's own library, libnvidia-ml.so.1, for what it
// knows of the cards.
//
// The library is the one of the machine's driver, as old as that. A function that it
// lacks would end the process at its first call, so each is looked up before. What the
// library says it does not support is left out; any other refusal is a fault of the
// group of facts that it was met in, and a card that fell off the bus is asked no more.
// The package only reads, and it may hang or crash with the driver: package watchdog
// runs it in a process of its own. Loading the library as root loads the kernel's driver
// where it is installed but not loaded; whoever starts the probe looks for that first.
// Start reading at Open and Library.Sample.
package library

import (
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"phoenix/cmd/agentlet-nvml/internal/watchdog"
	"phoenix/tasks/gpufacts"
)

// soname is the library, as the dynamic linker finds it.
const soname = "libnvidia-ml.so.1"

// Library is the driver's library, open.
type Library struct {
	nvml nvml.Interface
	has  func(symbol string) bool
}

// Open loads the library of this machine. A fault says why there is none, or why it
// cannot speak with the driver.
func Open() (*Library, *gpufacts.Fault) {
	// go-nvml says only that the library was not found, whatever was wrong with it.
	so := dl.New(soname, dl.RTLD_LAZY|dl.RTLD_GLOBAL)
	if err := so.Open(); err != nil {
		kind := gpufacts.KindOther
		if strings.Contains(err.Error(), "cannot open shared object file: No such file") {
			kind = gpufacts.KindLibraryMissing
		}
		return nil, &gpufacts.Fault{Kind: kind, Text: fmt.Sprintf("load the driver's library: %v", err)}
	}
	// These have been there since the first release; without them it is another library.
	for _, names := range [][]string{{"nvmlInit_v2", "nvmlInit"}, {"nvmlShutdown"}, {"nvmlErrorString"},
		{"nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"}, {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"}} {
		if so.Lookup(names[0]) != nil && so.Lookup(names[len(names)-1]) != nil {
			return nil, &gpufacts.Fault{Kind: gpufacts.KindOther, Text: fmt.Sprintf("load the driver's library: %s has no %s", soname, names[len(names)-1])}
		}
	}
	return open(nvml.New())
}

func open(api nvml.Interface) (*Library, *gpufacts.Fault) {
	if r := api.Init(); r != nvml.SUCCESS {
		f := fault("nvmlInit", r)
		return nil, &f
	}
	symbols := api.Extensions()
	return &Library{nvml: api, has: func(s string) bool { return symbols.LookupSymbol(s) == nil }}, nil
}

// Sample reads all cards but some, and notes each step before it is taken. It returns
// the error of the notes' reader.
func (l *Library) Sample(without map[int]bool, note func(watchdog.Note) error) error {
	system, f := l.system()
	if f != nil {
		return note(watchdog.Note{Error: f})
	}
	if err := note(watchdog.Note{System: system}); err != nil {
		return err
	}
	for i := range system.Count {
		if without[i] {
			continue
		}
		if err := l.card(i, note); err != nil {
			return err
		}
	}
	return note(watchdog.Note{End: true})
}

// system reads what belongs to no card.
func (l *Library) system() (*watchdog.System, *gpufacts.Fault) {
	count, r := l.nvml.DeviceGetCount()
	if r != nvml.SUCCESS {
		f := fault("nvmlDeviceGetCount", r)
		return nil, &f
	}
	s := &watchdog.System{Count: count}
	s.DriverVersion = l.version("nvmlSystemGetDriverVersion", l.nvml.SystemGetDriverVersion)
	s.NVMLVersion = l.version("nvmlSystemGetNVMLVersion", l.nvml.SystemGetNVMLVersion)
	// The first asks libcuda, which need not be installed; the second then falls back on
	// a number of its own.
	for _, from := range []struct {
		symbol string
		call   func() (int, nvml.Return)
	}{{"nvmlSystemGetCudaDriverVersion_v2", l.nvml.SystemGetCudaDriverVersion_v2}, {"nvmlSystemGetCudaDriverVersion", l.nvml.SystemGetCudaDriverVersion}} {
		if !l.has(from.symbol) {
			continue
		}
		if v, r := from.call(); r == nvml.SUCCESS && v > 0 {
			s.CUDAVersion = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
			break
		}
	}
	return s, nil
}

func (l *Library) version(symbol string, call func() (string, nvml.Return)) string {
	if !l.has(symbol) {
		return ""
	}
	v, r := call()
	if r != nvml.SUCCESS {
		return ""
	}
	return v
}

// card reads one card, group by group.
func (l *Library) card(index int, note func(watchdog.Note) error) error {
	c := &card{lib: l}
	for _, g := range groups() {
		if err := note(watchdog.Note{At: &watchdog.Place{GPU: index, Group: g.name}}); err != nil {
			return err
		}
		c.gpu, c.fault = gpufacts.GPU{Index: index}, nil
		if c.dev == nil {
			dev, r := l.nvml.DeviceGetHandleByIndex(index)
			if r != nvml.SUCCESS {
				f := fault("nvmlDeviceGetHandleByIndex", r)
				return note(watchdog.Note{GPU: &gpufacts.GPU{Index: index, Error: &f}})
			}
			c.dev = dev
		}
		g.read(c)
		if c.lost {
			c.gpu.Error = c.fault
		} else if c.fault != nil {
			c.gpu.GroupErrors = []gpufacts.GroupFault{{Group: g.name, Fault: *c.fault}}
		}
		gpu := c.gpu
		if err := note(watchdog.Note{GPU: &gpu}); err != nil || c.lost {
			return err
		}
	}
	return nil
}

// fault classifies what a function returned.
func fault(function string, r nvml.Return) gpufacts.Fault {
	kind := gpufacts.KindOther
	switch r {
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		kind = gpufacts.KindLibraryMissing
	case nvml.ERROR_DRIVER_NOT_LOADED:
		kind = gpufacts.KindDriverNotLoaded
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		kind = gpufacts.KindVersionMismatch
	case nvml.ERROR_NO_PERMISSION:
		kind = gpufacts.KindPermission
	case nvml.ERROR_TIMEOUT:
		kind = gpufacts.KindTimeout
	case nvml.ERROR_GPU_IS_LOST:
		kind = gpufacts.KindLost
	}
	return gpufacts.Fault{Kind: kind, Text: fmt.Sprintf("%s: %s", function, r.Error())}
}
