package sim

import (
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks/gpu"
)

// nvidiaUserSpace are the packages without a kernel module: those of NVIDIA's archive for
// Debian from 560 on, and of its archive for Ubuntu.
func nvidiaUserSpace(g guestOS) []archived {
	if g.id == "ubuntu" {
		return []archived{
			{name: "nvidia-utils-570", version: "570.86.15-0ubuntu1", depends: "libnvidia-compute-570"},
			{name: "libnvidia-compute-570", version: "570.86.15-0ubuntu1"},
			{name: "nvidia-utils-550", version: "550.54.15-0ubuntu1", depends: "libnvidia-compute-550"},
			{name: "libnvidia-compute-550", version: "550.54.15-0ubuntu1"},
		}
	}
	return []archived{
		{name: "nvidia-driver-cuda", version: "570.86.15-1", depends: "libcuda1, libnvidia-ml1"},
		{name: "libcuda1", version: "570.86.15-1"},
	}
}

// toolkitSettings are some of the lines that NVIDIA's container toolkit brings.
const toolkitSettings = `#accept-nvidia-visible-devices-as-volume-mounts = false

[nvidia-container-cli]
#debug = "/var/log/nvidia-container-toolkit.log"
environment = []
load-kmods = true
#no-cgroups = false

[nvidia-container-runtime]
log-level = "info"
mode = "auto"
`

// layUserSpace lays what the packages of the driver's libraries and programs bring.
func (m *Machine) layUserSpace(name, version string) error {
	switch {
	case name == "nvidia-container-toolkit-base":
		// The C library is in every guest; nobody looks for it before the toolkit is there.
		files := map[string]string{"/etc/nvidia-container-runtime/config.toml": toolkitSettings, "/lib64/ld-linux-x86-64.so.2": "\x7fELF simulated\n"}
		for _, library := range strings.Fields("libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1") {
			files[libraries+library] = "\x7fELF simulated\n"
		}
		return m.writeAll(files)
	case name == "libcuda1":
		return m.layDriverLibrary("libcuda", version)
	case strings.HasPrefix(name, "libnvidia-compute-"):
		if err := m.layDriverLibrary("libcuda", version); err != nil {
			return err
		}
		return m.layLibrary(version)
	case name == "nvidia-driver-cuda" || name == "nvidia-smi" || strings.HasPrefix(name, "nvidia-utils-"):
		return m.write("/usr/bin/nvidia-smi", []byte("\x7fELF simulated\n"), 0o755)
	}
	return nil
}

// layDriverLibrary lays one library and its link, as ldconfig leaves it.
func (m *Machine) layDriverLibrary(name, version string) error {
	file := name + ".so." + version
	if err := m.write(libraries+file, []byte("\x7fELF simulated\n"), 0o644); err != nil {
		return err
	}
	if err := os.Remove(m.path(libraries + name + ".so.1")); err != nil && !os.IsNotExist(err) {
		return err
	}
	return m.link(libraries+name+".so.1", file)
}

// runfileUser is NVIDIA's installer without kernel modules. It takes off the version that
// an earlier run has left, and wants the tools of modules nevertheless.
func (c *call) runfileUser(version string) int {
	if c.m.distro.id != "" && !c.m.packaged([]string{"kmod"}) {
		c.errorf("\nERROR: Unable to find the module utility `modprobe`; please make sure you have the package 'module-init-tools' or 'kmod' installed.\n")
		return 1
	}
	for _, old := range slices.Concat(c.m.glob(libraries+"libcuda.so*"), c.m.glob(libraries+"libnvidia-ml.so*")) {
		if err := os.Remove(c.m.path(old)); err != nil {
			return c.died(err, 1)
		}
	}
	err := c.m.layLibrary(version)
	if err == nil {
		err = c.m.layDriverLibrary("libcuda", version)
	}
	for _, program := range []string{"/usr/bin/nvidia-smi", "/usr/bin/nvidia-uninstall"} {
		if err == nil {
			err = c.m.write(program, []byte("\x7fELF simulated\n"), 0o755)
		}
	}
	if err != nil {
		return c.died(err, 1)
	}
	return 0
}

// kernelOf is the machine whose kernel a container has.
func (m *Machine) kernelOf() *Machine {
	found := regexp.MustCompile(`^(.*)/var/lib/lxc/[0-9]+/rootfs$`).FindStringSubmatch(m.Root)
	if found == nil {
		return m
	}
	return &Machine{Root: found[1]}
}

// nvidiaSMI lists the cards whose nodes are there, as `nvidia-smi -L`, `-q -x` and
// `--query-gpu=… --format=csv,noheader` of 550 do. Its library must be of the version of
// the module.
func nvidiaSMI(c *call) (code int) {
	host := c.m.kernelOf().Host()
	loaded, _, err := gpu.Loaded(host)
	if err != nil {
		return c.died(err, 1)
	}
	library, err := gpu.Library(c.m.Host())
	if err != nil {
		return c.died(err, 1)
	}
	switch {
	case library == "":
		c.printf("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display Driver is properly installed and present in your system.\nPlease also try adding directory that contains libnvidia-ml.so to your system PATH.\n")
		return 12
	case loaded == "" || !c.m.exists("/dev/nvidiactl"):
		c.printf("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n")
		return 9
	case library != loaded:
		branch := strings.Join(strings.Split(library, ".")[:2], ".")
		c.printf("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: %s\n", branch)
		return 18
	}
	cards, err := c.m.boundHere()
	if err != nil {
		return c.died(err, 1)
	}
	if len(cards) == 0 {
		c.printf("No devices were found\n")
		return 6
	}
	chosen := c.chosenCards(cards)
	if chosen == nil {
		c.printf("No devices were found\n")
		return 6
	}
	listing := slices.Contains(c.argv, "-L")
	if c.brokenCard(cards, chosen) {
		if !listing {
			return 15
		}
		code = 15
	}
	if slices.Contains(c.argv, "-x") {
		return c.smiXML(chosen)
	}
	if code, known := c.migCommand(cards, chosen); known {
		return code
	}
	for i, b := range cards {
		if !slices.Contains(chosen, b) || code != 0 && c.lost(b) {
			continue
		}
		if listing {
			c.printf("GPU %d: %s (UUID: %s)\n", i, c.m.migName(b), b.UUID)
			for n, d := range migDevices(b, c.m.kernelOf().MIG()[b.Address]) {
				c.printf("  MIG %-14s Device %2d: (UUID: %s)\n", d.profile, n, d.uuid)
			}
			continue
		}
		c.printf("0000%s\n", strings.ToUpper(b.Address))
	}
	return code
}

// ldconfig makes the link of each of the driver's libraries go to its newest file.
func ldconfig(c *call) int {
	for _, name := range []string{"libcuda", "libnvidia-ml"} {
		files := c.m.glob(libraries + name + ".so.*.*")
		if len(files) == 0 {
			continue
		}
		version := strings.TrimPrefix(path.Base(files[len(files)-1]), name+".so.")
		if err := c.m.layDriverLibrary(name, version); err != nil {
			return c.died(err, 1)
		}
	}
	return 0
}

// dd copies its input to the file that of= names.
func dd(c *call) int {
	for _, word := range c.argv[1:] {
		file, is := strings.CutPrefix(word, "of=")
		if !is {
			continue
		}
		data, err := io.ReadAll(c.in)
		if err == nil {
			err = c.m.write(c.abs(file), data, 0o644)
		}
		if err != nil {
			c.errorf("dd: error writing '%s': %v\n", file, err)
			return 1
		}
	}
	return 0
}
