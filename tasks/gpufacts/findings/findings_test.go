package findings

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/gpufacts"
)

const (
	address = "0000:01:00.0"
	uuid    = "GPU-5c0a4b3d-0000-0000-0000-000000000001"
)

// healthy is a host with one card, which container 900 has and uses.
const healthy = `{
	"source": "nvml", "driver_version": "550.54.15",
	"gpus": [{"index": 0, "minor": 0, "uuid": "` + uuid + `", "pci_address": "` + address + `", "throttle_reasons": ["gpu_idle", "sw_power_cap"],
		"temperature": {"gpu_c": 61, "slowdown_c": 90, "shutdown_c": 95},
		"ecc": {"enabled": true, "pending": true, "volatile": {"corrected": 2, "uncorrected": 0}, "aggregate": {"corrected": 5, "uncorrected": 0}},
		"row_remapping": {"corrected": 1, "uncorrected": 0, "pending": false, "failed": false}, "retired_pages": {"pending": false},
		"processes": [{"pid": 70900, "type": "compute"}, {"pid": 12, "type": "graphics"}]}],
	"cards": [{"address": "` + address + `", "driver": "nvidia", "node": "/dev/nvidia0", "assigned": [900]}, {"address": "0000:09:00.0", "driver": "vfio-pci"}],
	"owners": [{"pid": 70900, "name": "python3", "ctid": 900}, {"pid": 12, "name": "Xorg"}],
	"containers": [{"ctid": 900, "name": "model"}],
	"machine": {"loaded": "550.54.15", "library": "550.54.15", "devices": ["195 nvidia", "510 nvidia-uvm"],
		"kernels": [{"release": "6.8.12-9-pve", "next": true, "module": true}],
		"nodes": ["/dev/nvidiactl character special file c3 ff", "/dev/nvidia-uvm character special file 1fe 0", "/dev/nvidia-uvm-tools character special file 1fe 1", "/dev/nvidia0 character special file c3 0"],
		"guests": [{"ctid": 900, "libraries": ["/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.15", "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15"]}]}
}`

// host is the healthy one with other facts over it; those of "gpu" go over the card's.
func host(t *testing.T, over string) *gpufacts.Host {
	t.Helper()
	var h gpufacts.Host
	var more struct {
		GPU     json.RawMessage `json:"gpu"`
		Card    json.RawMessage `json:"card"`
		Machine json.RawMessage `json:"machine"`
	}
	var m gpufacts.Machine
	must := func(data string, into any) {
		if data == "" {
			return
		}
		if err := json.Unmarshal([]byte(data), into); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
	}
	must(healthy, &h)
	m = *h.Machine
	must(over, &more)
	must(over, &h)
	if len(h.GPUs) > 0 {
		must(string(more.GPU), &h.GPUs[0])
	}
	if len(h.Cards) > 0 {
		must(string(more.Card), &h.Cards[0])
	}
	must(string(more.Machine), &m)
	h.Machine = &m
	return &h
}

func TestFindings(t *testing.T) {
	alone := Rules{Policy: func(u, a string, i int) string {
		if u == uuid && a == address && i == 0 {
			return "exclusive"
		}
		return "shared"
	}}
	two := `{"card": {"assigned": [900, 901]}`
	seen := spoken{map[string]gpufacts.Severity{}, map[string]bool{}}
	managed := Rules{Driver: true, Nodes: true}
	for _, c := range []struct {
		name, over string
		rules      Rules
		want       []string // "severity word: part of the text"
	}{
		{"a healthy host", `{}`, alone, nil},
		{"nothing was looked at beside the cards", `{"machine": {"loaded": "", "library": "", "devices": null, "kernels": null, "nodes": null, "guests": null}}`, Rules{}, nil},

		{"another library is installed", `{"machine": {"library": "570.86.15"}}`, Rules{}, []string{"critical version mismatch: the driver 550.54.15 is loaded and 570.86.15 is installed"}},
		{"another library, and a step compares them", `{"machine": {"library": "570.86.15"}}`, managed, nil},
		{"the driver is not loaded", `{"machine": {"loaded": "", "nodes": null, "guests": null}}`, Rules{}, []string{"critical driver not loaded: the driver 550.54.15 is installed and not loaded"}},
		{"nouveau has the card", `{"machine": {"loaded": "", "nodes": null, "guests": null}, "card": {"driver": "nouveau"}}`, Rules{}, []string{"critical driver not loaded: ; nouveau has " + address}},
		{"the driver is not loaded, and a step would load it", `{"machine": {"loaded": "", "nodes": null, "guests": null}}`, Rules{Ahead: true}, nil},
		{"all cards are those of virtual machines", `{"machine": {"loaded": "", "nodes": null, "guests": null}, "gpus": [], "cards": [{"address": "0000:09:00.0", "driver": "vfio-pci"}]}`, Rules{}, nil},
		{"the libraries lie elsewhere", `{"machine": {"library": ""}}`, Rules{}, []string{"note no libraries: "}},

		{"a newer kernel without a module", `{"machine": {"kernels": [{"release": "6.8.12-9-pve", "module": true}, {"release": "6.8.12-10-pve", "module": true}, {"release": "6.8.12-99-pve", "next": true}]}}`, Rules{},
			[]string{"warning no module: after the next reboot, which starts 6.8.12-99-pve, there is no NVIDIA module"}},
		{"a newer kernel that is not the next one", `{"machine": {"kernels": [{"release": "6.8.12-9-pve", "module": true, "next": true}, {"release": "6.8.12-99-pve"}]}}`, Rules{},
			[]string{"warning no module: after a reboot into 6.8.12-99-pve there is no NVIDIA module"}},
		{"the running kernel has lost its module, and is the next one", `{"machine": {"kernels": [{"release": "6.8.12-9-pve", "next": true, "module": false}]}}`, Rules{}, []string{"warning no module: which starts 6.8.12-9-pve,"}},
		{"a kernel without a module, and a step compares them", `{"machine": {"kernels": [{"release": "6.8.12-9-pve"}, {"release": "6.8.12-99-pve", "next": true}]}}`, managed, nil},

		{"a node of another number", `{"machine": {"nodes": ["/dev/nvidiactl character special file c3 ff", "/dev/nvidia-uvm character special file 1fe 0", "/dev/nvidia0 character special file c3 1"]}}`, Rules{},
			[]string{"critical bad device node: /dev/nvidia0 has the numbers 195:1, and the driver has it at 195:0"}},
		{"a node of unified memory from before a reboot", `{"machine": {"devices": ["195 nvidia-frontend", "509 nvidia-uvm"]}}`, Rules{},
			[]string{"critical bad device node: /dev/nvidia-uvm has the numbers 510:0, and the driver has it at 509:0", "critical bad device node: /dev/nvidia-uvm-tools"}},
		{"a node that is a file", `{"machine": {"nodes": ["/dev/nvidiactl regular empty file 0 0", "/dev/nvidia-uvm character special file 1fe 0", "/dev/nvidia0 character special file c3 0"]}}`, managed,
			[]string{"critical bad device node: /dev/nvidiactl is no character device but a regular empty file"}},
		{"a node that is not there", `{"machine": {"nodes": ["/dev/nvidiactl character special file c3 ff", "/dev/nvidia-uvm character special file 1fe 0"], "not_at_boot": ["/dev/nvidia0"]}}`, Rules{},
			[]string{"critical no device node: /dev/nvidia0 is not there"}},
		{"a node that is not there and no container has", `{"machine": {"nodes": ["/dev/nvidiactl character special file c3 ff"]}, "card": {"assigned": []}, "gpu": {"processes": []}}`, Rules{}, nil},
		{"a node that a step would make", `{"machine": {"nodes": ["/dev/nvidiactl character special file c3 ff"]}}`, managed, nil},
		{"nothing makes the nodes at boot", `{"machine": {"not_at_boot": ["/dev/nvidiactl", "/dev/nvidia0"]}}`, Rules{}, []string{"warning not made at boot: containers have /dev/nvidiactl, /dev/nvidia0, which nothing makes at boot"}},
		{"nothing makes the nodes at boot, and a step sees to it", `{"machine": {"not_at_boot": ["/dev/nvidiactl"]}}`, managed, nil},

		{"a card that fell off the bus", `{"gpu": {"error": {"kind": "lost", "text": "GPU is lost"}}}`, Rules{}, []string{"critical lost: GPU 0 (" + address + "): it has fallen off the bus: GPU is lost"}},
		{"a card over which the driver hung", `{"gpu": {"error": {"kind": "timeout", "text": "8s"}}}`, Rules{}, []string{"critical timeout: GPU 0 (" + address + "): the driver hung over it"}},
		{"a card over which the library crashed", `{"gpu": {"error": {"kind": "crash", "text": "SIGSEGV"}}}`, Rules{}, []string{"critical crash: GPU 0 (" + address + "): the driver's library crashed over it"}},
		{"a card in another error", `{"gpu": {"error": {"kind": "other", "text": "Unknown Error"}}}`, Rules{}, []string{"critical other: the driver does not tell of it: Unknown Error"}},
		{"a card that the driver does not list, while its node is to be made anew", `{"gpus": []}`, Rules{Nodes: true, NodesAhead: true}, nil},
		{"a card that the driver does not list", `{"gpus": []}`, Rules{}, []string{"critical lost: the card " + address + " is on the PCI bus"}},
		{"a card that the driver was told to leave out", `{"gpus": [], "card": {"node": ""}}`, Rules{}, nil},
		{"a card that only the kernel tells of", `{"gpus": [], "source": "sysfs"}`, Rules{}, nil},
		{"a card that is not on the bus any more", `{"machine": {"gone": ["0000:05:00.0"]}}`, Rules{}, []string{"critical lost: the driver has the card 0000:05:00.0, and it is not on the PCI bus any more"}},
		{"a card of the driver's that is not on the bus any more", `{"gpu": {"pci_address": "0000:05:00.0", "processes": []}, "cards": []}`, Rules{}, []string{"critical lost: the driver has the card 0000:05:00.0"}},
		{"a lost card that is not on the bus any more is told once", `{"gpu": {"pci_address": "0000:05:00.0", "error": {"kind": "lost", "text": "x"}, "processes": []}, "cards": [], "machine": {"gone": ["0000:05:00.0"]}}`, Rules{}, []string{"critical lost: fallen off"}},

		{"a card off the bus of which the driver tells only the index", `{"gpus": [{"index": 0, "error": {"kind": "lost", "text": "GPU is lost"}}]}`, Rules{}, []string{"critical lost: GPU 0 (" + address + "): it has fallen off the bus: GPU is lost; container 900 model has it"}},
		{"two cards off the bus are those that nobody tells of", `{"gpus": [{"index": 0, "error": {"kind": "lost", "text": "x"}}, {"index": 1, "pci_address": "0000:05:00.0", "uuid": "GPU-b"}, {"index": 2, "error": {"kind": "lost", "text": "x"}}],
			"cards": [{"address": "` + address + `", "driver": "nvidia", "node": "/dev/nvidia0"}, {"address": "0000:05:00.0", "driver": "nvidia", "node": "/dev/nvidia1"}, {"address": "0000:06:00.0", "driver": "nvidia", "node": "/dev/nvidia2"}], "owners": [], "machine": {"nodes": null}}`, Rules{},
			[]string{"critical lost: GPU 0 (" + address + ")", "critical lost: GPU 2 (0000:06:00.0)"}},
		{"a card that is gone from the machine", `{}`, Rules{Given: []Given{{CTID: 901, Name: "web", UUID: "GPU-b", Address: "0000:02:00.0"}, {CTID: 902, UUID: "GPU-b", Address: "0000:02:00.0"}, {CTID: 900, UUID: uuid}}},
			[]string{"critical gone: the card GPU-b (0000:02:00.0 when it was chosen) is not there; container 901 web, container 902 have it"}},
		{"another card is where it was", `{}`, Rules{Given: []Given{{CTID: 901, UUID: "GPU-b", Address: address}}}, []string{"critical gone: the card GPU-b"}},
		{"no card is there any more", `{"source": "", "gpus": [], "cards": [], "owners": [], "machine": {"nodes": null}}`, Rules{Given: []Given{{CTID: 901, UUID: "GPU-b"}, {CTID: 901, Address: "0000:02:00.0"}}},
			[]string{"critical gone: the card GPU-b is not there", "critical gone: the card 0000:02:00.0 is not there"}},
		{"a card that has moved to another slot", `{}`, Rules{Given: []Given{{CTID: 900, UUID: uuid, Address: "0000:02:00.0"}}}, nil},
		{"a card that a virtual machine has", `{}`, Rules{Given: []Given{{CTID: 900, UUID: "GPU-b", Address: "0000:09:00.0"}, {CTID: 900, UUID: "GPU-c"}}}, nil},
		{"a lost card of which nobody knows where it was", `{"gpu": {"uuid": "", "pci_address": "", "error": {"kind": "lost", "text": "x"}, "processes": []}, "cards": [], "machine": {"nodes": null}}`, Rules{Given: []Given{{CTID: 900, UUID: "GPU-b", Address: "0000:02:00.0"}}},
			[]string{"critical lost: GPU 0: it has fallen off"}},
		{"a card that a container is to have is off the bus", `{"gpu": {"error": {"kind": "lost", "text": "x"}}}`, Rules{Given: []Given{{CTID: 901, Name: "web", UUID: uuid}}}, []string{"critical lost: x; container 900 model, container 901 web have it"}},

		{"row remapping that waits", `{"gpu": {"row_remapping": {"pending": true}}}`, Rules{}, []string{"warning row remapping pending: waits for a reset"}},
		{"row remapping that failed", `{"gpu": {"row_remapping": {"pending": true, "failed": true}}}`, Rules{}, []string{"critical row remapping failed: could not be replaced", "warning row remapping pending: "}},
		{"page retirement that waits", `{"gpu": {"retired_pages": {"pending": true}}}`, Rules{}, []string{"warning page retirement pending: "}},
		{"errors that were not corrected", `{"gpu": {"ecc": {"volatile": {"uncorrected": 2}, "aggregate": {"uncorrected": 7}}}}`, Rules{}, []string{"critical 2 ECC errors: 2 errors of its memory could not be corrected since"}},
		{"one error that was not corrected", `{"gpu": {"ecc": {"volatile": {"uncorrected": 1}}}}`, Rules{}, []string{"critical 1 ECC error: 1 error of"}},
		{"errors of another time", `{"gpu": {"ecc": {"aggregate": {"uncorrected": 7}}}}`, Rules{}, []string{"warning ECC errors before: 7 errors"}},
		{"a few corrected errors", `{"gpu": {"ecc": {"volatile": {"corrected": 999}}}}`, Rules{}, nil},
		{"many corrected errors", `{"gpu": {"ecc": {"aggregate": {"corrected": 1000}}}}`, Rules{}, []string{"warning corrected ECC errors: 1000 errors"}},
		{"a mode of ECC that waits", `{"gpu": {"ecc": {"pending": false}}}`, Rules{}, []string{"note ECC mode pending: ECC is on and will be off after a reset"}},
		{"too hot", `{"gpu": {"temperature": {"gpu_c": 90}}}`, Rules{}, []string{"critical too hot: it is 90 C hot, and slows itself down from 90 C on; at 95 C"}},
		{"one degree below", `{"gpu": {"temperature": {"gpu_c": 89}}}`, Rules{}, nil},
		{"too hot, of which only the end is known", `{"gpu": {"temperature": {"gpu_c": 96, "slowdown_c": null}}}`, Rules{}, []string{"critical too hot: switches itself off at 95 C"}},
		{"heat without a known limit", `{"gpu": {"temperature": {"gpu_c": 99, "slowdown_c": null, "shutdown_c": null}}}`, Rules{}, nil},
		{"the hardware slows down for heat", `{"gpu": {"throttle_reasons": ["hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown"]}}`, Rules{}, []string{"warning thermal slowdown: the hardware has at least halved its clocks at 61 C"}},
		{"the driver slows down for heat", `{"gpu": {"throttle_reasons": ["sw_thermal_slowdown"]}}`, Rules{}, []string{"warning thermal slowdown: the driver has lowered"}},
		{"the power supply slows it down", `{"gpu": {"throttle_reasons": ["hw_slowdown", "hw_power_brake_slowdown"]}}`, Rules{}, []string{"warning power brake: "}},
		{"the hardware slows down, and does not say why", `{"gpu": {"throttle_reasons": ["hw_slowdown"]}}`, Rules{}, []string{"warning hardware slowdown: "}},
		{"facts of a group that are missing", `{"gpu": {"group_errors": [{"group": "power", "kind": "other", "text": "Unknown Error"}]}}`, Rules{}, []string{"note facts missing: not all facts of power are known"}},

		{"an exclusive card that two have", two + `}`, alone, []string{"warning shared: its policy is exclusive, and it is given to container 900 model, container 901"}},
		{"a shared card that two have", two + `}`, Rules{Policy: func(string, string, int) string { return "shared" }}, nil},
		{"a divided card that two have", two + `, "gpu": {"mig": {"enabled": true}}}`, alone, nil},
		{"a process of a container without the card", `{"owners": [{"pid": 70900, "name": "python3", "ctid": 905}]}`, Rules{}, []string{"warning not assigned: container 905 uses it (python3, process 70900)"}},
		{"another library in a container", `{"machine": {"guests": [{"ctid": 900, "libraries": ["/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.216.01", "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15"]}]}}`, Rules{},
			[]string{"warning other user space: container 900 model has libnvidia-ml 535.216.01, libcuda 550.54.15 and the host has the driver 550.54.15 loaded"}},
		{"another library in a container, and a step changes the host's", `{"machine": {"guests": [{"ctid": 900, "libraries": ["/x/libcuda.so.535.216.01"]}]}}`, Rules{Ahead: true}, nil},
		{"no library in a container", `{"machine": {"guests": [{"ctid": 900, "libraries": null}]}}`, Rules{}, []string{"note no user space: container 900 model has a card and none"}},
		{"a container that does not answer", `{"machine": {"guests": [{"ctid": 900, "why": "timeout"}]}}`, Rules{}, []string{"note user space unknown: container 900 model could not be asked"}},

		{"a poorer source", `{"missed": [{"source": "nvml", "kind": "probe missing", "text": "no space left"}]}`, Rules{}, []string{"note poorer facts: no facts from nvml: probe missing: no space left"}},
		{"a driver that hangs", `{"missed": [{"source": "nvml", "kind": "timeout", "text": "20s"}, {"source": "nvidia-smi", "kind": "timeout", "text": "not asked"}]}`, Rules{}, []string{"critical driver hangs: the driver does not answer: 20s", "note poorer facts: no facts from nvidia-smi"}},
		{"what could not be read", `{"unreadable": ["read x: denied"]}`, Rules{}, []string{"note unreadable: read x: denied"}},
		{"the worst is the first", `{"unreadable": ["x"], "gpu": {"row_remapping": {"failed": true}, "throttle_reasons": ["sw_thermal_slowdown"]}}`, Rules{}, []string{"critical row remapping failed: ", "warning thermal slowdown: ", "note unreadable: x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, c.over)
			got := Of(h, c.rules)
			for i := range h.GPUs {
				seen.hear(t, got, OfCard(&h.GPUs[i]))
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %+v, want %q", got, c.want)
			}
			for i, f := range got {
				head, part, _ := strings.Cut(c.want[i], ": ")
				if fmt.Sprintf("%s %s", f.Severity, f.Word) != head || !strings.Contains(f.Text, part) {
					t.Errorf("got %+v, want %q", f, c.want[i])
				}
			}
		})
	}
	t.Run("the documents have the same words", seen.held)
}

func TestTexts_areBounded(t *testing.T) {
	var list []gpufacts.Finding
	for range 100 {
		list = append(list, gpufacts.Finding{Severity: gpufacts.SeverityWarning, Text: strings.Repeat("x", 5000) + "\nline", Mend: "y"})
	}
	got := Texts(append(list, gpufacts.Finding{Severity: gpufacts.SeverityNote, Text: "n"}), gpufacts.SeverityWarning)
	if len(got) != most+1 || got[most] != "and 60 more" || slices.ContainsFunc(got, func(s string) bool { return len(s) > longest+len("…") || strings.Contains(s, "\n") }) {
		t.Errorf("%d texts, the last %q", len(got), got[len(got)-1])
	}
	if Worst(list) != gpufacts.SeverityWarning || Worst(nil) != "" {
		t.Error("the worst is not the worst")
	}
}

func TestParseNode_readsNumbersInHexadecimal(t *testing.T) {
	for line, want := range map[string]node{
		"/dev/nvidia0 character special file c3 a": {"/dev/nvidia0", "character special file", 195, 10},
		"/dev/nvidia-uvm symbolic link 0 0":        {"/dev/nvidia-uvm", "symbolic link", 0, 0},
	} {
		if got, ok := parseNode(line); !ok || got != want {
			t.Errorf("%q: got %+v, %t, want %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "/dev/nvidia0", "/dev/nvidia0 character special file c3", "/dev/nvidia0 character special file c3 x", "/dev/nvidia0 character special file 123456789 0"} {
		if got, ok := parseNode(line); ok {
			t.Errorf("%q is taken for %+v", line, got)
		}
	}
}

// FuzzOf: what hosts tell is believed by nobody, and never a fault of the workstation.
func FuzzOf(f *testing.F) {
	f.Add([]byte(healthy))
	f.Add([]byte(`{"gpus":[{"index":-1,"error":{}}],"cards":[{"node":"/dev/nvidiax"}],"machine":{"nodes":["/dev/a b c d"],"guests":[{"ctid":-1,"libraries":["/libcuda.so."]}],"kernels":[{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h gpufacts.Host
		if json.Unmarshal(data, &h) != nil {
			return
		}
		seen := ""
		for _, x := range Of(&h, Rules{Policy: func(string, string, int) string { return exclusive }}) {
			if rank := map[gpufacts.Severity]string{gpufacts.SeverityCritical: "a", gpufacts.SeverityWarning: "b", gpufacts.SeverityNote: "c"}[x.Severity]; rank == "" || rank < seen {
				t.Errorf("%+v comes after one that is better", x)
			} else {
				seen = rank
			}
		}
	})
}
