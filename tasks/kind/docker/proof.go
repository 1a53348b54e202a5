package docker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/tiny"
)

const (
	// image is the one of the proof, which is removed after it.
	image = "phoenix/proof:run"
	// line is what its program prints.
	line = "phoenix: a container runs here\n"
)

// prove makes an image of one static program, runs it, and compares what it prints.
func prove(ctx context.Context, h tasks.Host) error {
	program, err := tiny.Program(runtime.GOARCH, line)
	if err != nil {
		return err
	}
	out, err := runImage(ctx, h, tiny.Tar(tiny.File{Name: "proof", Data: program}), `ENTRYPOINT ["/proof"]`)
	if err != nil {
		return fmt.Errorf("run a container: %w", err)
	}
	if out != line {
		return fmt.Errorf("run a container: it printed %q and not %q", out, line)
	}
	return nil
}

// runImage imports a file system, runs it without a network, and takes the image away
// again, whatever came of it.
func runImage(ctx context.Context, h tasks.Host, tar []byte, change string, options ...string) (printed string, err error) {
	if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"docker", "import", "--change", change, "-", image}, Stdin: tar}); err != nil {
		return "", err
	}
	defer func() {
		_, gone := tasks.Succeed(context.WithoutCancel(ctx), h, tasks.Cmd{Argv: []string{"docker", "rmi", "--force", image}})
		err = errors.Join(err, gone)
	}()
	argv := append([]string{"docker", "run", "--rm", "--network", "none"}, options...)
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: append(argv, image)})
	return strings.ReplaceAll(string(out.Stdout), "\r\n", "\n"), err
}
