package library

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"

	"phoenix/tasks/gpufacts"
)

// answering is a card of go-nvml's mocks each of whose functions returns zeros, and r.
func answering(r nvml.Return) *mock.Device {
	dev := &mock.Device{}
	v := reflect.ValueOf(dev).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Func || !strings.HasSuffix(v.Type().Field(i).Name, "Func") {
			continue
		}
		f.Set(reflect.MakeFunc(f.Type(), func([]reflect.Value) []reflect.Value {
			out := make([]reflect.Value, f.Type().NumOut())
			for i := range out {
				out[i] = reflect.Zero(f.Type().Out(i))
			}
			if last := len(out) - 1; last >= 0 && out[last].Type() == reflect.TypeFor[nvml.Return]() {
				out[last] = reflect.ValueOf(r)
			}
			return out
		}))
	}
	return dev
}

// answer is a function of a card that has that answer.
func answer[T any](v T) func() (T, nvml.Return) {
	return func() (T, nvml.Return) { return v, nvml.SUCCESS }
}

// full sets what a card of each group says that knows all of it.
func full(d *mock.Device) {
	d.GetUUIDFunc, d.GetMinorNumberFunc, d.GetNameFunc = answer("GPU-5C1A3E00-7D2B-4B7E-9F10-2A64C7D1E9B0"), answer(3), answer("NVIDIA H100")
	d.GetSerialFunc, d.GetVbiosVersionFunc = answer("1650"), answer("96.00")
	d.GetArchitectureFunc = answer(nvml.DeviceArchitecture(nvml.DEVICE_ARCH_HOPPER))
	d.GetCudaComputeCapabilityFunc = func() (int, int, nvml.Return) { return 9, 0, nvml.SUCCESS }
	d.GetPciInfoFunc = answer(nvml.PciInfo{Domain: 1, Bus: 0x82, PciDeviceId: 0x233010de})
	d.GetMemoryInfo_v2Func = answer(nvml.Memory_v2{Total: 100, Used: 20, Free: 70, Reserved: 10})
	d.GetPersistenceModeFunc, d.GetComputeModeFunc = answer(nvml.FEATURE_ENABLED), answer(nvml.COMPUTEMODE_EXCLUSIVE_PROCESS)
	d.GetUtilizationRatesFunc = answer(nvml.Utilization{Gpu: 90, Memory: 40})
	d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 55, nvml.SUCCESS }
	d.GetTemperatureThresholdFunc = func(which nvml.TemperatureThresholds) (uint32, nvml.Return) {
		return map[nvml.TemperatureThresholds]uint32{nvml.TEMPERATURE_THRESHOLD_SLOWDOWN: 89, nvml.TEMPERATURE_THRESHOLD_SHUTDOWN: 92}[which], nvml.SUCCESS
	}
	d.GetPowerUsageFunc, d.GetEnforcedPowerLimitFunc, d.GetPowerManagementDefaultLimitFunc = answer[uint32](300000), answer[uint32](600000), answer[uint32](700000)
	d.GetPowerManagementLimitConstraintsFunc = func() (uint32, uint32, nvml.Return) { return 200000, 700000, nvml.SUCCESS }
	d.GetClockInfoFunc = func(c nvml.ClockType) (uint32, nvml.Return) { return 1000 + uint32(c), nvml.SUCCESS }
	d.GetMaxClockInfoFunc = func(c nvml.ClockType) (uint32, nvml.Return) { return 2000 + uint32(c), nvml.SUCCESS }
	d.GetPerformanceStateFunc, d.GetCurrentClocksEventReasonsFunc = answer(nvml.PSTATE_2), answer[uint64](nvml.ClocksEventReasonSwPowerCap)
	d.GetNumFansFunc = answer(2)
	d.GetFanSpeed_v2Func = func(i int) (uint32, nvml.Return) { return 30 + uint32(i), nvml.SUCCESS }
	fullHealth(d)
}

func fullHealth(d *mock.Device) {
	d.GetEccModeFunc = func() (nvml.EnableState, nvml.EnableState, nvml.Return) {
		return nvml.FEATURE_ENABLED, nvml.FEATURE_DISABLED, nvml.SUCCESS
	}
	d.GetTotalEccErrorsFunc = func(kind nvml.MemoryErrorType, since nvml.EccCounterType) (uint64, nvml.Return) {
		return 10*uint64(since) + uint64(kind) + 1, nvml.SUCCESS
	}
	d.GetRemappedRowsFunc = func() (int, int, bool, bool, nvml.Return) { return 1, 2, true, true, nvml.SUCCESS }
	d.GetRetiredPagesFunc = func(cause nvml.PageRetirementCause) ([]uint64, nvml.Return) {
		return make([]uint64, 3+int(cause)), nvml.SUCCESS
	}
	d.GetRetiredPagesPendingStatusFunc = answer(nvml.FEATURE_ENABLED)
	d.GetNvLinkStateFunc = func(i int) (nvml.EnableState, nvml.Return) {
		if i == 1 {
			return 0, nvml.ERROR_INVALID_ARGUMENT
		}
		return nvml.FEATURE_ENABLED, nvml.SUCCESS
	}
	d.GetNvLinkVersionFunc = func(int) (uint32, nvml.Return) { return 4, nvml.SUCCESS }
	d.GetNvLinkRemotePciInfoFunc = func(int) (nvml.PciInfo, nvml.Return) { return nvml.PciInfo{Bus: 0x83}, nvml.SUCCESS }
	instance := answering(nvml.ERROR_NOT_SUPPORTED)
	instance.GetUUIDFunc, instance.GetNameFunc = answer("MIG-7b6e7a1e-0c8e-5a3b-9d0d-0a4c9c3b5e01"), answer("NVIDIA H100 MIG 1g.10gb")
	instance.GetGpuInstanceIdFunc, instance.GetComputeInstanceIdFunc = answer(7), answer(0)
	d.GetMigModeFunc = func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, nvml.DEVICE_MIG_ENABLE, nvml.SUCCESS }
	d.GetMaxMigDeviceCountFunc = answer(2)
	d.GetMigDeviceHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i == 0 {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return instance, nvml.SUCCESS
	}
	d.GetComputeRunningProcessesFunc = answer([]nvml.ProcessInfo{{Pid: 42, UsedGpuMemory: 5, GpuInstanceId: 7, ComputeInstanceId: 0}})
	d.GetGraphicsRunningProcessesFunc = answer([]nvml.ProcessInfo{{Pid: 41, UsedGpuMemory: noMemory, GpuInstanceId: noInstance, ComputeInstanceId: noInstance}})
	d.GetMPSComputeRunningProcessesFunc = answer([]nvml.ProcessInfo(nil))
}

// TestEachGroupOfFacts reads each from a card that knows all of it, and from one that
// answers with zeros: a zero that the driver gives is a fact. That one it does not give
// is none shows the test below.
func TestEachGroupOfFacts(t *testing.T) {
	rows := map[string][2]string{ // what a card knows, and the zeros
		"identity": {`"minor":3,"uuid":"GPU-5c1a3e00-7d2b-4b7e-9f10-2a64c7d1e9b0","pci_address":"0001:82:00.0","pci_id":"10de:2330","serial":"1650","name":"NVIDIA H100","architecture":"Hopper","compute_capability":"9.0","vbios_version":"96.00"`,
			`"minor":0,"pci_address":"0000:00:00.0","pci_id":"0000:0000","compute_capability":"0.0"`},
		"memory":      {`"memory":{"total_bytes":100,"used_bytes":20,"free_bytes":70,"reserved_bytes":10}`, `"memory":{"total_bytes":0,"used_bytes":0,"free_bytes":0,"reserved_bytes":0}`},
		"modes":       {`"persistence_mode":true,"compute_mode":"exclusive_process"`, `"persistence_mode":false,"compute_mode":"default"`},
		"utilization": {`"utilization":{"gpu_percent":90,"memory_percent":40}`, `"utilization":{"gpu_percent":0,"memory_percent":0}`},
		"temperature": {`"temperature":{"gpu_c":55,"slowdown_c":89,"shutdown_c":92}`, `"temperature":{"gpu_c":0,"slowdown_c":0,"shutdown_c":0}`},
		"power": {`"power":{"draw_mw":300000,"limit_mw":600000,"default_limit_mw":700000,"min_limit_mw":200000,"max_limit_mw":700000}`,
			`"power":{"draw_mw":0,"limit_mw":0,"default_limit_mw":0,"min_limit_mw":0,"max_limit_mw":0}`},
		"clocks": {`"clocks":{"graphics_mhz":1000,"sm_mhz":1001,"memory_mhz":1002,"max_graphics_mhz":2000,"max_sm_mhz":2001,"max_memory_mhz":2002},"performance_state":2,"throttle_reasons":["sw_power_cap"]`,
			`"clocks":{"graphics_mhz":0,"sm_mhz":0,"memory_mhz":0,"max_graphics_mhz":0,"max_sm_mhz":0,"max_memory_mhz":0},"performance_state":0,"throttle_reasons":[]`},
		"fans": {`"fans_percent":[30,31]`, `"fans_percent":[]`},
		"ecc": {`"ecc":{"enabled":true,"pending":false,"volatile":{"corrected":1,"uncorrected":2},"aggregate":{"corrected":11,"uncorrected":12}}`,
			`"ecc":{"enabled":false,"pending":false}`},
		"row remapping": {`"row_remapping":{"corrected":1,"uncorrected":2,"pending":true,"failed":true}`, `"row_remapping":{"corrected":0,"uncorrected":0,"pending":false,"failed":false}`},
		"retired pages": {`"retired_pages":{"single_bit":3,"double_bit":4,"pending":true}`, `"retired_pages":{"single_bit":0,"double_bit":0,"pending":false}`},
		"nvlink":        {`"nvlinks":[{"link":0,"active":true,"version":4,"remote_pci_address":"0000:83:00.0"}]`, ""}, // all that there can be
		"mig": {`"mig":{"enabled":true,"pending":true,"max_instances":2,"instances":[{"gpu_instance":7,"compute_instance":0,"uuid":"MIG-7b6e7a1e-0c8e-5a3b-9d0d-0a4c9c3b5e01","profile":"1g.10gb"}]}`,
			`"mig":{"enabled":false,"pending":false,"max_instances":0}`},
		"processes": {`"processes":[{"pid":41,"type":"graphics"},{"pid":42,"type":"compute","memory_bytes":5,"gpu_instance":7,"compute_instance":0}]`, `"processes":[]`},
	}
	for _, g := range groups() {
		want, ok := rows[g.name]
		if !ok {
			t.Errorf("group %s has no row here", g.name)
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			known := answering(nvml.ERROR_NOT_SUPPORTED)
			full(known)
			wantFacts(t, g, known, want[0])
			if want[1] != "" {
				wantFacts(t, g, answering(nvml.SUCCESS), want[1])
			}
		})
	}
	if len(rows) != len(groups()) {
		t.Errorf("%d rows for %d groups", len(rows), len(groups()))
	}
}

// wantFacts reads one group of a card.
func wantFacts(t *testing.T, g group, dev nvml.Device, want string) {
	t.Helper()
	c := &card{dev: dev, lib: &Library{has: func(string) bool { return true }}}
	g.read(c)
	got, err := json.Marshal(c.gpu)
	if err != nil || c.fault != nil {
		t.Fatal(err, c.fault)
	}
	var sorted [2]map[string]any
	if err := json.Unmarshal(got, &sorted[0]); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"index":0,`+want+`}`), &sorted[1]); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(sorted[0], sorted[1]) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestWhatTheDriverDoesNotGive_isAbsent(t *testing.T) {
	for _, r := range []nvml.Return{nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_NO_DATA, nvml.ERROR_FUNCTION_NOT_FOUND, nvml.ERROR_ARGUMENT_VERSION_MISMATCH} {
		for _, g := range groups() {
			c := &card{dev: answering(r), lib: &Library{has: func(string) bool { return true }}}
			g.read(c)
			if !reflect.DeepEqual(c.gpu, gpufacts.GPU{}) || c.fault != nil {
				t.Errorf("%s, %v: %+v, %v", g.name, r, c.gpu, c.fault)
			}
		}
	}
}
