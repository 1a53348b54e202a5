// Command agentlet-nvml prints what NVIDIA's driver knows of the machine's cards, as one
// JSON document (package gpufacts); with `--every 2s` one on each line, until its
// standard input ends. Where there is nothing to be had, the document has only an error
// and the exit status is 1.
//
// It is the one program of phoenix that is linked dynamically: NVIDIA's library comes
// with the driver and can only be loaded. It is put on hosts that have a card, beside the
// static helper, which starts it. It changes nothing, and gives up at its deadline
// whatever the driver does. Start reading at run; package watchdog says why there are two
// processes.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"phoenix/cmd/agentlet-nvml/internal/library"
	"phoenix/cmd/agentlet-nvml/internal/watchdog"
	"phoenix/tasks/gpufacts"
)

func main() {
	// The reader dies with the thread that started it.
	runtime.LockOSThread()
	if len(os.Args) == 3 && os.Args[1] == "read" {
		if err := read(os.Args[2], os.Stdin, os.NewFile(watchdog.NotesFD, "notes")); err != nil {
			fmt.Fprintln(os.Stderr, "agentlet-nvml: read:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the parent: it takes samples and prints them.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	flags := flag.NewFlagSet("agentlet-nvml", flag.ContinueOnError)
	flags.SetOutput(errs)
	once := flags.Bool("once", false, "print one document (the default)")
	every := flags.Duration("every", 0, "print a document each time this long has passed, until standard input ends")
	deadline := flags.Duration("deadline", 20*time.Second, "give a sample up after this long; what is known by then is printed")
	if err := flags.Parse(args); err != nil {
		return 64
	}
	if flags.NArg() > 0 || *every < 0 || *deadline <= 0 || *once && *every > 0 {
		fmt.Fprintln(errs, "agentlet-nvml: want --once or --every DURATION, and --deadline DURATION")
		return 64
	}
	print := func(d gpufacts.Document) int {
		if json.NewEncoder(out).Encode(d) != nil || d.Error != nil {
			return 1
		}
		return 0
	}
	if os.Getenv("LD_BIND_NOW") != "" {
		return print(gpufacts.Document{Error: &gpufacts.Fault{Kind: gpufacts.KindOther,
			Text: "LD_BIND_NOW is set: the driver's library is bound as it is used, since no release of it has every function; start the probe without LD_BIND_NOW"}})
	}
	self, err := os.Executable()
	if err != nil {
		return print(gpufacts.Document{Error: &gpufacts.Fault{Kind: gpufacts.KindOther, Text: err.Error()}})
	}
	w := &watchdog.Watchdog{Deadline: *deadline, Start: func(without []int) (watchdog.Reader, error) {
		return watchdog.Child(self, "read", list(without))
	}}
	defer w.Close()
	status := print(w.Sample())
	if *every == 0 || status != 0 {
		return status
	}
	return watch(w, *every, in, print)
}

// watch prints samples until standard input ends, or one could not be had.
func watch(w *watchdog.Watchdog, every time.Duration, in io.Reader, print func(gpufacts.Document) int) int {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, in) // an input that cannot be read has ended as well
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return 0
		case <-tick.C:
			if status := print(w.Sample()); status != 0 {
				return status
			}
		}
	}
}

// read is the child: it asks the library once for each line of its input.
func read(without string, in io.Reader, out io.Writer) error {
	skip := map[int]bool{}
	for _, word := range strings.FieldsFunc(without, func(r rune) bool { return r == ',' }) {
		i, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		skip[i] = true
	}
	notes := json.NewEncoder(out)
	note := func(n watchdog.Note) error { return notes.Encode(n) }
	lib, fault := library.Open()
	if fault != nil {
		return note(watchdog.Note{Error: fault})
	}
	asks := bufio.NewScanner(in)
	for asks.Scan() {
		if err := lib.Sample(skip, note); err != nil {
			return err
		}
	}
	return asks.Err()
}

// list joins the indexes of cards with commas.
func list(indexes []int) string {
	words := make([]string, len(indexes))
	for i, n := range indexes {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}
