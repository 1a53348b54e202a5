// Command gpucompare holds the GPU probe against nvidia-smi, fact by fact, on a machine
// that has an NVIDIA card: `make test-gpu`. Elsewhere it says that there is none, and
// fails. It changes nothing. Start reading at compare.
package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"phoenix/tasks/gpufacts"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gpucompare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	smi, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return errors.New("there is no nvidia-smi here, so no NVIDIA card to compare with; nothing was tested")
	}
	xml, err := exec.CommandContext(ctx, smi, "-q", "-x").Output()
	if err != nil {
		return fmt.Errorf("ask nvidia-smi: %w: %s", err, xml)
	}
	doc, took, err := probe(ctx)
	if err != nil {
		return err
	}
	if doc.Error != nil {
		return fmt.Errorf("the probe: %s: %s", doc.Error.Kind, doc.Error.Text)
	}
	fmt.Fprintf(out, "probe: %d cards in %v; driver %s, CUDA %s, NVML %s\n", len(doc.GPUs), took.Round(time.Millisecond), doc.DriverVersion, doc.CUDAVersion, doc.NVMLVersion)
	lines, err := compare(xml, doc)
	if err != nil {
		return err
	}
	bad := 0
	for _, l := range lines {
		if !l.same {
			bad++
		}
		fmt.Fprintln(out, l)
	}
	if fmt.Fprintf(out, "%d facts compared, %d differ\n", len(lines), bad); bad > 0 {
		return fmt.Errorf("%d facts differ", bad)
	}
	return nil
}

// probe runs the probe that is packed for phoenix, from a folder that is taken away.
func probe(ctx context.Context) (*gpufacts.Document, time.Duration, error) {
	packed, err := os.Open(filepath.Join("agentlet", "dist", "bin", "agentlet-nvml-"+runtime.GOARCH+".gz"))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: run `make helpers` from the root of the module", err)
	}
	defer packed.Close()
	unzip, err := gzip.NewReader(packed)
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(unzip)
	if err != nil {
		return nil, 0, err
	}
	dir, err := os.MkdirTemp("", "phoenix-gpu-")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "agentlet-nvml")
	if err := os.WriteFile(file, data, 0o700); err != nil {
		return nil, 0, err
	}
	start := time.Now()
	answer, err := exec.CommandContext(ctx, file).Output()
	took := time.Since(start)
	doc, parseErr := gpufacts.Parse(answer)
	if parseErr != nil {
		return nil, took, fmt.Errorf("run the probe: %w: %w", parseErr, err)
	}
	return doc, took, nil
}
