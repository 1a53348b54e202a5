package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// ended is which of the three steps have been taken, as "stop cancel leave".
func ended(i *interrupts) string {
	var out []string
	for _, step := range []struct {
		name string
		err  error
	}{{"stop", i.Stop.Err()}, {"cancel", i.Cancel.Err()}, {"leave", i.leave.Err()}} {
		if step.err != nil {
			out = append(out, step.name)
		}
	}
	return strings.Join(out, " ")
}

func TestEachSignalTakesTheNextStepOfEndingARun(t *testing.T) {
	c, term := os.Interrupt, os.Signal(syscall.SIGTERM)
	for name, tc := range map[string]struct {
		send []os.Signal
		want string
		code string
		said int
	}{
		"none leaves all going":                            {nil, "", "", 0},
		"one Ctrl-C starts nothing new":                    {[]os.Signal{c}, "stop", "interrupt", 1},
		"a second cancels what runs":                       {[]os.Signal{c, c}, "stop cancel", "interrupt", 2},
		"a third leaves":                                   {[]os.Signal{c, c, c}, "stop cancel leave", "interrupt", 3},
		"SIGTERM counts twice":                             {[]os.Signal{term}, "stop cancel", "terminated", 1},
		"SIGTERM after a Ctrl-C leaves":                    {[]os.Signal{c, term}, "stop cancel leave", "interrupt", 2},
		"two SIGTERM leave, and there is nothing after it": {[]os.Signal{term, term, c}, "stop cancel leave", "terminated", 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				said := 0
				i := newInterrupts(t.Context(), func(line string) {
					said++
					if len("phoenix: "+line) > 80 {
						t.Errorf("%q does not fit into 80 columns", line)
					}
				})
				signals := make(chan os.Signal, len(tc.send))
				go i.follow(signals)
				for _, s := range tc.send {
					signals <- s
				}
				synctest.Wait()
				if got := ended(i); got != tc.want || i.signal() != tc.code || said != tc.said {
					t.Errorf("ended %q by %q with %d lines, want %q by %q with %d", got, i.signal(), said, tc.want, tc.code, tc.said)
				}
				i.release()
				if got := ended(i); got != "stop cancel leave" {
					t.Errorf("released, it ended %q", got)
				}
			})
		})
	}
}

func TestABoundOfTheRunCancelsAndThenLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInterrupts(t.Context(), func(string) {})
		defer i.release()
		reached, stop := i.within(time.Minute, "over")
		<-time.After(59 * time.Second)
		synctest.Wait()
		if got := ended(i); got != "" || reached() {
			t.Errorf("before its time it ended %q", got)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if got := ended(i); got != "stop cancel" || !reached() || i.signal() != "" {
			t.Errorf("at its time it ended %q by %q", got, i.signal())
		}
		<-time.After(leaveGrace)
		synctest.Wait()
		if got := ended(i); got != "stop cancel leave" {
			t.Errorf("after the grace it ended %q", got)
		}
		stop()
	})
}

func TestABoundThatWasTakenBackDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInterrupts(t.Context(), func(string) {})
		defer i.release()
		reached, stop := i.within(time.Minute, "over")
		stop()
		<-time.After(time.Hour)
		synctest.Wait()
		if got := ended(i); got != "" || reached() {
			t.Errorf("it ended %q", got)
		}
	})
}

func TestABoundAfterACtrlCStillWaitsForTheStepsItCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(chan string, 8)
		i := newInterrupts(t.Context(), func(line string) { said <- line })
		defer i.release()
		_, stop := i.within(time.Minute, "--timeout 1m0s was reached")
		i.press("interrupt", 1)
		<-said
		<-time.After(time.Minute)
		synctest.Wait()
		if got, want := <-said, "--timeout 1m0s was reached: canceling the steps under way"; ended(i) != "stop cancel" || got != want {
			t.Errorf("it ended %q and said %q, want %q", ended(i), got, want)
		}
		<-time.After(leaveGrace)
		synctest.Wait()
		if got := ended(i); got != "stop cancel leave" {
			t.Errorf("after the grace it ended %q", got)
		}
		stop()
	})
}
