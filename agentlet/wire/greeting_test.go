package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

const nonce = "0123456789abcdef0123456789abcdef"

func TestTheGreetingIsFoundBehindNoise(t *testing.T) {
	beat, err := Encode(Message{Heartbeat: &Heartbeat{Step: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, before, noise string }{
		{"none", "", ""},
		{"a banner", "Welcome to pve1\r\n\x1b[31mred\x1b[0m\n", "Welcome to pve1\n[31mred[0m"},
		{"a greeting of another session", string(Greeting(strings.Repeat("f", 32))), "phoenix-agentlet 1 " + strings.Repeat("f", 32)},
		{"half a greeting", string(Greeting(nonce)[:20]), "phoenix-agentlet"},
		{"NUL bytes and line breaks", "\x00\x00\n\n\x00\x00", ""},
		{"as much as is allowed", strings.Repeat("x", MaxNoise), strings.Repeat("x", 2000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := c.before + string(Greeting(nonce)) + string(beat)
			r := NewReader(strings.NewReader(stream))
			noise, err := r.ReadGreeting(nonce)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(noise, c.noise) || c.noise == "" && noise != "" {
				t.Errorf("noise %q, want %q", noise, c.noise)
			}
			if m, err := r.Read(); err != nil || m.Heartbeat == nil {
				t.Errorf("the frame behind the greeting: %+v, %v", m, err)
			}
		})
	}
}

func TestAMissingGreetingQuotesWhatCame(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"silence", "", "read greeting: the stream ended before it"},
		{"a refusal", "This account is\x07 disabled.\n", "the stream ended before it; what came instead: This account is disabled."},
		{"another session's", string(Greeting(strings.Repeat("f", 32))), "the stream ended before it; what came instead: phoenix-agentlet 1 ffff"},
		{"too much", strings.Repeat("y\n", MaxNoise), "bytes came, and no greeting; what came instead: y | y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(c.stream)).ReadGreeting(nonce)
			var noise *NoiseError
			if !errors.As(err, &noise) {
				t.Fatalf("error %v, want a NoiseError", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want it to say %q", err, c.want)
			}
		})
	}
}

func TestANonceMustBeOneHarmlessWord(t *testing.T) {
	for _, bad := range []string{"", "short", strings.Repeat("a", 65), "0123456789abcde'", "0123456789 abcdef", "0123456789abcde\n"} {
		if CheckNonce(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if err := CheckNonce(nonce); err != nil {
		t.Error(err)
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte("Last login\n"), []byte{})
	f.Add([]byte("\x00\x00phoenix"), Greeting(nonce))
	f.Add(Greeting("x"), Greeting(nonce)[3:])
	f.Fuzz(func(t *testing.T, before, after []byte) {
		want := Greeting(nonce)
		if len(before) > MaxNoise || bytes.Contains(before, want) {
			return
		}
		r := NewReader(bytes.NewReader(append(append(bytes.Clone(before), want...), after...)))
		noise, err := r.ReadGreeting(nonce)
		if err != nil {
			t.Fatalf("not found behind %q: %v", before, err)
		}
		if i := strings.IndexFunc(noise, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
			t.Fatalf("noise %q has a control character at %d", noise, i)
		}
		if rest, err := io.ReadAll(r.r); err != nil || !bytes.Equal(rest, after) {
			t.Fatalf("behind the greeting: %q, %v; want %q", rest, err, after)
		}
	})
}
