package nvmlfake

import "fmt"

// Driver returns the lines of a driver that answers.
func Driver() []string {
	return []string{"driver 550.54.15", "nvml 12.550.54.15", "cuda 12040"}
}

// RTX4090 is a consumer card: no ECC, no serial number, no NVLink, no MIG. More lines
// may follow; of two with the same word the first counts.
func RTX4090(index int, first ...string) Card {
	return Card{Lines: append(first,
		"name NVIDIA GeForce RTX 4090", fmt.Sprintf("uuid GPU-5c1a3e0%d-7d2b-4b7e-9f10-2a64c7d1e9b%d", index, index), fmt.Sprintf("minor %d", index),
		fmt.Sprintf("pci 0000:%02x:00.0 268410de", 1+index*0x40), "architecture 8", "compute_capability 8 9", "vbios 95.02.3c.40.b8",
		"memory 25757220864 1342177280 452984832", "utilization 12 3", "temperature 41", "temperature_limits 98 95",
		"power 61250", "power_limit 450000", "power_default 450000", "power_range 150000 600000", "clocks 2520 2520 10501", "max_clocks 3105 3105 10501",
		"pstate 2", "throttle 4", "fans 2", "fan 30", "fan 31", "persistence 1", "compute_mode 0",
	)}
}

// A100 is a card of a data centre, divided into two instances: one takes half of the
// other's GPU instance, and one was taken away from between them.
func A100(index int, first ...string) Card {
	return Card{Lines: append(first,
		"name NVIDIA A100-SXM4-40GB", fmt.Sprintf("uuid GPU-a100000%d-1d2b-4b7e-9f10-2a64c7d1e9b%d", index, index), fmt.Sprintf("minor %d", index),
		fmt.Sprintf("pci 0001:%02x:00.0 20b010de", 0x81+index), "serial 1560120000001", "architecture 7", "compute_capability 8 0", "vbios 92.00.19.00.01",
		"memory 42949672960 38797312 631242752", "temperature 33", "temperature_limits 92 89",
		"power 54012", "power_limit 400000", "power_default 400000", "power_range 100000 400000", "clocks 1095 1095 1215", "max_clocks 1410 1410 1215",
		"pstate 0", "throttle 0", "persistence 1", "compute_mode 3", "ecc 1 1", "ecc_volatile 0 0", "ecc_aggregate 12 1", "remapped_rows 1 0 1 0",
		"nvlink 1 3 0001:82:00.0", "nvlink 0 0 -", "mig_mode 1 1", "mig_max 7", "process compute 4711 2147483648 1 0", "process compute 4712 - 2 0",
	), Instances: [][]string{
		{"name NVIDIA A100-SXM4-40GB MIG 1g.5gb", "uuid MIG-7b6e7a1e-0c8e-5a3b-9d0d-0a4c9c3b5e01", "gi 1", "ci 0", "memory 5100273664 2147483648 0"},
		{"hole here"},
		{"uuid MIG-7b6e7a1e-0c8e-5a3b-9d0d-0a4c9c3b5e02", "gi 2", "ci 0", "slices 3 1 19968", "memory 20937965568 0 0"},
	}}
}
