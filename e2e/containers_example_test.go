package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
)

// hierarchies are the examples of containers with all that is inside them, and what
// `pct list` says of them in the end: CTID, state and name.
func hierarchies() map[string]string {
	return map[string]string{
		"hierarchy": `900 stopped BaseTemplate
901 stopped BaseTemplateGPU
902 stopped BaseTemplateDocker
903 stopped BaseTemplateDockerGPU
910 running Portainer
920 stopped BaseTemplateVLLM
950 running vllmQwen3Coder`,
		"services": `900 stopped BaseTemplate
901 stopped BaseTemplateGPU
902 stopped BaseTemplateDocker
910 running Portainer
920 stopped BaseTemplateVLLM
950 running vllmQwen3Coder
951 running vllmGraniteEmbed
952 running qdrant
953 running api-gateway
954 running n8n
955 running ollama
956 running openWebUI
957 running llamacpp`,
		"docker-host": `920 running docker-apps
921 running docker-build`,
		"gpu-inference": `900 stopped gpu-base
901 running vllm
902 running ollama
903 running webui`,
	}
}

// consents are the flags of run that an example needs: a new driver, a reboot.
func consents(name string) []string {
	if name == "gpu-inference" {
		return []string{"--allow-reboot"}
	}
	return nil
}

func TestContainersOfTheExamplesOnTheLab(t *testing.T) {
	for name := range hierarchies() {
		for _, release := range []string{"8.4", "9.1"} {
			t.Run(name+" on Proxmox VE "+release, func(t *testing.T) {
				t.Parallel()
				comesUpOnTheLab(t, name, release, consents(name)...)
			})
		}
	}
}

// comesUpOnTheLab runs an example as its document says: a run makes it, a second one
// finds it made. The flags are for run.
func comesUpOnTheLab(t *testing.T, name, release string, flags ...string) {
	t.Helper()
	const script = `set -x
phoenix check -q "$@" >check.txt; [ $? -eq 2 ] || exit 10
phoenix run -q $FLAGS "$@" || exit 11
phoenix check -q "$@" || exit 12
phoenix run -q $FLAGS -o json "$@" >again.json || exit 13
grep -q '"changed": [1-9]' again.json && exit 14
phoenix check -q "$@"
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := documentCommand(t.Context(), dir, "phoenix", "lab", "--hosts", "1", "--gpus", "2", "--release", release, "--dir", "lab",
		"--", "sh", "../script", "-i", "hosts.yaml", "-i", labOf(t, name))
	cmd.Env = append(cmd.Env, "FLAGS="+strings.Join(flags, " "))
	cmd.Env = append(cmd.Env, exampleSecrets()...)
	finish(t, cmd).want(t, 0).says(t, "1 host: 1 changed", "1 host: 1 ok")
}

// labOf is the inventory of an example for simulated hosts, in a copy of its folder: a run
// keeps there which GPUs it chose.
func labOf(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(repositoryRoot+"/examples/"+name)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "lab.yaml")
}

func TestContainersOfTheExamplesOnServers(t *testing.T) {
	for name, want := range hierarchies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, realhost.Options{GPUs: 2})
			r.env = exampleSecrets()
			r.inventory(t, "")
			r.write(t, "hypervisor.json", `{"version": 1}`)
			r.write(t, "lxc.json", `{"version": 1}`)
			lab := labOf(t, name)
			do := func(verb string, flags ...string) outcome {
				return r.phoenix(t, slices.Concat([]string{verb, "-i", "hosts.yaml", "-i", lab, "-o", "json"}, flags)...)
			}
			before := r.digests(t)
			do("check").want(t, 2)
			if after := r.digests(t); !slices.Equal(before, after) {
				t.Fatalf("a check of a fresh host wrote on it:\n%s", diff(before, after))
			}
			do("run", consents(name)...).want(t, 0)
			if got := r.containers(t); got != want {
				t.Errorf("the containers are\n%s\nwant\n%s", got, want)
			}
			made := withoutRecords(r.digests(t))
			do("check").want(t, 0).wantChanges(t)
			do("run", consents(name)...).want(t, 0).wantChanges(t)
			if after := withoutRecords(r.digests(t)); !slices.Equal(made, after) {
				t.Errorf("a second run wrote on the host:\n%s", diff(made, after))
			}
		})
	}
}

// containers is what `pct list` says on the first host, without its headline.
func (r *rig) containers(t *testing.T) string {
	t.Helper()
	out, err := r.Hosts[0].Exec(t.Context(), "pct", "list")
	if err != nil {
		t.Fatalf("pct list: %v\n%s", err, out)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines[1:], "\n")
}
