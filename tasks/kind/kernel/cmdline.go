package kernel

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/bootimage"
)

const (
	// cmdlineFile has the command line for systemd-boot, in one line. ZFS installations
	// have it whichever loader boots them.
	cmdlineFile = "/etc/kernel/cmdline"
	grubCfg     = "/boot/grub/grub.cfg"
	runningFile = "/proc/cmdline"
)

// place is where a command line is kept for the next boot.
type place struct {
	file  string
	words []string
}

// loader is everything that decides the next boot's command line. Each place has to
// have it right, since no file tells which one boots the machine.
type loader struct {
	grub *grubDefaults
	// line is the content for cmdlineFile, where the machine has or needs it.
	line   string
	places []place
}

func readLoader(h tasks.Host) (loader, error) {
	var l loader
	var err error
	if l.grub, err = readGrub(h); err != nil {
		return l, err
	}
	esp, err := bootimage.ESP(h)
	if err != nil {
		return l, err
	}
	if l.grub != nil {
		words, _, err := l.grub.words()
		if err != nil {
			return l, err
		}
		l.places = append(l.places, place{grubFile, words})
		if err := l.addGenerated(h, esp); err != nil {
			return l, err
		}
	}
	if err := l.addLine(h, esp); err != nil {
		return l, err
	}
	if len(l.places) == 0 {
		return l, &tasks.UnknownError{Why: "there is neither " + grubFile + " nor " + cmdlineFile + ": who boots this machine cannot be told"}
	}
	return l, nil
}

// addGenerated takes what update-grub wrote for the first entry, the one that boots
// unless somebody chooses another. With proxmox-boot-tool nobody reads that file.
func (l *loader) addGenerated(h tasks.Host, esp bool) error {
	data, there, err := tasks.ReadIfExists(h, grubCfg)
	if err != nil || !there || esp {
		return err
	}
	line := regexp.MustCompile(`(?m)^\s*linux(?:16|efi)?\s+\S+(.*)$`).FindSubmatch(data)
	if line == nil {
		return nil // an empty menu is not this family's matter
	}
	l.places = append(l.places, place{grubCfg, strings.Fields(string(line[1]))})
	return nil
}

// addLine takes the line for systemd-boot. Where proxmox-boot-tool finds no file it
// takes the running kernel's, and so does this.
func (l *loader) addLine(h tasks.Host, esp bool) error {
	data, there, err := tasks.ReadIfExists(h, cmdlineFile)
	if err != nil || !there && !esp {
		return err
	}
	file := cmdlineFile
	if !there {
		file = runningFile
		if data, err = h.ReadFile(runningFile); err != nil {
			return err
		}
	}
	words := strings.Fields(string(data))
	if !there {
		words = slices.DeleteFunc(words, func(w string) bool {
			return strings.HasPrefix(w, "BOOT_IMAGE=") || strings.HasPrefix(w, "initrd=")
		})
	}
	l.line = strings.Join(words, " ")
	l.places = append(l.places, place{file, words})
	return nil
}

func (t *task) checkCmdline(h tasks.Host, f *found) error {
	if len(t.spec.Cmdline)+len(t.spec.CmdlineAbsent) == 0 {
		return nil
	}
	l, err := readLoader(h)
	if err != nil {
		return err
	}
	data, err := h.ReadFile(runningFile)
	if err != nil {
		return err
	}
	running := strings.Fields(string(data))
	for _, w := range t.spec.Cmdline {
		f.Add("cmdline."+w, l.present(w), w, tasks.EffectLive)
		if !slices.Contains(running, w) {
			f.Add("running.cmdline."+w, "", w, tasks.EffectReboot)
		}
	}
	for _, w := range t.spec.CmdlineAbsent {
		f.Add("cmdline_absent."+w, l.unwanted(t.unwanted(w)), "", tasks.EffectLive)
		f.Add("running.cmdline_absent."+w, strings.Join(matching(running, t.unwanted(w)), " "), "", tasks.EffectReboot)
	}
	return bootimage.Check(h, bootimage.Loader, &f.Diff)
}

// present is the word itself where every place has it, nothing where none has, and
// otherwise the places that lack it.
func (l loader) present(word string) string {
	var without []string
	for _, p := range l.places {
		if !slices.Contains(p.words, word) {
			without = append(without, p.file)
		}
	}
	switch len(without) {
	case 0:
		return word
	case len(l.places):
		return ""
	}
	return "not in " + strings.Join(without, ", ")
}

// unwanted is what the places have of words that must not be there.
func (l loader) unwanted(is func(string) bool) string {
	var out []string
	for _, p := range l.places {
		if m := matching(p.words, is); len(m) > 0 {
			out = append(out, fmt.Sprintf("%s in %s", strings.Join(m, " "), p.file))
		}
	}
	return strings.Join(out, ", ")
}

func matching(words []string, is func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !is(w) })
}

// unwanted returns what an entry of cmdline_absent means.
func (t *task) unwanted(entry string) func(string) bool {
	return func(w string) bool {
		return (w == entry || strings.HasSuffix(entry, "=") && strings.HasPrefix(w, entry)) && !slices.Contains(t.spec.Cmdline, w)
	}
}

// applyCmdline writes the words wherever a command line is kept, and has the boot
// loader's own files made of it.
func (t *task) applyCmdline(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	var add []string
	for _, w := range t.spec.Cmdline {
		if d.Has("cmdline." + w) {
			add = append(add, w)
		}
	}
	var drop []func(string) bool
	for _, w := range t.spec.CmdlineAbsent {
		if d.Has("cmdline_absent." + w) {
			drop = append(drop, t.unwanted(w))
		}
	}
	if len(add)+len(drop) == 0 && !d.Has(string(bootimage.Loader)) {
		return nil
	}
	l, err := readLoader(h)
	if err != nil {
		return err
	}
	gone := func(w string) bool {
		return slices.ContainsFunc(drop, func(is func(string) bool) bool { return is(w) })
	}
	var edits []tasks.Edit
	if l.grub != nil {
		if edits, err = l.grub.edits(add, gone); err != nil {
			return err
		}
	}
	if l.line != "" {
		line := strings.Join(changed(strings.Fields(l.line), add, gone), " ") + "\n"
		edits = append(edits, tasks.Edit{Verb: tasks.VerbPut, Path: cmdlineFile, Data: []byte(line)})
	}
	return bootimage.Make(ctx, h, bootimage.Loader, edits...)
}

// changed is a command line without the words that are to go and with those that were
// missing, at its end: of two values of one word, the kernel takes the last.
func changed(words, add []string, gone func(string) bool) []string {
	out := slices.DeleteFunc(slices.Clone(words), gone)
	for _, w := range add {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}
