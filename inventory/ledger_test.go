package inventory

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory/diag"
	"phoenix/inventory/gpulock"
	"phoenix/tasks/kind/lxc"
)

const (
	cardA = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
	cardB = "GPU-bbbbbbbb-0000-0000-0000-000000000002"
	cardC = "GPU-cccccccc-0000-0000-0000-000000000003"
)

// ledgered is a host whose containers name cards in all ways.
func ledgered(lock string) files {
	fs := files{
		"hosts.yaml": "version: 1\nhosts: {pve1: {lxc: cts/lxc.json}}\n",
		"cts/lxc.json": `{"version": 1, "defaults": {"template": "t", "features": ["nvidia"]}, "lxc_configs": {
			"900": {"gpu_assignment": "0, ` + cardC + `"},
			"901": {"gpu_assignment": {"count": 2, "model": "RTX 4090"}},
			"902": {"gpu_assignment": "` + cardC + `"},
			"903": {"gpu_assignment": {"min_vram_gb": 20}, "state": "absent"},
			"904": {"gpu_assignment": "none"},
			"905": {"gpu_memory_gb": 8.5, "gpu_assignment": {}}}}`,
	}
	if lock != "" {
		fs["cts/lxc.lock.json"] = lock
	}
	return fs
}

// ledger is what the family is told of a container's cards.
func ledger(t *testing.T, h *Host, ctid int) string {
	t.Helper()
	c := h.container(ctid)
	if c == nil {
		t.Fatalf("there is no container %d", ctid)
	}
	data, err := json.Marshal(c.Spec.GPULedger)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(c.Spec.GPUAssignment, " ", string(data))
}

func TestARequestThatNobodyHasAnsweredIsNotNoCards(t *testing.T) {
	h := mustLoad(t, ledgered("")).Hosts[0]
	if f := h.Lock(); f.Path != filepath.Join("cts", "lxc.lock.json") || f.Raw != nil || len(f.Lock.Hosts) > 0 {
		t.Errorf("lock file %+v", f)
	}
	for ctid, want := range map[int]string{
		900: "0," + cardC + " null",
		901: ` {"file":"lxc.lock.json","request":"2 cards RTX 4090","unmet":"` + notChosen + `"}`,
		905: ` {"file":"lxc.lock.json","request":"1 card","unmet":"` + notChosen + `"}`,
	} {
		if got := ledger(t, h, ctid); got != want {
			t.Errorf("container %d: %s, want %s", ctid, got, want)
		}
	}
	for ctid, want := range map[int]bool{900: true, 901: true, 902: true, 904: false, 905: true} {
		if got := h.container(ctid).Spec.GetsGPUs(); got != want {
			t.Errorf("container %d gets cards: %t", ctid, got)
		}
	}
	if got := h.Unpinned(true); !slices.Equal(got, []int{901, 905}) {
		t.Errorf("requests without an answer: %v", got)
	}
	if got := h.Unpinned(false); !slices.Equal(got, []int{900, 901, 905}) {
		t.Errorf("without a pin: %v", got)
	}
	if c := h.container(905); c.GPUMemoryGB != 8.5 || *c.Request != (gpulock.Request{}) {
		t.Errorf("container 905 has %v and %v", c.GPUMemoryGB, c.Request)
	}
}

// cards is the lock file's part of what is known of cards.
const cards = `"cards": {"` + cardA + `": {"name": "NVIDIA GeForce RTX 4090", "memory_bytes": 25757220864}, "` + cardB + `": {"name": "NVIDIA GeForce RTX 4090", "memory_bytes": 25757220864}}`

func TestTheLockFileAnswersAtLoad(t *testing.T) {
	h := mustLoad(t, ledgered(`{"version": 1, "hosts": {"pve1": {`+cards+`, "containers": {
		"900": {"names": {"0": "`+cardA+`", "5": "`+cardB+`"}},
		"901": {"request": {"count": 2, "model": "RTX 4090"}, "gpus": ["`+cardB+`", "`+cardA+`"]},
		"902": {"names": {"0": "`+cardA+`"}},
		"905": {"request": {"count": 1}, "gpus": ["`+cardA+`"]}}}}}`)).Hosts[0]
	for ctid, want := range map[int]string{
		900: "0," + cardC + ` {"file":"lxc.lock.json","pins":{"0":"` + cardA + `"}}`,
		901: cardB + "," + cardA + ` {"file":"lxc.lock.json","request":"2 cards RTX 4090"}`,
		902: cardC + " null",
		905: cardA + ` {"file":"lxc.lock.json","request":"1 card"}`,
	} {
		if got := ledger(t, h, ctid); got != want {
			t.Errorf("container %d: %s, want %s", ctid, got, want)
		}
	}
	if got := h.Unpinned(false); len(got) > 0 {
		t.Errorf("without a pin: %v", got)
	}
	if data, err := os.ReadFile(h.Lock().Path); err != nil || string(data) != string(h.Lock().Raw) {
		t.Errorf("raw %s, %v", h.Lock().Raw, err)
	}
	before, err := h.Lock().Lock.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.GPUFaults()
	if after, err := h.Lock().Lock.Encode(); err != nil || string(after) != string(before) {
		t.Errorf("looking has changed the lock: %s, %v", after, err)
	}
}

func TestAPinThatIsNoAnswerIsNotTaken(t *testing.T) {
	for name, pin := range map[string]string{
		"of another request":      `"request": {"count": 2, "model": "RTX 3090"}, "gpus": ["` + cardB + `", "` + cardA + `"]`,
		"of fewer cards":          `"request": {"count": 2, "model": "RTX 4090"}, "gpus": ["` + cardB + `"]`,
		"of a card of that model": `"request": {"count": 2, "model": "RTX 4090"}, "gpus": ["` + cardB + `", "` + cardC + `"]`,
		"of a MIG instance":       `"request": {"count": 2, "model": "RTX 4090"}, "gpus": ["` + cardB + `", "MIG-aaaaaaaa-0000-0000-0000-000000000001"]`,
		"of an index":             `"names": {"0": "` + cardB + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			lock := `{"version": 1, "hosts": {"pve1": {` + strings.Replace(cards, `}}`, `}, "`+cardC+`": {"name": "NVIDIA GeForce RTX 4090 Laptop GPU"}}`, 1) + `, "containers": {"901": {` + pin + `}}}}}`
			h := mustLoad(t, ledgered(lock)).Hosts[0]
			if got := h.Unpinned(true); !slices.Contains(got, 901) {
				t.Errorf("without an answer: %v", got)
			}
			if c := h.container(901).Spec; c.GPUAssignment != nil || c.GPULedger.Unmet != notChosen {
				t.Errorf("%v, %+v", c.GPUAssignment, c.GPULedger)
			}
		})
	}
}

func TestPinAnswersAndUnmetSaysWhyNot(t *testing.T) {
	fleet := mustLoad(t, ledgered(""))
	h := fleet.Hosts[0]
	for range 2 { // both can be said again
		h.Unmet(901, "one of two")
		if got, want := ledger(t, h, 901), ` {"file":"lxc.lock.json","request":"2 cards RTX 4090","unmet":"one of two"}`; got != want {
			t.Errorf("unmet: %s, want %s", got, want)
		}
		h.Unmet(900, "no card with index 0")
		if got, want := ledger(t, h, 900), "0,"+cardC+` {"file":"lxc.lock.json","unmet":"no card with index 0"}`; got != want {
			t.Errorf("unmet: %s, want %s", got, want)
		}
		h.Pin(901, gpulock.Pin{Request: h.container(901).Request, GPUs: []string{cardA, cardB}})
		if got, want := ledger(t, h, 901), cardA+","+cardB+` {"file":"lxc.lock.json","request":"2 cards RTX 4090"}`; got != want {
			t.Errorf("pinned: %s, want %s", got, want)
		}
		h.Pin(900, gpulock.Pin{Names: map[string]string{"0": cardA}})
		if got, want := ledger(t, h, 900), "0,"+cardC+` {"file":"lxc.lock.json","pins":{"0":"`+cardA+`"}}`; got != want {
			t.Errorf("pinned: %s, want %s", got, want)
		}
	}
	if got := h.Unpinned(false); !slices.Equal(got, []int{905}) {
		t.Errorf("without a pin: %v", got)
	}
	if p := h.Lock().Lock.Kept("pve1").Containers[900]; p.Names["0"] != cardA {
		t.Errorf("the lock has %+v", p)
	}
	var shared []string
	for _, d := range fleet.GPUFaults() {
		if strings.Contains(d.Summary, "shares GPUs") {
			shared = append(shared, d.Summary)
		}
	}
	if want := []string{"container 901 shares GPUs: " + cardA + " with container 900", "container 902 shares GPUs: " + cardC + " with container 900"}; !slices.Equal(shared, want) {
		t.Errorf("found %q, want %q", shared, want)
	}
	h.Pin(1, gpulock.Pin{})
	h.Unmet(1, "there is none") // nothing happens
}

func TestHostsOfOneFileShareItsLock(t *testing.T) {
	f := mustLoad(t, files{
		"hosts.yaml": "version: 1\nhosts: {a: {lxc: lxc.json, containers: 900}, b: {lxc: lxc.json, containers: 901}, c: {lxc: other.json, containers: all}, d: {}}\n",
		"lxc.json":   `{"version": 1, "defaults": {"template": "t", "features": ["nvidia"], "gpu_assignment": "0"}, "lxc_configs": {"900": {}, "901": {}}}`,
		"other.json": `{"version": 1, "lxc_configs": {"902": {"template": "t"}}}`,
	})
	a, b, c, d := f.Host("a"), f.Host("b"), f.Host("c"), f.Host("d")
	if a.Lock() != b.Lock() || a.Lock() == c.Lock() || c.Lock().Path != "other.lock.json" || d.Lock().Path != "" || d.Lock().Lock == nil {
		t.Errorf("locks %v %v %v %v", a.Lock(), b.Lock(), c.Lock(), d.Lock())
	}
	a.Pin(900, gpulock.Pin{Names: map[string]string{"0": cardA}})
	if got := b.Unpinned(false); !slices.Equal(got, []int{901}) {
		t.Errorf("a pin of another host counts: %v", got)
	}
}

func TestALockFileIsNoInventory(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFiles(t, files{
		"inv/hosts.yaml":    "version: 1\nhosts: {pve1: {lxc: lxc.json}}\n",
		"inv/lxc.json":      `{"version": 1, "lxc_configs": {}}`,
		"inv/lxc.lock.json": `{"version": 1, "hosts": {"pve9": {}}}`,
	})
	fleet, found := Load(t.Context(), Options{Sources: []string{"inv"}, UID: os.Getuid()})
	if len(found) > 0 || len(fleet.Hosts) != 1 || fleet.Hosts[0].Lock().Raw == nil {
		t.Errorf("found %v", found)
	}
}

func TestALockFileThatAnybodyCanWriteIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFiles(t, ledgered(`{"version": 1}`))
	if err := os.Chmod("cts/lxc.lock.json", 0o666); err != nil {
		t.Fatal(err)
	}
	_, found := Load(t.Context(), Options{UID: os.Getuid()})
	if !slices.ContainsFunc(found, func(d diag.Diagnostic) bool {
		return d.Severity == diag.Error && d.File == "cts/lxc.lock.json" && d.Summary == "anybody can write to the file"
	}) {
		t.Errorf("found %v", found)
	}
}

func TestThePolicyOfACardIsThatOfItsBestName(t *testing.T) {
	h := &Host{Hypervisor: &Hypervisor{Cards: &Cards{Policy: PolicyShared, GPUs: map[string]CardSettings{
		cardA: {Policy: PolicyExclusive}, "01:00.0": {Policy: PolicyShared}, "0000:02:00.0": {Policy: PolicyExclusive}, "2": {Policy: PolicyExclusive}, "3": {},
	}}}}
	for _, c := range []struct {
		uuid, address string
		index         int
		want          string
	}{
		{cardA, "0000:01:00.0", 0, PolicyExclusive},
		{"gpu-" + strings.ToUpper(cardA[4:]), "", -1, PolicyExclusive},
		{cardB, "0000:01:00.0", 2, PolicyShared},
		{cardB, "00000000:02:00.0", 0, PolicyExclusive},
		{"", "", 2, PolicyExclusive},
		{"", "", 3, PolicyShared},
		{"", "", -1, PolicyShared},
	} {
		if got := h.GPUPolicy(c.uuid, c.address, c.index); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	h.Hypervisor.Cards = nil
	if got := h.GPUPolicy(cardA, "", 0); got != "" {
		t.Errorf("nobody has said %q", got)
	}
}

// TestPoliciesAloneDoNotManageTheDriver: who says who may have a card has not asked for
// units that make its nodes.
func TestPoliciesAloneDoNotManageTheDriver(t *testing.T) {
	for section, want := range map[string]string{
		`{}`:                          "driver",
		`{"gpu_policy": "exclusive"}`: "cards",
		`{"gpus": {}}`:                "cards",
		`{"gpu_policy": "shared", "device_nodes": true}`: "driver cards",
		`{"driver": "570.86.15"}`:                        "driver",
	} {
		v := mustLoad(t, files{"hosts.yaml": "version: 1\nhosts: {a: {hypervisor: hv.json}}\n", "hv.json": `{"version": 1, "nvidia": ` + section + `}`}).Hosts[0].Hypervisor
		var got []string
		if v.NVIDIA != nil {
			got = append(got, "driver")
		}
		if v.Cards != nil {
			got = append(got, "cards")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", section, got, want)
		}
	}
}

func TestRequestsAndBudgetsAreMergedLikeOtherKeys(t *testing.T) {
	h := mustLoad(t, files{
		"hosts.yaml": "version: 1\nhosts: {a: {lxc: lxc.json, vars: {gb: 12}}}\n",
		"lxc.json": `{"version": 1, "defaults": {"template": "t", "features": ["nvidia"], "gpu_memory_gb": 4, "gpu_assignment": {"min_vram_gb": 20}}, "profiles": {"two": {"gpu_assignment": {"count": 2}}}, "lxc_configs": {
			"900": {"profiles": ["two"], "gpu_memory_gb": "${vars.gb}"}, "901": {"gpu_assignment": "0"}, "902": {"gpu_assignment": "none", "is_template": true}, "903": {"gpu_memory_gb": 6, "clone_from_ctid": 902}}}`,
	}).Hosts[0]
	if c := h.container(900); c.Request == nil || *c.Request != (gpulock.Request{Count: 2, MinVRAMGB: 20}) || c.GPUMemoryGB != 12 {
		t.Errorf("container 900 asks for %v and takes %v GB", c.Request, c.GPUMemoryGB)
	}
	if c := h.container(901); c.Request != nil || !slices.Equal(c.Spec.GPUAssignment, lxc.Assignment{"0"}) {
		t.Errorf("container 901 asks for %v", c.Request)
	}
	if got := h.GPUMemoryGB(h.container(903)); got != 6 {
		t.Errorf("container 903 takes %v GB", got)
	}
	h.container(903).GPUMemoryGB = 0
	if got := h.GPUMemoryGB(h.container(903)); got != 4 {
		t.Errorf("a clone that says nothing takes %v GB", got)
	}
}
