package library

import (
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"phoenix/tasks/gpufacts"
)

// group is facts that are read, and may fail, together.
type group struct {
	name string
	read func(*card)
}

// groups in the order in which they are read. What tells the cards apart comes first,
// what is known to hang with a broken driver or card last.
func groups() []group {
	return []group{
		{"identity", identity},
		{"memory", memory},
		{"modes", modes},
		{"utilization", utilization},
		{"temperature", temperature},
		{"power", power},
		{"clocks", clocks},
		{"fans", fans},
		{"ecc", ecc},
		{"row remapping", rowRemapping},
		{"retired pages", retiredPages},
		{"nvlink", nvlinks},
		{"mig", mig},
		{"processes", processes},
	}
}

// card is one card while a group of it is read.
type card struct {
	lib   *Library
	dev   nvml.Device
	gpu   gpufacts.GPU
	fault *gpufacts.Fault // the first of this group
	lost  bool
}

// has tells whether the library has any of the functions that a method of go-nvml may
// call, and the card is still there to be asked.
func (c *card) has(symbols ...string) bool {
	for _, s := range symbols {
		if !c.lost && c.lib.has(s) {
			return true
		}
	}
	return false
}

// ok tells whether a function gave an answer. That it has none for this card is no
// fault.
func (c *card) ok(function string, r nvml.Return) bool {
	switch r {
	case nvml.SUCCESS:
		return true
	case nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_FUNCTION_NOT_FOUND, nvml.ERROR_NO_DATA, nvml.ERROR_VGPU_ECC_NOT_SUPPORTED, nvml.ERROR_DEPRECATED,
		nvml.ERROR_ARGUMENT_VERSION_MISMATCH: // the last: of a structure that is newer than the driver
		return false
	case nvml.ERROR_GPU_IS_LOST:
		c.lost, c.fault = true, nil
	}
	if c.fault == nil {
		f := fault(function, r)
		c.fault = &f
	}
	return false
}

// ask calls a function of the library that it may lack.
func ask[T any](c *card, function string, call func() (T, nvml.Return)) (T, bool) {
	var none T
	if !c.has(function) {
		return none, false
	}
	v, r := call()
	if !c.ok(function, r) {
		return none, false
	}
	return v, true
}

// text is the answer, empty where there is none.
func text(c *card, function string, call func() (string, nvml.Return)) string {
	v, _ := ask(c, function, call)
	return v
}

// number is the answer, nil where there is none.
func number[T ~int | ~int32 | ~uint32](c *card, function string, call func() (T, nvml.Return)) *int {
	v, ok := ask(c, function, call)
	if !ok {
		return nil
	}
	n := int(v)
	return &n
}

// with fixes the argument of a function.
func with[A, T any](call func(A) (T, nvml.Return), arg A) func() (T, nvml.Return) {
	return func() (T, nvml.Return) { return call(arg) }
}

func identity(c *card) {
	g := &c.gpu
	g.UUID = strings.ToLower(text(c, "nvmlDeviceGetUUID", c.dev.GetUUID))
	if rest, ok := strings.CutPrefix(g.UUID, "gpu-"); ok {
		g.UUID = "GPU-" + rest
	}
	g.Minor = number(c, "nvmlDeviceGetMinorNumber", c.dev.GetMinorNumber)
	if c.has("nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo") {
		if p, r := c.dev.GetPciInfo(); c.ok("nvmlDeviceGetPciInfo", r) {
			g.PCIAddress = address(p)
			g.PCIID = fmt.Sprintf("%04x:%04x", p.PciDeviceId&0xffff, p.PciDeviceId>>16)
		}
	}
	g.Name = text(c, "nvmlDeviceGetName", c.dev.GetName)
	g.Serial = text(c, "nvmlDeviceGetSerial", c.dev.GetSerial)
	if a, ok := ask(c, "nvmlDeviceGetArchitecture", c.dev.GetArchitecture); ok {
		g.Architecture = architecture(a)
	}
	if c.has("nvmlDeviceGetCudaComputeCapability") {
		if major, minor, r := c.dev.GetCudaComputeCapability(); c.ok("nvmlDeviceGetCudaComputeCapability", r) {
			g.ComputeCapability = fmt.Sprintf("%d.%d", major, minor)
		}
	}
	g.VBIOSVersion = text(c, "nvmlDeviceGetVbiosVersion", c.dev.GetVbiosVersion)
}

// address writes a PCI address as sysfs does. The function is not among the numbers,
// and is 0 for every card.
func address(p nvml.PciInfo) string {
	return fmt.Sprintf("%04x:%02x:%02x.0", p.Domain, p.Bus, p.Device)
}

// architecture names what the library numbers, as nvidia-smi does. A number that is not
// known yet is not a fact.
func architecture(a nvml.DeviceArchitecture) string {
	names := []string{nvml.DEVICE_ARCH_KEPLER: "Kepler", nvml.DEVICE_ARCH_MAXWELL: "Maxwell", nvml.DEVICE_ARCH_PASCAL: "Pascal",
		nvml.DEVICE_ARCH_VOLTA: "Volta", nvml.DEVICE_ARCH_TURING: "Turing", nvml.DEVICE_ARCH_AMPERE: "Ampere",
		nvml.DEVICE_ARCH_ADA: "Ada Lovelace", nvml.DEVICE_ARCH_HOPPER: "Hopper", nvml.DEVICE_ARCH_BLACKWELL: "Blackwell",
		nvml.DEVICE_ARCH_RUBIN: "Rubin"}
	if a >= nvml.DeviceArchitecture(len(names)) {
		return ""
	}
	return names[a]
}

func memory(c *card) { c.gpu.Memory = memoryOf(c, c.dev) }

// memoryOf reads the memory of a card or an instance. Only the newer function tells what
// the driver keeps for itself from what is used.
func memoryOf(c *card, dev nvml.Device) *gpufacts.Memory {
	if m, ok := ask(c, "nvmlDeviceGetMemoryInfo_v2", dev.GetMemoryInfo_v2); ok {
		return &gpufacts.Memory{Total: m.Total, Used: m.Used, Free: m.Free, Reserved: &m.Reserved}
	}
	if m, ok := ask(c, "nvmlDeviceGetMemoryInfo", dev.GetMemoryInfo); ok {
		return &gpufacts.Memory{Total: m.Total, Used: m.Used, Free: m.Free}
	}
	return nil
}

func modes(c *card) {
	if m, ok := ask(c, "nvmlDeviceGetPersistenceMode", c.dev.GetPersistenceMode); ok {
		on := m == nvml.FEATURE_ENABLED
		c.gpu.PersistenceMode = &on
	}
	if m, ok := ask(c, "nvmlDeviceGetComputeMode", c.dev.GetComputeMode); ok {
		names := []string{"default", "exclusive_thread", "prohibited", "exclusive_process"}
		if m >= 0 && int(m) < len(names) {
			c.gpu.ComputeMode = names[m]
		}
	}
}

func utilization(c *card) {
	if u, ok := ask(c, "nvmlDeviceGetUtilizationRates", c.dev.GetUtilizationRates); ok {
		c.gpu.Utilization = &gpufacts.Utilization{GPU: int(u.Gpu), Memory: int(u.Memory)}
	}
}

func temperature(c *card) {
	const limit = "nvmlDeviceGetTemperatureThreshold"
	t := gpufacts.Temperature{
		GPU:      number(c, "nvmlDeviceGetTemperature", with(c.dev.GetTemperature, nvml.TEMPERATURE_GPU)),
		Slowdown: number(c, limit, with(c.dev.GetTemperatureThreshold, nvml.TEMPERATURE_THRESHOLD_SLOWDOWN)),
		Shutdown: number(c, limit, with(c.dev.GetTemperatureThreshold, nvml.TEMPERATURE_THRESHOLD_SHUTDOWN)),
	}
	if t != (gpufacts.Temperature{}) {
		c.gpu.Temperature = &t
	}
}

func power(c *card) {
	p := gpufacts.Power{
		Draw:    number(c, "nvmlDeviceGetPowerUsage", c.dev.GetPowerUsage),
		Limit:   number(c, "nvmlDeviceGetEnforcedPowerLimit", c.dev.GetEnforcedPowerLimit),
		Default: number(c, "nvmlDeviceGetPowerManagementDefaultLimit", c.dev.GetPowerManagementDefaultLimit),
	}
	const constraints = "nvmlDeviceGetPowerManagementLimitConstraints"
	if c.has(constraints) {
		if low, high, r := c.dev.GetPowerManagementLimitConstraints(); c.ok(constraints, r) {
			least, most := int(low), int(high)
			p.Min, p.Max = &least, &most
		}
	}
	if p != (gpufacts.Power{}) {
		c.gpu.Power = &p
	}
}

func clocks(c *card) {
	const now, most = "nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo"
	k := gpufacts.Clocks{
		Graphics:    number(c, now, with(c.dev.GetClockInfo, nvml.CLOCK_GRAPHICS)),
		SM:          number(c, now, with(c.dev.GetClockInfo, nvml.CLOCK_SM)),
		Memory:      number(c, now, with(c.dev.GetClockInfo, nvml.CLOCK_MEM)),
		MaxGraphics: number(c, most, with(c.dev.GetMaxClockInfo, nvml.CLOCK_GRAPHICS)),
		MaxSM:       number(c, most, with(c.dev.GetMaxClockInfo, nvml.CLOCK_SM)),
		MaxMemory:   number(c, most, with(c.dev.GetMaxClockInfo, nvml.CLOCK_MEM)),
	}
	if k != (gpufacts.Clocks{}) {
		c.gpu.Clocks = &k
	}
	if s, ok := ask(c, "nvmlDeviceGetPerformanceState", c.dev.GetPerformanceState); ok && s >= 0 && s <= nvml.PSTATE_15 {
		n := int(s)
		c.gpu.PerformanceState = &n
	}
	c.gpu.ThrottleReasons = throttle(c)
}

// throttle asks with the function's new name, and with that which it had up to
// driver 525.
func throttle(c *card) []string {
	bits, ok := ask(c, "nvmlDeviceGetCurrentClocksEventReasons", c.dev.GetCurrentClocksEventReasons)
	if !ok {
		if bits, ok = ask(c, "nvmlDeviceGetCurrentClocksThrottleReasons", c.dev.GetCurrentClocksThrottleReasons); !ok {
			return nil
		}
	}
	// In the order of their bits, from the lowest.
	names := []string{"gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal_slowdown",
		"hw_thermal_slowdown", "hw_power_brake_slowdown", "display_clock_setting", "board_limit", "reliability"}
	reasons := []string{}
	for bit := range 64 {
		if bits>>bit&1 == 0 {
			continue
		}
		if bit < len(names) {
			reasons = append(reasons, names[bit])
		} else { // of a driver that knows more than the header of go-nvml
			reasons = append(reasons, fmt.Sprintf("bit_%d", bit))
		}
	}
	return reasons
}

// fans reads each fan. The older function knows one only.
func fans(c *card) {
	n, ok := ask(c, "nvmlDeviceGetNumFans", c.dev.GetNumFans)
	if ok && c.has("nvmlDeviceGetFanSpeed_v2") {
		speeds := []int{}
		for i := range n {
			if s := number(c, "nvmlDeviceGetFanSpeed_v2", with(c.dev.GetFanSpeed_v2, i)); s != nil {
				speeds = append(speeds, *s)
			}
		}
		if len(speeds) == n {
			c.gpu.FansPercent = speeds
		}
		return
	}
	if s := number(c, "nvmlDeviceGetFanSpeed", c.dev.GetFanSpeed); s != nil {
		c.gpu.FansPercent = []int{*s}
	}
}
