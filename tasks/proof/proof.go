// Package proof remembers what a thing was shown to work with: the versions and
// settings that a feature's proof held for.
//
// A proof that starts a program costs something, so it is made when one of these is
// another, and not with each check. The record holds nothing else, no time and no
// output, and it never stands for what can be read anew. Start reading at Diff.
package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strings"

	"phoenix/tasks"
)

// Path of the change that a missing or outdated proof is.
const Path = "proof"

// file is where the record of a feature is. It names its container: what was shown in one
// is not shown in its clones, which begin with its files.
func file(ctx context.Context, name string) string {
	if ctid := tasks.ScopeOf(ctx).CTID; ctid != 0 {
		name += fmt.Sprintf(".%d", ctid)
	}
	return "/var/lib/phoenix/proof-" + name + ".json"
}

// Read returns what a feature was last proven with; nil where it never was, or where the
// record is not one of ours: then it is proven again.
func Read(ctx context.Context, h tasks.Host, name string) (map[string]string, error) {
	data, _, err := tasks.ReadIfExists(h, file(ctx, name))
	if err != nil {
		return nil, err
	}
	var facts map[string]string
	if json.Unmarshal(data, &facts) != nil {
		return nil, nil
	}
	return facts, nil
}

// Write records what the feature is proven with now.
func Write(ctx context.Context, h tasks.Host, name string, facts map[string]string) error {
	data, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("record the proof of %s: %w", name, err)
	}
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: path.Dir(file(ctx, name))}); err != nil {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: file(ctx, name), Data: append(data, '\n')})
}

// Diff is empty where each fact is as recorded, and otherwise one change, at Path: it
// names the facts that are others now, or all of them where nothing was ever proven.
func Diff(recorded, now map[string]string) tasks.Diff {
	if maps.Equal(recorded, now) {
		return nil
	}
	all := maps.Clone(recorded)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, now)
	from, to := []string{}, []string{}
	for _, key := range tasks.Keys(all) {
		before, was := recorded[key]
		after, is := now[key]
		if was && is && before == after {
			continue
		}
		if was {
			from = append(from, strings.TrimSpace(key+" "+before))
		}
		if is {
			to = append(to, strings.TrimSpace(key+" "+after))
		}
	}
	return tasks.Diff{{Path: Path, From: proven(from), To: "proven" + with(to), Effect: tasks.EffectLive}}
}

// proven is empty for a feature that was not proven with any of the facts.
func proven(facts []string) string {
	if len(facts) == 0 {
		return ""
	}
	return "proven" + with(facts)
}

func with(facts []string) string {
	if len(facts) == 0 {
		return ""
	}
	return " with " + strings.Join(facts, ", ")
}
