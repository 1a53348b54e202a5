package library

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"

	"phoenix/cmd/agentlet-nvml/internal/watchdog"
	"phoenix/tasks/gpufacts"
)

// has limits a server of go-nvml to some functions of the library. Its mocks panic over
// a function that they were not given.
func has(s *server.Server, functions ...string) {
	s.LookupSymbolFunc = func(symbol string) error {
		if slices.Contains(functions, symbol) {
			return nil
		}
		return errors.New("undefined symbol: " + symbol)
	}
}

// sample opens the library and returns its notes.
func sample(t *testing.T, api nvml.Interface, without map[int]bool) []watchdog.Note {
	t.Helper()
	l, f := open(api)
	if f != nil {
		t.Fatal(f)
	}
	var notes []watchdog.Note
	if err := l.Sample(without, func(n watchdog.Note) error { notes = append(notes, n); return nil }); err != nil {
		t.Fatal(err)
	}
	return notes
}

// facts are the notes of one group of one card.
func facts(t *testing.T, notes []watchdog.Note, gpu int, group string) gpufacts.GPU {
	t.Helper()
	for i, n := range notes {
		if n.At != nil && *n.At == (watchdog.Place{GPU: gpu, Group: group}) {
			return *notes[i+1].GPU
		}
	}
	t.Fatalf("group %s of card %d was not read", group, gpu)
	return gpufacts.GPU{}
}

func TestALibraryThatLacksAFunction_isNotAskedForIt(t *testing.T) {
	s := dgxa100.New()
	has(s)
	for _, d := range s.Devices {
		d.(*server.Device).Device = mock.Device{} // every call panics
	}
	notes := sample(t, s, nil)
	if n := 1 + 8*2*len(groups()) + 1; len(notes) != n || !notes[n-1].End || notes[0].System.Count != 8 {
		t.Errorf("got %d notes, want %d", len(notes), n)
	}
	for _, n := range notes {
		if n.GPU != nil && !reflect.DeepEqual(*n.GPU, gpufacts.GPU{Index: n.GPU.Index}) {
			t.Errorf("it knows %+v", *n.GPU)
		}
	}
}

func TestAServerOfEightA100(t *testing.T) {
	s := dgxa100.New()
	has(s, "nvmlSystemGetDriverVersion", "nvmlSystemGetNVMLVersion", "nvmlSystemGetCudaDriverVersion", "nvmlDeviceGetUUID", "nvmlDeviceGetName",
		"nvmlDeviceGetMinorNumber", "nvmlDeviceGetArchitecture", "nvmlDeviceGetCudaComputeCapability", "nvmlDeviceGetPciInfo", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMigMode")
	notes := sample(t, s, map[int]bool{3: true})
	if sys := notes[0].System; sys.DriverVersion != "550.54.15" || sys.NVMLVersion != "12.550.54.15" || sys.CUDAVersion != "12.4" || sys.Count != 8 {
		t.Errorf("the system is %+v", sys)
	}
	seen := map[int]bool{}
	for _, n := range notes {
		if n.At != nil {
			seen[n.At.GPU] = true
		}
	}
	if len(seen) != 7 || seen[3] {
		t.Errorf("read cards %v, want all but 3", seen)
	}
	id := facts(t, notes, 7, "identity")
	if *id.Minor != 7 || id.Name != "Mock NVIDIA A100-SXM4-40GB" || id.Architecture != "Ampere" || id.ComputeCapability != "8.0" ||
		id.PCIID != "10de:20b0" || !strings.HasPrefix(id.UUID, "GPU-") || id.Serial != "" {
		t.Errorf("its identity is %+v", id)
	}
	if m := facts(t, notes, 7, "memory").Memory; m == nil || m.Total != 40960<<20 || m.Reserved != nil {
		t.Errorf("its memory is %+v", m)
	}
	if m := facts(t, notes, 7, "mig").MIG; m == nil || m.Enabled || m.Pending == nil || *m.Pending || m.MaxInstances != nil || m.Instances != nil {
		t.Errorf("its division is %+v", m)
	}
}

func TestWhatACardRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		ret  nvml.Return
		want string
	}{
		{"it does not support it", nvml.ERROR_NOT_SUPPORTED, ""},
		{"it has no data", nvml.ERROR_NO_DATA, ""},
		{"it does not know", nvml.ERROR_UNKNOWN, "other"},
		{"it may not tell", nvml.ERROR_NO_PERMISSION, "permission"},
		{"it fell off the bus", nvml.ERROR_GPU_IS_LOST, "lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := dgxa100.New()
			has(s, "nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMigMode")
			s.Devices[2].(*server.Device).GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 1}, c.ret }
			notes := sample(t, s, nil)
			got := facts(t, notes, 2, "memory")
			kind := ""
			switch {
			case got.Error != nil:
				kind = got.Error.Kind
			case len(got.GroupErrors) > 0:
				kind = got.GroupErrors[0].Kind
			}
			if kind != c.want || got.Memory != nil {
				t.Errorf("got %+v, want %q", got, c.want)
			}
			after := slices.ContainsFunc(notes, func(n watchdog.Note) bool {
				return n.At != nil && *n.At == watchdog.Place{GPU: 2, Group: "processes"}
			})
			if lost := c.ret == nvml.ERROR_GPU_IS_LOST; after == lost || (got.Error != nil) != lost {
				t.Errorf("it was read on %v, its error is %v", after, got.Error)
			}
			facts(t, notes, 7, "processes")
		})
	}
}

func TestSample_endsWhereItsNotesAreNotRead(t *testing.T) {
	s := dgxa100.New()
	has(s)
	l, f := open(s)
	if f != nil {
		t.Fatal(f)
	}
	gone := errors.New("broken pipe")
	for after := range 4 {
		left := after
		err := l.Sample(nil, func(watchdog.Note) error {
			if left--; left < 0 {
				return gone
			}
			return nil
		})
		if !errors.Is(err, gone) {
			t.Errorf("after %d notes: %v", after, err)
		}
	}
}

func TestThrottleReasons_areNamedByTheirBits(t *testing.T) {
	for _, c := range []struct {
		bits uint64
		want []string
	}{
		{nvml.ClocksEventReasonNone, []string{}},
		{nvml.ClocksEventReasonGpuIdle | nvml.ClocksEventReasonSwPowerCap, []string{"gpu_idle", "sw_power_cap"}},
		{nvml.ClocksThrottleReasonHwSlowdown | nvml.ClocksThrottleReasonHwThermalSlowdown | nvml.ClocksThrottleReasonHwPowerBrakeSlowdown,
			[]string{"hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"}},
		{nvml.ClocksEventReasonApplicationsClocksSetting | nvml.ClocksEventReasonSyncBoost | nvml.ClocksEventReasonSwThermalSlowdown | nvml.ClocksEventReasonDisplayClockSetting,
			[]string{"applications_clocks_setting", "sync_boost", "sw_thermal_slowdown", "display_clock_setting"}},
		{nvml.ClocksEventReasonBoardLimit | nvml.ClocksEventReasonReliability | 1<<40, []string{"board_limit", "reliability", "bit_40"}},
	} {
		dev := &mock.Device{GetCurrentClocksEventReasonsFunc: func() (uint64, nvml.Return) { return c.bits, nvml.SUCCESS }}
		got := throttle(&card{dev: dev, lib: &Library{has: func(string) bool { return true }}})
		if !slices.Equal(got, c.want) {
			t.Errorf("%x: got %v, want %v", c.bits, got, c.want)
		}
	}
}
