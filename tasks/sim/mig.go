package sim

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
)

// migFile has the cards that can be divided, by their address.
const migFile = "/.sim/mig.json"

// MIGCard is a simulated NVIDIA A100 with 40 GB, which can be divided.
type MIGCard struct {
	// On is the mode now, and Pending the one after a reset.
	On      bool `json:"on"`
	Pending bool `json:"pending"`
	// NoReset tells that the driver cannot reset the card, as in a virtual machine.
	NoReset bool `json:"no_reset,omitempty"`
	// Forgets tells that the mode does not outlive a boot, as from Hopper on.
	Forgets bool `json:"forgets,omitempty"`
	// Instances are the GPU instances.
	Instances []MIGInstance `json:"instances,omitempty"`
}

// MIGInstance is a GPU instance of a simulated card.
type MIGInstance struct {
	ID      int    `json:"id"`
	Profile string `json:"profile"`
	Start   int    `json:"start"`
	// Computes are the compute instances by their number: how many slices each has.
	Computes map[int]int `json:"computes,omitempty"`
}

// migProfile is one row of `nvidia-smi mig -lgip` (NVIDIA's MIG User Guide).
type migProfile struct {
	name                       string
	id, total, size, sms, jobs int
	memory                     string
	starts                     []int
}

func migProfiles() []migProfile {
	return []migProfile{
		{"1g.5gb", 19, 7, 1, 14, 1, "4.75", []int{0, 1, 2, 3, 4, 5, 6}}, {"1g.5gb+me", 20, 1, 1, 14, 1, "4.75", []int{0, 1, 2, 3, 4, 5, 6}},
		{"1g.10gb", 15, 4, 2, 14, 1, "9.62", []int{0, 2, 4, 6}}, {"2g.10gb", 14, 3, 2, 28, 2, "9.62", []int{0, 2, 4}},
		{"3g.20gb", 9, 2, 4, 42, 3, "19.50", []int{0, 4}}, {"4g.20gb", 5, 1, 4, 56, 4, "19.50", []int{0}}, {"7g.40gb", 0, 1, 8, 98, 7, "39.25", []int{0}},
	}
}

func migProfileOf(name string) (migProfile, bool) {
	for _, p := range migProfiles() {
		if p.name == name || strconv.Itoa(p.id) == name {
			return p, true
		}
	}
	return migProfile{}, false
}

// MIG are the cards that can be divided, by their address.
func (m *Machine) MIG() map[string]MIGCard {
	out := map[string]MIGCard{}
	if data, err := m.read(migFile); err == nil {
		_ = json.Unmarshal(data, &out) // only this file writes it
	}
	return out
}

// SetMIG makes a card one that can be divided, in the given state.
func (m *Machine) SetMIG(address string, card MIGCard) error {
	all := m.MIG()
	all[address] = card
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	cards, err := gpu.BoundCards(m.Host())
	if err != nil {
		return err
	}
	for _, b := range cards {
		if b.Address == address {
			err = m.migCapabilities(b.Minor, card)
		}
	}
	if err != nil {
		return err
	}
	return m.write(migFile, data, 0o600)
}

// migCapabilities lays what the driver says of the instances of one card. Each has one
// number of a device node for ever, whether it is there or not.
func (m *Machine) migCapabilities(minor int, card MIGCard) error {
	dir := fmt.Sprintf("%s/gpu%d", gpu.Capabilities, minor)
	if err := os.RemoveAll(m.path(dir)); err != nil {
		return err
	}
	files := map[string]string{}
	tell := func(file string, n int) {
		files[file] = fmt.Sprintf("DeviceFileMinor: %d\nDeviceFileMode: 292\nDeviceFileModify: 1\n", n)
	}
	for _, g := range card.Instances {
		first := 3 + minor*135 + g.ID*9
		tell(fmt.Sprintf("%s/mig/gi%d/access", dir, g.ID), first)
		for ci := range g.Computes {
			tell(fmt.Sprintf("%s/mig/gi%d/ci%d/access", dir, g.ID, ci), first+1+ci)
		}
	}
	return m.writeAll(files)
}

// bootMIG ends all instances, and the modes that do not outlive a boot.
func (m *Machine) bootMIG() error {
	for address, card := range m.MIG() {
		card.Instances, card.On = nil, card.Pending && !card.Forgets
		card.Pending = card.On
		if err := m.SetMIG(address, card); err != nil {
			return err
		}
	}
	return nil
}

// unitMIG runs the lines of a unit that divide cards; each may fail.
func (m *Machine) unitMIG(line string) {
	command, is := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=-/usr/bin/nvidia-")
	if is && strings.HasPrefix(command, "smi ") { // it has the nodes made that it needs
		words := []string{"-c", "255"}
		for i := range m.MIG() {
			words = append(words, "-c", m.minorOf(i))
		}
		_ = m.makeNodes(words) // then it finds none, as without a driver
	}
	if memory, is := strings.CutPrefix(command, "modprobe -u"); is {
		_ = m.makeNodes(append(strings.Fields(memory), "-u"))
	}
	if is && (strings.HasPrefix(command, "smi ") || strings.HasPrefix(command, "modprobe -f ")) {
		m.newCall(context.Background(), strings.Fields("nvidia-"+command), Streams{}).run()
	}
}

// minorOf is the number of the node of the card at an address; "" without one.
func (m *Machine) minorOf(address string) string {
	cards, err := gpu.BoundCards(m.Host())
	if i := slices.IndexFunc(cards, func(b gpu.Bound) bool { return b.Address == address }); err == nil && i >= 0 {
		return strconv.Itoa(cards[i].Minor)
	}
	return ""
}

// migNode makes the node of a capability, as `nvidia-modprobe -f FILE`.
func (c *call) migNode(file string) int {
	node, err := gpu.CapabilityNode(c.m.Host(), file)
	if err == nil {
		err = c.m.write(node, nil, 0o444)
	}
	if err != nil {
		return 1 // it says nothing
	}
	return 0
}

// migID is the number of a GPU instance, which its place gives it.
func migID(p migProfile, start int) int {
	switch p.size {
	case 1:
		return 7 + start
	case 2:
		return 3 + start/2
	case 4:
		return 1 + start/4
	}
	return 0
}

// migDevice is an instance as programs see it.
type migDevice struct {
	gi, ci        int
	uuid, profile string
}

func migDevices(b gpu.Bound, card MIGCard) []migDevice {
	var out []migDevice
	list := slices.Clone(card.Instances)
	sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID })
	for _, g := range list {
		for _, ci := range sortedNumbers(g.Computes) {
			sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", b.UUID, g.ID, ci))
			id := fmt.Sprintf("MIG-%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
			out = append(out, migDevice{g.ID, ci, id, computeName(g, ci)})
		}
	}
	return out
}

func sortedNumbers(set map[int]int) []int {
	var out []int
	for n := range set {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func computeName(g MIGInstance, ci int) string {
	if p, _ := migProfileOf(g.Profile); g.Computes[ci] != p.jobs {
		return fmt.Sprintf("%dc.%s", g.Computes[ci], g.Profile)
	}
	return g.Profile
}

// migFacts are what the probe says of the division of a card; nil of one that has none.
func (m *Machine) migFacts(b gpu.Bound) *gpufacts.MIG {
	card, can := m.kernelOf().MIG()[b.Address]
	if !can {
		return nil
	}
	most := 7
	out := &gpufacts.MIG{Enabled: card.On, Pending: &card.Pending, MaxInstances: &most, Instances: []gpufacts.MIGInstance{}}
	for _, d := range migDevices(b, card) {
		size := migMemory(card, d.gi)
		out.Instances = append(out.Instances, gpufacts.MIGInstance{
			GPUInstance: &d.gi, ComputeInstance: &d.ci, UUID: d.uuid, Profile: d.profile, Memory: &gpufacts.Memory{Total: size, Free: size},
		})
	}
	return out
}

// dividedMiB is the memory of a card that can be divided.
const dividedMiB = 40960

// cardMemory is what a card has, in MiB.
func (m *Machine) cardMemory(b gpu.Bound) uint64 {
	if _, can := m.kernelOf().MIG()[b.Address]; can {
		return dividedMiB
	}
	return cardMiB
}

// migMemory is what a GPU instance has, in bytes; those in it share it.
func migMemory(card MIGCard, id int) uint64 {
	for _, g := range card.Instances {
		if p, _ := migProfileOf(g.Profile); g.ID == id {
			gib, _ := strconv.ParseFloat(p.memory, 64) // 0 for a profile that there is not
			return uint64(gib * (1 << 30))
		}
	}
	return 0
}

// migXML are the two parts of `nvidia-smi -q -x` about the division.
func migXML(f *gpufacts.MIG) string {
	mode := func(now, then string) string {
		return "\t\t<mig_mode>\n\t\t\t<current_mig>" + now + "</current_mig>\n\t\t\t<pending_mig>" + then + "</pending_mig>\n\t\t</mig_mode>\n\t\t<mig_devices>\n"
	}
	now, then := "N/A", "N/A"
	if f != nil {
		now = migWord(f.Enabled)
	}
	if f != nil && f.Pending != nil { // facts of .sim/gpus.json need not tell it
		then = migWord(*f.Pending)
	}
	if f == nil || len(f.Instances) == 0 {
		return mode(now, then) + "\t\t\tNone\n\t\t</mig_devices>\n"
	}
	out := mode(now, then)
	for i, d := range f.Instances {
		if d.GPUInstance == nil || d.ComputeInstance == nil { // facts of .sim/gpus.json need not tell them
			continue
		}
		out += fmt.Sprintf("\t\t\t<mig_device>\n\t\t\t\t<index>%d</index>\n\t\t\t\t<gpu_instance_id>%d</gpu_instance_id>\n\t\t\t\t<compute_instance_id>%d</compute_instance_id>\n\t\t\t</mig_device>\n", i, *d.GPUInstance, *d.ComputeInstance)
	}
	return out + "\t\t</mig_devices>\n"
}

func migWord(on bool) string { return map[bool]string{true: "Enabled", false: "Disabled"}[on] }

// migName is the name of a card, by which people know that it can be divided.
func (m *Machine) migName(b gpu.Bound) string {
	if _, can := m.kernelOf().MIG()[b.Address]; can {
		return "NVIDIA A100-SXM4-40GB"
	}
	return "NVIDIA GeForce RTX 4090"
}

// openNode lets a process have a file open, as /proc shows it.
func (m *Machine) openNode(pid int, n int, node string) error {
	at := fmt.Sprintf("/proc/%d/fd/%d", pid, n)
	if err := os.MkdirAll(path.Dir(m.path(at)), 0o755); err != nil {
		return err
	}
	return os.Symlink(node, m.path(at))
}
