package library

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"phoenix/tasks/gpufacts"
)

const (
	// noInstance is the number of an instance where there is none.
	noInstance = 0xFFFFFFFF
	// noMemory is what the library says of the memory of a process where it may not look.
	noMemory = 0xFFFFFFFFFFFFFFFF
)

func mig(c *card) {
	if !c.has("nvmlDeviceGetMigMode") {
		return
	}
	now, pending, r := c.dev.GetMigMode()
	if !c.ok("nvmlDeviceGetMigMode", r) {
		return
	}
	then := pending == nvml.DEVICE_MIG_ENABLE
	m := &gpufacts.MIG{Enabled: now == nvml.DEVICE_MIG_ENABLE, Pending: &then}
	c.gpu.MIG = m
	m.MaxInstances = number(c, "nvmlDeviceGetMaxMigDeviceCount", c.dev.GetMaxMigDeviceCount)
	const handle = "nvmlDeviceGetMigDeviceHandleByIndex"
	if !m.Enabled || m.MaxInstances == nil || !c.has(handle) {
		return
	}
	m.Instances = []gpufacts.MIGInstance{}
	for i := range *m.MaxInstances {
		// The numbers have holes where instances were taken away.
		dev, r := c.dev.GetMigDeviceHandleByIndex(i)
		if r != nvml.ERROR_NOT_FOUND && c.ok(handle, r) {
			m.Instances = append(m.Instances, migInstance(c, dev))
		}
		if c.lost {
			return
		}
	}
}

func migInstance(c *card, dev nvml.Device) gpufacts.MIGInstance {
	return gpufacts.MIGInstance{
		GPUInstance:     number(c, "nvmlDeviceGetGpuInstanceId", dev.GetGpuInstanceId),
		ComputeInstance: number(c, "nvmlDeviceGetComputeInstanceId", dev.GetComputeInstanceId),
		UUID:            text(c, "nvmlDeviceGetUUID", dev.GetUUID),
		Profile:         profile(c, dev),
		Memory:          memoryOf(c, dev),
	}
}

// profile is the last word of an instance's name ("NVIDIA A100-SXM4-40GB MIG 1g.5gb").
// A driver that gives no such name tells the parts that it is made of.
func profile(c *card, dev nvml.Device) string {
	if _, word, ok := strings.Cut(text(c, "nvmlDeviceGetName", dev.GetName), " MIG "); ok {
		return word
	}
	if !c.has("nvmlDeviceGetAttributes_v2", "nvmlDeviceGetAttributes") {
		return ""
	}
	a, r := dev.GetAttributes()
	if !c.ok("nvmlDeviceGetAttributes", r) || a.GpuInstanceSliceCount == 0 {
		return ""
	}
	name := fmt.Sprintf("%dg.%dgb", a.GpuInstanceSliceCount, (a.MemorySizeMB+1023)/1024)
	if a.ComputeInstanceSliceCount < a.GpuInstanceSliceCount {
		name = fmt.Sprintf("%dc.%s", a.ComputeInstanceSliceCount, name)
	}
	return name
}

// processes asks for each type of them. One that has a context of two types is there
// twice, with the same memory.
func processes(c *card) {
	for _, t := range []struct {
		name, symbol string
		call         func() ([]nvml.ProcessInfo, nvml.Return)
	}{
		{"compute", "nvmlDeviceGetComputeRunningProcesses", c.dev.GetComputeRunningProcesses},
		{"graphics", "nvmlDeviceGetGraphicsRunningProcesses", c.dev.GetGraphicsRunningProcesses},
		{"mps", "nvmlDeviceGetMPSComputeRunningProcesses", c.dev.GetMPSComputeRunningProcesses},
	} {
		if !c.has(t.symbol+"_v3", t.symbol+"_v2", t.symbol) {
			continue
		}
		found, r := t.call()
		if !c.ok(t.symbol, r) {
			continue
		}
		if c.gpu.Processes == nil {
			c.gpu.Processes = []gpufacts.Process{}
		}
		for _, p := range found {
			addProcess(&c.gpu.Processes, process(p, t.name))
		}
	}
	slices.SortStableFunc(c.gpu.Processes, func(a, b gpufacts.Process) int { return cmp.Compare(a.PID, b.PID) })
}

func process(p nvml.ProcessInfo, kind string) gpufacts.Process {
	got := gpufacts.Process{PID: int(p.Pid), Type: kind}
	if p.UsedGpuMemory != noMemory {
		got.Memory = &p.UsedGpuMemory
	}
	if p.GpuInstanceId != noInstance {
		n := int(p.GpuInstanceId)
		got.GPUInstance = &n
	}
	if p.ComputeInstanceId != noInstance {
		n := int(p.ComputeInstanceId)
		got.ComputeInstance = &n
	}
	return got
}

func addProcess(to *[]gpufacts.Process, p gpufacts.Process) {
	for i, old := range *to {
		if old.PID == p.PID && same(old.GPUInstance, p.GPUInstance) && same(old.ComputeInstance, p.ComputeInstance) {
			if old.Type != p.Type {
				(*to)[i].Type += "+" + p.Type
			}
			return
		}
	}
	*to = append(*to, p)
}

func same(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }
