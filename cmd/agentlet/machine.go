package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"phoenix/agentlet"
	"phoenix/tasks"
	"phoenix/tasks/kind"
	"phoenix/tasks/local"
)

// outlive makes the helper survive the end of its connection. SIGPIPE and SIGHUP
// are caught and dropped, not ignored, because programs that it starts would
// inherit that they are ignored. SIGTERM cancels the step under way.
func outlive(cancel context.CancelFunc) {
	dropped := make(chan os.Signal, 1)
	signal.Notify(dropped, syscall.SIGPIPE, syscall.SIGHUP)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		for {
			select {
			case <-dropped:
			case <-terminated:
				cancel()
			}
		}
	}()
}

// thisMachine is the server for the machine that the process runs on.
func thisMachine() (*agentlet.Server, error) {
	exe, sum, err := ownFile()
	if err != nil {
		return nil, fmt.Errorf("hash own file: %w", err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find host name: %w", err)
	}
	return &agentlet.Server{
		Host:     func(outputDir string) tasks.Host { return &local.Host{OutputDir: outputDir} },
		Registry: kind.All(),
		Dirs: agentlet.Dirs{
			State: agentlet.StateDir, Lock: agentlet.LockFile,
			Helpers: []string{agentlet.StateDir, filepath.Dir(exe)},
		},
		Program: exe, Peer: peer(),
		SHA256: sum, Hostname: hostname, Arch: runtime.GOARCH, PID: os.Getpid(), UID: os.Geteuid(),
	}, nil
}

// peer is the address that the operator's connection comes from, as sshd told the
// login shell. sudo takes it out of the environment, so the processes that this one
// comes from are asked, too; who may not look at them is not told.
func peer() string {
	if v, ok := os.LookupEnv("SSH_CONNECTION"); ok {
		return firstField(v)
	}
	for pid := os.Getppid(); pid > 1; pid = parent(pid) {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			return ""
		}
		for _, entry := range strings.Split(string(env), "\x00") {
			if v, ok := strings.CutPrefix(entry, "SSH_CONNECTION="); ok {
				return firstField(v)
			}
		}
	}
	return ""
}

func firstField(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}

// parent is the process that started another, or 0. In /proc/PID/stat it stands second
// behind the name, which is in parentheses and may hold any.
func parent(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 2 {
		return 0
	}
	ppid, err := strconv.Atoi(f[1])
	if err != nil {
		return 0
	}
	return ppid
}

// ownFile is the path and the SHA-256 of the file that is running, whatever its
// name is by now. Where /proc is not mounted, as in a rescue chroot, it is the file
// that was started.
func ownFile() (path, sum string, err error) {
	running := "/proc/self/exe"
	path, err = os.Readlink(running)
	if errors.Is(err, fs.ErrNotExist) {
		path, err = filepath.Abs(os.Args[0]) // a watchdog is started from elsewhere
		running = path
	}
	if err != nil {
		return "", "", err
	}
	f, err := os.Open(running)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	if sum, ok := installed(f, path); ok {
		return path, sum, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", "", err
	}
	return path, hex.EncodeToString(h.Sum(nil)), nil
}

// installed returns the hash that the file was installed under, if the file system
// says of it what it said then (deploy.Install): hashing four megabytes costs more
// than a check of hundreds of properties.
func installed(f *os.File, path string) (sum string, ok bool) {
	sum, named := strings.CutPrefix(filepath.Base(path), "agentlet-")
	info, err := f.Stat()
	if err != nil || !named {
		return "", false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	noted, err := os.ReadFile(path + ".stat")
	is := fmt.Sprintf("%d %d.%09d %d\n", st.Ino, st.Ctim.Sec, st.Ctim.Nsec, st.Size)
	return sum, err == nil && string(noted) == is
}
