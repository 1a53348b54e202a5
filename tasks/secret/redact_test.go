package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
)

func TestAValueIsMaskedHoweverItIsWritten(t *testing.T) {
	const value = `p"ss wörd/'+1`
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"as it is":              "login with " + value + " failed",
		"as JSON":               `{"password":` + string(quoted) + `}`,
		"in a URL's query":      "https://x/?p=" + url.QueryEscape(value),
		"in a URL's path":       "https://x/" + url.PathEscape(value),
		"in base64":             "token " + base64.StdEncoding.EncodeToString([]byte(value)),
		"in base64 of a header": "Basic " + base64.StdEncoding.EncodeToString([]byte("root:"+value+":x")),
		"in base64, shifted":    "Basic " + base64.StdEncoding.EncodeToString([]byte("roo:"+value)),
		"in base64 for URLs":    base64.RawURLEncoding.EncodeToString([]byte("r:" + value + "tail")),
		"in hexadecimal":        hex.EncodeToString([]byte(value)),
		"in shell quotes":       `echo '` + strings.ReplaceAll(value, `'`, `'\''`) + `'`,
	} {
		t.Run(name, func(t *testing.T) {
			got := NewRedactor(value).Text(text)
			if !strings.Contains(got, Mask) || got == text {
				t.Errorf("%q became %q", text, got)
			}
			for _, form := range forms(value) {
				if form != "" && strings.Contains(got, form) {
					t.Errorf("%q still holds %q", got, form)
				}
			}
		})
	}
}

func TestTextAroundAValueStays(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		text   string
		want   string
	}{
		{"no secrets", nil, "abcd", "abcd"},
		{"a short value is left alone", []string{"abc"}, "abcabc", "abcabc"},
		{"twice", []string{"hunter2"}, "hunter2 hunter2.", "*** ***."},
		{"overlapping values leave no end behind", []string{"abcdef", "defghi"}, "<abcdefghi>", "<***>"},
		{"a value within another", []string{"secret", "my-secret-key"}, "my-secret-key", "***"},
		{"a value that overlaps itself", []string{"ababab"}, "xabababab", "x***"},
		{"a value of several lines, one line at a time", []string{"first line\nsecond line\n"}, "got second line", "got ***"},
		{"a value with a line break at its end", []string{"hunter2\n"}, "pw=hunter2;", "pw=***;"},
		{"a value made of what the mask is made of", []string{"****"}, "a*****b", "a***b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := NewRedactor(c.values...).Text(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestEveryTextOfAnEventIsRedacted(t *testing.T) {
	const value = "hunter2hunter2"
	d := tasks.Diff{{Path: "p." + value, From: value, To: value, Note: "+" + value}}
	for _, e := range []tasks.Event{
		{Step: "a", Log: &tasks.Log{Stream: "stdout", Text: "x" + value}},
		{Step: "a", Result: &tasks.Result{Status: tasks.StatusFailed, Why: value, Changes: d, Remaining: d,
			Data: json.RawMessage(`{"` + value + `":["` + value + `",{"x":"` + value + `"}]}`)}},
	} {
		e.Time = time.Unix(1, 0)
		got, err := json.Marshal(NewRedactor(value).Event(e))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(got), value) || !strings.Contains(string(got), Mask) {
			t.Errorf("left in %s", got)
		}
	}
	if d[0].From != value {
		t.Error("the event that was given has been changed")
	}
}

func TestANumberThatIsAValueIsMasked(t *testing.T) {
	got := string(NewRedactor("12345").JSON(json.RawMessage(`{"pin":12345,"n":1.50}`)))
	if got != `{"n":1.50,"pin":"***"}` {
		t.Errorf("got %s", got)
	}
	if got := string(NewRedactor("12345").JSON(json.RawMessage(`{12345`))); got != `"***"` {
		t.Errorf("what is no JSON became %s", got)
	}
}

// The property: whatever the text, no value of at least 4 bytes survives in it,
// neither as it is nor as JSON, URLs, base64 or hexadecimal write it.
func FuzzNoValueSurvives(f *testing.F) {
	f.Add("hunter2", "correct horse", "log: ", " tail")
	f.Add("****", "***a", "**", "*")
	f.Add("a\nb c d\n", `x"y\z`, "\x00", "é")
	f.Fuzz(func(t *testing.T, a, b, before, after string) {
		r := NewRedactor(a, b)
		text := before + a + b + after + url.QueryEscape(a) + base64.StdEncoding.EncodeToString([]byte(before+b+after)) + hex.EncodeToString([]byte(b)) + a
		got := r.Text(text)
		for _, v := range []string{a, b} {
			if len(v) < minLength {
				continue
			}
			for _, form := range forms(v) {
				if len(form) >= minLength && strings.Contains(got, form) {
					t.Fatalf("%q of value %q survives in %q", form, v, got)
				}
			}
		}
		if again := r.Text(got); again != got {
			t.Fatalf("a second pass changed %q to %q", got, again)
		}
	})
}
