package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
)

// What a simulated card has and uses, in MiB: the driver's own, and each process's.
const (
	cardMiB    = 24564
	driverMiB  = 24
	processMiB = 4096
)

// isGPUProbe tells whether a path is that of the GPU probe (cmd/agentlet-nvml), which
// lies where phoenix has put it.
func (m *Machine) isGPUProbe(p string) bool {
	return strings.HasPrefix(path.Base(p), "agentlet-nvml-") && m.exists(p)
}

// gpuProbe prints what the driver says of the cards, as cmd/agentlet-nvml does.
//
// A file of zeros is what a crash leaves of one whose data was not written yet.
func gpuProbe(c *call) int {
	if strings.HasPrefix(c.m.text(path.Join(c.folder, c.argv[0])), "\x00") {
		fmt.Fprintf(c.err, "%s: cannot execute binary file: Exec format error\n", c.argv[0])
		return 126
	}
	i := slices.Index(c.argv, "--every")
	if i < 0 || i+1 == len(c.argv) {
		return c.gpuSample()
	}
	every, err := time.ParseDuration(c.argv[i+1])
	if err != nil || every <= 0 {
		return 64
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c.in)
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if code := c.gpuSample(); code != 0 {
			return code
		}
		select {
		case <-ended:
			return 0
		case <-c.ctx.Done():
			return 143
		case <-tick.C:
		}
	}
}

func (c *call) gpuSample() int {
	d := c.m.gpuDocument()
	if err := json.NewEncoder(c.out).Encode(d); err != nil || d.Error != nil {
		return 1
	}
	return 0
}

func (m *Machine) gpuDocument() gpufacts.Document {
	fault := func(kind, text string) gpufacts.Document {
		return gpufacts.Document{Error: &gpufacts.Fault{Kind: kind, Text: text}}
	}
	loaded, _, err := gpu.Loaded(m.kernelOf().Host())
	if err != nil {
		return fault(gpufacts.KindOther, err.Error())
	}
	library, err := gpu.Library(m.Host())
	switch {
	case err != nil:
		return fault(gpufacts.KindOther, err.Error())
	case library == "":
		return fault(gpufacts.KindLibraryMissing, "load the driver's library: libnvidia-ml.so.1: cannot open shared object file: No such file or directory")
	case loaded == "" || !m.exists("/dev/nvidiactl"):
		return fault(gpufacts.KindDriverNotLoaded, "nvmlInit: Driver Not Loaded")
	case library != loaded:
		return fault(gpufacts.KindVersionMismatch, "nvmlInit: Driver/library version mismatch")
	}
	cards, err := m.boundHere()
	if err != nil {
		return fault(gpufacts.KindOther, err.Error())
	}
	d := gpufacts.Document{Source: gpufacts.SourceNVML, DriverVersion: loaded, NVMLVersion: "12." + loaded, CUDAVersion: "12.4", GPUs: []gpufacts.GPU{}}
	for i, b := range cards {
		d.GPUs = append(d.GPUs, m.ailing(m.gpuFacts(i, b)))
	}
	return d
}

// boundHere are the cards whose nodes are there, for a program that uses them: the driver
// asks a card for its UUID only then.
func (m *Machine) boundHere() ([]gpu.Bound, error) {
	kernel := m.kernelOf()
	cards, err := gpu.BoundCards(kernel.Host())
	cards = slices.DeleteFunc(cards, func(b gpu.Bound) bool { return !m.exists(b.Node()) })
	for i, b := range cards {
		if b.UUID != "" || kernel.Node == "" || err != nil {
			continue
		}
		file := "/proc/driver/nvidia/gpus/" + b.Address + "/information"
		cards[i].UUID = kernel.uuidOf(b.Address, b.Minor)
		err = kernel.write(file, []byte(strings.Replace(kernel.text(file), unusedUUID, cards[i].UUID, 1)), 0o644)
	}
	return cards, err
}

// unusedUUID is what the driver shows of a card that no program has used.
const unusedUUID = "GPU-????????-????-????-????-????????????"

func (m *Machine) gpuFacts(index int, b gpu.Bound) gpufacts.GPU {
	processes := []gpufacts.Process{}
	size := uint64(processMiB << 20)
	for _, pid := range m.gpuProcesses(b.Node()) {
		processes = append(processes, gpufacts.Process{PID: pid, Type: "compute", Memory: &size})
	}
	busy := len(processes) > 0
	load, temperature, draw, state, idle := 0, 34, 18000, 8, []string{"gpu_idle"}
	if busy {
		load, temperature, draw, state, idle = 87, 61, 310000, 2, []string{}
	}
	used, total := uint64(driverMiB+processMiB*len(processes))<<20, m.cardMemory(b)<<20
	limit, fan, persistent := 450000, 30, false
	return gpufacts.GPU{
		MIG: m.migFacts(b), Index: index, Minor: &b.Minor, UUID: b.UUID, PCIAddress: b.Address, PCIID: "10de:2684",
		Name: m.migName(b), Architecture: "Ada Lovelace", ComputeCapability: "8.9", VBIOSVersion: "95.02.3c.00.8f",
		Memory:      &gpufacts.Memory{Total: total, Used: used, Free: total - used},
		Utilization: &gpufacts.Utilization{GPU: load, Memory: load / 2}, Temperature: &gpufacts.Temperature{GPU: &temperature},
		Power: &gpufacts.Power{Draw: &draw, Limit: &limit}, PerformanceState: &state, ThrottleReasons: idle, FansPercent: []int{fan},
		PersistenceMode: &persistent, ComputeMode: "default", Processes: processes,
	}
}

// gpuUseFile has the process of a running container that uses cards, and their nodes.
func gpuUseFile(id int) string { return fmt.Sprintf("/run/lxc/%d.gpu", id) }

// gpuProcesses are the processes on a card: one in each running container that has it.
func (m *Machine) gpuProcesses(node string) (pids []int) {
	for _, file := range m.glob("/run/lxc/*.gpu") {
		words := strings.Fields(m.text(file))
		if slices.Contains(words, node) {
			if pid, err := strconv.Atoi(words[0]); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

// setGPUProcess lets a container that starts and has cards use them, or ends that.
func (m *Machine) setGPUProcess(id int, run bool) error {
	if words := strings.Fields(m.text(gpuUseFile(id))); len(words) > 0 {
		for _, gone := range []string{gpuUseFile(id), "/proc/" + words[0]} {
			if err := os.RemoveAll(m.path(gone)); err != nil {
				return err
			}
		}
	}
	data, err := m.read(m.confPath(id))
	if err != nil || !run {
		return nil
	}
	cfg, _ := parseConfig(id, data)
	pid := 70000 + id%900000
	use := strconv.Itoa(pid)
	for _, key := range cfg.numbered("dev") {
		node, _, _ := strings.Cut(strings.TrimPrefix(cfg.keys[key], "path="), ",")
		if number, is := strings.CutPrefix(node, "/dev/nvidia"); is && strings.Trim(number, "0123456789") == "" {
			use += " " + node
		}
	}
	if !strings.Contains(use, " ") {
		return nil
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	for i, node := range strings.Fields(use)[1:] {
		if err := m.openNode(pid, 3+i, node); err != nil {
			return err
		}
	}
	return m.writeAll(map[string]string{
		gpuUseFile(id): use + "\n", proc + "comm": "python3\n",
		proc + "cgroup": fmt.Sprintf("0::/lxc/%d/ns/system.slice/model.service\n", id),
	})
}

// smiXML is `nvidia-smi -q -x` of 550, as far as it is read.
func (c *call) smiXML(chosen []gpu.Bound) int {
	d := c.m.gpuDocument()
	d.GPUs = slices.DeleteFunc(d.GPUs, func(g gpufacts.GPU) bool {
		return len(chosen) < len(d.GPUs) && !slices.ContainsFunc(chosen, func(b gpu.Bound) bool { return b.Address == g.PCIAddress })
	})
	var out strings.Builder
	fmt.Fprintf(&out, "<?xml version=\"1.0\" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM \"nvsmi_device_v12.dtd\">\n<nvidia_smi_log>\n\t<timestamp>%s</timestamp>\n"+
		"\t<driver_version>%s</driver_version>\n\t<cuda_version>%s</cuda_version>\n\t<attached_gpus>%d</attached_gpus>\n",
		c.m.Now().Format(time.ANSIC), d.DriverVersion, d.CUDAVersion, len(d.GPUs))
	for i := range d.GPUs {
		smiCard(&out, &d.GPUs[i])
	}
	out.WriteString("</nvidia_smi_log>\n")
	c.printf("%s", out.String())
	return 0
}

func smiCard(out *strings.Builder, g *gpufacts.GPU) {
	fmt.Fprintf(out, "\t<gpu id=\"0000%s\">\n\t\t<product_name>%s</product_name>\n\t\t<product_brand>GeForce</product_brand>\n\t\t<product_architecture>%s</product_architecture>\n"+
		"\t\t<persistence_mode>Disabled</persistence_mode>\n"+migXML(g.MIG)+
		"\t\t<serial>N/A</serial>\n\t\t<uuid>%s</uuid>\n\t\t<minor_number>%d</minor_number>\n\t\t<vbios_version>%s</vbios_version>\n\t\t<pci>\n\t\t\t<pci_device_id>0x268410DE</pci_device_id>\n\t\t\t<pci_bus_id>0000%s</pci_bus_id>\n\t\t</pci>\n",
		strings.ToUpper(g.PCIAddress), g.Name, g.Architecture, g.UUID, *g.Minor, g.VBIOSVersion, strings.ToUpper(g.PCIAddress))
	idle := "Active"
	if len(g.Processes) > 0 {
		idle = "Not Active"
	}
	fmt.Fprintf(out, "\t\t<fan_speed>%d %%</fan_speed>\n\t\t<performance_state>P%d</performance_state>\n\t\t<clocks_event_reasons>\n\t\t\t<clocks_event_reason_gpu_idle>%s</clocks_event_reason_gpu_idle>\n\t\t</clocks_event_reasons>\n"+
		"\t\t<fb_memory_usage>\n\t\t\t<total>%d MiB</total>\n\t\t\t<used>%d MiB</used>\n\t\t\t<free>%d MiB</free>\n\t\t</fb_memory_usage>\n\t\t<compute_mode>Default</compute_mode>\n"+
		"\t\t<utilization>\n\t\t\t<gpu_util>%d %%</gpu_util>\n\t\t\t<memory_util>%d %%</memory_util>\n\t\t</utilization>\n\t\t<ecc_mode>\n\t\t\t<current_ecc>N/A</current_ecc>\n\t\t\t<pending_ecc>N/A</pending_ecc>\n\t\t</ecc_mode>\n"+
		"\t\t<temperature>\n\t\t\t<gpu_temp>%d C</gpu_temp>\n\t\t</temperature>\n\t\t<gpu_power_readings>\n\t\t\t<power_draw>%.2f W</power_draw>\n\t\t\t<current_power_limit>%.2f W</current_power_limit>\n\t\t</gpu_power_readings>\n\t\t<processes>\n",
		g.FansPercent[0], *g.PerformanceState, idle, g.Memory.Total>>20, g.Memory.Used>>20, g.Memory.Free>>20,
		g.Utilization.GPU, g.Utilization.Memory, *g.Temperature.GPU, float64(*g.Power.Draw)/1000, float64(*g.Power.Limit)/1000)
	for _, p := range g.Processes {
		fmt.Fprintf(out, "\t\t\t<process_info>\n\t\t\t\t<gpu_instance_id>N/A</gpu_instance_id>\n\t\t\t\t<compute_instance_id>N/A</compute_instance_id>\n\t\t\t\t<pid>%d</pid>\n\t\t\t\t<type>C</type>\n"+
			"\t\t\t\t<process_name>python3 serve.py --api-key=not-for-others</process_name>\n\t\t\t\t<used_memory>%d MiB</used_memory>\n\t\t\t</process_info>\n", p.PID, *p.Memory>>20)
	}
	out.WriteString("\t\t</processes>\n\t</gpu>\n")
}
