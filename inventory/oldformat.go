package inventory

import (
	"phoenix/inventory/diag"
	"phoenix/inventory/document"
)

// oldFormat recognises a document that is not of version 1. The shell-script
// generations of Phoenix used the same file names with several vocabularies.
func oldFormat(root *document.Node, schema string) (diag.Diagnostic, bool) {
	hint := "write it anew in version 1; `phoenix schema " + schema + "` prints the keys"
	if schema != "inventory" {
		if gen := generation(root); gen != "" {
			return root.Fault("the file is in the format of "+gen+", not of version 1", hint), true
		}
	}
	v := root.Get("version")
	switch {
	case v == nil: // the schema says that it is missing
	case v.Kind == document.Number && v.Text == "1":
		return diag.Diagnostic{}, false
	case v.Kind == document.Number:
		return v.Fault("version "+diag.Clean(v.Text)+" of the format is not known to this phoenix, which reads version 1", "a newer phoenix may read it"), true
	}
	return diag.Diagnostic{}, false
}

// generation names the shell-script generation that a file looks like, or "".
func generation(root *document.Node) string {
	if v := root.Get("version"); v != nil && v.Kind == document.Number {
		return ""
	}
	switch {
	case has(root, "docker_stacks"):
		return "the shell scripts' stacks file (October 2025)"
	case has(root, "vms") && !has(root, "core_paths"):
		return "the shell scripts' file of virtual machines (September 2025)"
	case has(root, "core_paths", "hypervisor_marker"), has(root, "proxmox_defaults"):
		return "the shell scripts' hypervisor file, " + hypervisorGeneration(root)
	case has(root, "nvidia_driver"), has(root, "zfs", "pools"), has(root, "nfs_shares"), has(root, "proxmox_storage_ids"):
		return "the shell scripts' host set-up file (September 2025)"
	case has(root, "nvidia_driver_version"), has(root, "nvidia_runfile_url"), has(root, "nvidia_repo_url"):
		return "the shell scripts' container file, " + containerGeneration(root.Get("lxc_configs"))
	case has(root, "lxc_configs") && containerGeneration(root.Get("lxc_configs")) != "a generation without marks":
		return "the shell scripts' container file, " + containerGeneration(root.Get("lxc_configs"))
	}
	return ""
}

func hypervisorGeneration(root *document.Node) string {
	switch {
	case has(root, "portainer_api"), has(root, "dns_server"), has(root, "step_ca"):
		return "generation 9 or later (October 2025)"
	case has(root, "zfs"), has(root, "shared_volumes"), has(root, "users"):
		return "generation 5 to 8 (September 2025)"
	case has(root, "vm_defaults"):
		return "generation 4 (September 2025)"
	}
	return "generation 3 (August 2025)"
}

// containerGeneration goes by the keys that came and went, youngest first.
func containerGeneration(entries *document.Node) string {
	marks := []struct{ key, gen string }{
		{"vllm_engine_config", "generation 9 or later (October 2025)"},
		{"traefik_service", "generation 9 or later (October 2025)"},
		{"apparmor_manages_nesting", "generation 7 or 8 (September 2025)"},
		{"health_check", "generation 6 (September 2025)"},
		{"dependencies", "generation 6 (September 2025)"},
		{"vllm_gpu_memory_utilization", "generation 4 or 5 (September 2025)"},
		{"clone_from_template_ctid", "generation 3 (August 2025)"},
		{"static_ip", "generation 3 (August 2025)"},
		{"vllm_tensor_parallel_size", "generation 3 (August 2025)"},
	}
	for _, mark := range marks {
		for i := range entries.Keys() {
			if has(entries.Members[i].Value, mark.key) {
				return mark.gen
			}
		}
	}
	for i := range entries.Keys() {
		switch f := entries.Members[i].Value.Get("features"); {
		case f != nil && f.Kind == document.String:
			return "generation 3 (August 2025)"
		case f != nil && f.Kind == document.List:
			return "generation 4 or 5 (September 2025)"
		}
	}
	return "a generation without marks"
}

func has(n *document.Node, path ...string) bool {
	for _, key := range path {
		n = n.Get(key)
	}
	return n != nil
}
