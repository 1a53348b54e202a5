package gpulock

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const (
	one  = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
	two  = "GPU-bbbbbbbb-0000-0000-0000-000000000002"
	part = "MIG-cccccccc-0000-0000-0000-000000000003"
)

// whole has everything that a file can have.
const whole = `{
  "version": 1,
  "hosts": {
    "pve1": {
      "cards": {
        "` + one + `": {
          "name": "NVIDIA RTX A6000",
          "memory_bytes": 51527024640,
          "pci_address": "0000:01:00.0"
        },
        "` + part + `": {}
      },
      "containers": {
        "900": {
          "request": {
            "count": 2,
            "min_vram_gb": 20.5,
            "model": "RTX A6000"
          },
          "gpus": [
            "` + one + `",
            "` + two + `"
          ]
        },
        "901": {
          "names": {
            "0": "` + one + `"
          }
        },
        "902": {
          "request": {
            "mig": "1g.5gb"
          },
          "gpus": [
            "` + part + `"
          ]
        }
      }
    }
  }
}
`

func TestAFileIsWrittenAsItWasRead(t *testing.T) {
	l, err := Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.Encode()
	if err != nil || string(out) != whole {
		t.Errorf("%s, %v", out, err)
	}
	l.Kept("pve2")
	if out, _ := l.Encode(); string(out) != whole {
		t.Errorf("reading has added to it: %s", out)
	}
	l.Of("pve2").Containers[5] = Pin{Names: map[string]string{"1": two}}
	if l.Kept("pve2").Containers[5].Names["1"] != two {
		t.Error("what was written is not there")
	}
}

func TestParseTellsWhatIsWrong(t *testing.T) {
	in := func(pin string) string { return `{"version": 1, "hosts": {"a": {"containers": {"900": ` + pin + `}}}}` }
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                 {"", "read GPU lock: it is empty"},
		"no JSON":                 {"<<<<<<< HEAD", "read GPU lock: invalid character '<' looking for beginning of value"},
		"half a file":             {`{"version": 1, "hosts": {`, "read GPU lock: unexpected EOF"},
		"two files":               {`{"version": 1} {"version": 1}`, "read GPU lock: something stands behind its end"},
		"another version":         {`{"version": 2}`, "read GPU lock: version: the file has version 2, and this phoenix reads version 1"},
		"no version":              {`{}`, "read GPU lock: version: the file has version 0, and this phoenix reads version 1"},
		"an unknown key":          {in(`{"uuids": []}`), `read GPU lock: unknown field "uuids"`},
		"a text for a number":     {`{"version": "1"}`, "read GPU lock: version: string is not what belongs there"},
		"a CTID that is none":     {`{"version": 1, "hosts": {"a": {"containers": {"web": {}}}}}`, "read GPU lock: hosts.containers: number web is not what belongs there"},
		"no UUID":                 {in(`{"names": {"0": "0"}}`), `read GPU lock: hosts.a.containers.900.names.0: "0" is not the UUID of a card`},
		"a UUID in upper case":    {in(`{"names": {"0": "` + strings.ToUpper(one) + `"}}`), `read GPU lock: hosts.a.containers.900.names.0: "` + strings.ToUpper(one) + `" is not the UUID of a card`},
		"a part for an index":     {in(`{"names": {"0": "` + part + `"}}`), `read GPU lock: hosts.a.containers.900.names.0: "` + part + `" is not the UUID of a card`},
		"an address for an index": {in(`{"names": {"0000:01:00.0": "` + one + `"}}`), `read GPU lock: hosts.a.containers.900.names: "0000:01:00.0" is not the index of a card`},
		"all that is wrong at once": {`{"version": 1, "hosts": {"a": {"cards": {"x": {}}, "containers": {"900": {"gpus": ["` + one + `", "` + one + `"]}}}, "b": null}}`,
			`read GPU lock: hosts.a.cards.x: "x" is neither the UUID of a card nor that of a MIG instance; hosts.a.containers.900.gpus: there is no request that they are the answer to; hosts.a.containers.900.gpus.1: ` + one + ` is there twice`},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Parse([]byte(c.text))
			if err == nil || l != nil {
				t.Fatalf("%v, %v", l, err)
			}
			if err.Error() != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			var all Faults
			if placed := strings.Contains(c.want, "hosts.a.containers.900") || strings.Contains(c.want, "the file has version"); errors.As(err, &all) != placed {
				t.Errorf("faults %v", all)
			}
		})
	}
}

func TestARequestThatNoCardCouldAnswerIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		r    Request
		want string
	}{
		"a card":               {Request{}, ""},
		"what all can be":      {Request{Count: 64, MinVRAMGB: 24.5, Model: "RTX 4090"}, ""},
		"an instance":          {Request{MIG: "1g.5gb"}, ""},
		"an instance of media": {Request{MIG: "1g.5gb+me"}, ""},
		"one of all media":     {Request{MIG: "1g.24gb+me.all"}, ""},
		"one without media":    {Request{MIG: "4g.96gb-me"}, ""},
		"below none":           {Request{Count: -1}, "count"},
		"a fleet":              {Request{Count: 65}, "count"},
		"less than no memory":  {Request{MinVRAMGB: -1}, "min_vram_gb"},
		"no words":             {Request{Model: " - "}, "model"},
		"a line break":         {Request{Model: "RTX\n4090"}, "model"},
		"no profile":           {Request{MIG: "5gb"}, "mig"},
		"a profile and more":   {Request{MIG: "1g.5gb\n"}, "mig"},
		"both":                 {Request{MIG: "1g.5gb", Model: "A100"}, "model"},
	} {
		var at []string
		for _, p := range c.r.Validate() {
			at = append(at, p.Path)
		}
		if strings.Join(at, " ") != c.want {
			t.Errorf("%s: faults of %q, want %q", name, at, c.want)
		}
	}
}

func TestAPinAnswersTheSameRequest(t *testing.T) {
	known := map[string]Card{one: {Name: "NVIDIA RTX A6000", MemoryBytes: 51527024640}, two: {Name: "NVIDIA GeForce RTX 4090", MemoryBytes: 25757220864}}
	pin := func(r Request, gpus ...string) Pin { return Pin{Request: &r, GPUs: gpus} }
	for name, c := range map[string]struct {
		pin  Pin
		r    Request
		want bool
	}{
		"one card":                     {pin(Request{}, one), Request{Count: 1}, true},
		"two cards":                    {pin(Request{Count: 2, MinVRAMGB: 24}, one, two), Request{Count: 2, MinVRAMGB: 24}, true},
		"a card that is not known":     {pin(Request{Model: "T4"}, "GPU-x"), Request{Model: "T4"}, true},
		"an instance":                  {pin(Request{MIG: "1g.5gb"}, part), Request{MIG: "1g.5gb"}, true},
		"nothing":                      {Pin{}, Request{}, false},
		"names":                        {Pin{Names: map[string]string{"0": one}}, Request{}, false},
		"fewer cards":                  {pin(Request{Count: 2}, one), Request{Count: 2}, false},
		"more cards":                   {pin(Request{}, one, two), Request{}, false},
		"a request of less":            {pin(Request{MinVRAMGB: 20}, one), Request{MinVRAMGB: 24}, false},
		"a card of too little memory":  {pin(Request{MinVRAMGB: 26}, two), Request{MinVRAMGB: 26}, false},
		"a card of another model":      {pin(Request{Model: "RTX 4090"}, one), Request{Model: "RTX 4090"}, false},
		"a card in place of a part":    {pin(Request{MIG: "1g.5gb"}, one), Request{MIG: "1g.5gb"}, false},
		"a part in place of the whole": {pin(Request{}, part), Request{}, false},
	} {
		if got := c.pin.Answers(c.r, 0, known); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"version": 1, "hosts": {"a": null, "b": {"containers": {"-1": {}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse(data)
		if err != nil {
			return
		}
		out, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("what was written is refused: %v\n%s", err, out)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(twice, out) {
			t.Errorf("%s\nis written again as\n%s, %v", out, twice, err)
		}
	})
}
