package deploy

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/agentlet/dist"
)

const probeText = "\x7fELF, as it were: the GPU probe"

// packedProbe is the probe of these tests, for every architecture but one.
func packedProbe(arch string) ([]byte, string, error) {
	if arch != "amd64" {
		return nil, "", dist.ErrNoProbe
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(probeText))
	err = errors.Join(err, w.Close())
	sum := sha256.Sum256([]byte(probeText))
	return b.Bytes(), hex.EncodeToString(sum[:]), err
}

func probeOptions() Options {
	o := options("")
	o.GPUProbe = packedProbe
	return o
}

func TestTheGPUProbeLiesBesideTheHelperAndIsReplacedWhereItIsSpoiled(t *testing.T) {
	for _, c := range []struct {
		name, before string
		sudo         bool
	}{
		{name: "none is there"},
		{name: "one that was cut short is there", before: probeText[:4]},
		{name: "a server without SFTP, and root through sudo", sudo: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newShell(t)
			as, want := target, []Script{Probe, Install}
			if c.sudo {
				h.program("sudo", `shift 2; exec "$@"`)
				as.Become, want = "sudo", []Script{Probe, Receive, Install}
			}
			_, hash, err := packedProbe("amd64")
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(h.root, "var/lib/phoenix")
			file := filepath.Join(dir, "agentlet-nvml-"+hash)
			if c.before != "" {
				if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(file, []byte(c.before), 0o700)); err != nil {
					t.Fatal(err)
				}
			}
			told := ""
			o := probeOptions()
			o.Uploading = func(host, program string) { told = host + ": " + program }
			if err := PutGPUProbe(t.Context(), h, as, o); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(file)
			info, statErr := os.Stat(file)
			if err := errors.Join(err, statErr); err != nil || string(data) != probeText || info.Mode().Perm() != 0o700 {
				t.Errorf("the probe is %q, %v, %v", data, info, err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 2 || !slices.Equal(h.started, want) || told != "pve1: the GPU probe" {
				t.Errorf("the folder holds %v, %v after %d scripts; told %q", entries, err, len(h.started), told)
			}
		})
	}
}

func TestAGPUProbeThatCannotBePutThereIsSaid(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(h *shell)
		want  string
	}{
		{"no room anywhere", func(h *shell) { h.program("df", "echo h; echo fs 100 99 1 99% /") }, "look for a place for the GPU probe on pve1: there is none: "},
		{"damaged on its way", func(h *shell) { h.mangle = func([]byte) []byte { return []byte("x") } }, "install the GPU probe on pve1: exit status 74"},
		{"another program", func(h *shell) { h.mangle = func([]byte) []byte { return gzipOf(t, "another") } }, "install the GPU probe on pve1: exit status 65: the upload has SHA-256"},
		{"a processor without one", func(h *shell) { h.program("uname", "echo aarch64") }, "upload the GPU probe on pve1: this phoenix was built without the GPU probe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newShell(t)
			c.spoil(h)
			err := PutGPUProbe(t.Context(), h, target, probeOptions())
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if left, err := filepath.Glob(filepath.Join(h.root, "var/lib/phoenix/agentlet-nvml-*")); err != nil || len(left) != 0 {
				t.Errorf("left %q, %v", left, err)
			}
		})
	}
	h := newShell(t)
	o := probeOptions()
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	o.Stop = stop
	if err := PutGPUProbe(t.Context(), h, target, o); !errors.Is(err, ErrStopped) || len(h.started) > 0 {
		t.Errorf("a run that was stopped: %v, %d scripts", err, len(h.started))
	}
}
