package portainer

import (
	"strings"
	"testing"

	"phoenix/tasks"
)

func TestValidate_namesTheFault(t *testing.T) {
	const admin = `"admin_password":{"secret":"a"}`
	for _, tc := range []struct{ name, spec, path string }{
		{"an unknown role", `{"role":"edge"}`, "role"},
		{"an image that moves", `{"image":"portainer/portainer-ce:latest"}`, "image"},
		{"the image of a stream", `{"image":"portainer/portainer-ce:lts"}`, "image"},
		{"an image without a tag, of a registry with a port", `{"image":"10.0.0.1:5000/portainer-ce"}`, "image"},
		{"an option for an image", `{"image":"--privileged:1"}`, "image"},
		{"an image with a line break", `{"image":"portainer:1\n"}`, "image"},
		{"a port that is none", `{"port":70000}`, "port"},
		{"a negative port", `{"tunnel_port":-1}`, "tunnel_port"},
		{"one port twice", `{"port":8000,"tunnel_port":8000}`, "tunnel_port"},
		{"one port twice by default", `{"tunnel_port":9443}`, "tunnel_port"},
		{"a volume with a colon", `{"data_volume":"a:b"}`, "data_volume"},
		{"a relative folder", `{"data_volume":"srv/data"}`, "data_volume"},
		{"a folder with ..", `{"data_volume":"/srv/../etc"}`, "data_volume"},
		{"the root as a folder", `{"data_volume":"/"}`, "data_volume"},
		{"a user with a blank", `{"admin_user":"a b"}`, "admin_user"},
		{"a secret without a name", `{"admin_password":{"secret":""}}`, "admin_password.secret"},
		{"an agent secret without a name", `{"agent_secret":{"secret":""}}`, "agent_secret.secret"},
		{"environments without a password", `{"environments":{"a":"10.0.0.1"}}`, "environments"},
		{"an environment on a web server", `{` + admin + `,"environments":{"a":"http://10.0.0.1"}}`, "environments.a"},
		{"an environment at port 0", `{` + admin + `,"environments":{"a":"10.0.0.1:0"}}`, "environments.a"},
		{"an environment at no port", `{` + admin + `,"environments":{"a":"10.0.0.1:99999"}}`, "environments.a"},
		{"an environment at another socket", `{` + admin + `,"environments":{"a":"unix:///tmp/x"}}`, "environments.a"},
		{"an environment with a line break", `{` + admin + `,"environments":{"a":"10.0.0.1\nx"}}`, "environments.a"},
		{"an environment without a name", `{` + admin + `,"environments":{"":"10.0.0.1"}}`, "environments."},
		{"two environments at one address", `{` + admin + `,"environments":{"a":"tcp://H:9001","b":"h"}}`, "environments.b"},
		{"an agent with a password", `{"role":"agent",` + admin + `}`, "admin_password"},
		{"an agent with the port of a server", `{"role":"agent","port":9001}`, "port"},
		{"a server with the port of an agent", `{"agent_port":9001}`, "agent_port"},
		{"an agent with data", `{"role":"agent","data_volume":"data"}`, "data_volume"},
		{"an agent with environments", `{"role":"agent","environments":{"a":"h"}}`, "environments"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Spec
			if err := tasks.UnmarshalStrict([]byte(tc.spec), &s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestValidate_acceptsWhatIsRight(t *testing.T) {
	for _, spec := range []string{
		`{}`, `{"role":"agent"}`, `{"role":"agent","agent_port":19001,"agent_secret":{"secret":"s"}}`,
		`{"image":"10.0.0.1:5000/portainer/portainer-ee:2.45.0-alpine","port":443,"tunnel_port":8000,"data_volume":"/srv/portainer"}`,
		`{"image":"portainer/portainer-ce@sha256:` + strings.Repeat("0a", 32) + `"}`,
		`{"admin_password":{"secret":"a"},"environments":{"Büro 2":"agent.lan","v6":"[fd00::1]:9001","x":"tcp://10.0.0.1:9002","here":"unix:///var/run/docker.sock"}}`,
	} {
		var s Spec
		if err := tasks.UnmarshalStrict([]byte(spec), &s); err != nil {
			t.Fatal(err)
		}
		if p := s.Validate(); len(p) > 0 {
			t.Errorf("%s: %v", spec, p)
		}
	}
}

func TestCanonical_isOneFormOfEachAddress(t *testing.T) {
	for in, want := range map[string]string{
		"tcp://10.0.0.5:9001": "10.0.0.5:9001", "10.0.0.5": "10.0.0.5:9001", "Agent.LAN:9010": "agent.lan:9010",
		"https://k8s.lan:30778": "k8s.lan:30778", "[fd00::5]": "[fd00::5]:9001", "tcp://[fd00::5]:9010": "[fd00::5]:9010",
		"unix:///var/run/docker.sock": "unix:///var/run/docker.sock",
	} {
		if got := canonical(in); got != want || canonical(got) != got {
			t.Errorf("canonical(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestRequest_quotesForCurl(t *testing.T) {
	r := request{headers: []string{"X: y"}, body: map[string]string{"Password": "a\"b\\c\nurl = evil"}}
	got, err := r.config()
	if err != nil {
		t.Fatal(err)
	}
	const want = "header = \"X: y\"\nheader = \"Content-Type: application/json\"\n" + `data-raw = "{\"Password\":\"a\\\"b\\\\c\\nurl = evil\"}"` + "\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got, err = request{form: map[string]string{"Name": "a&b=c\n\"", "URL": "tcp://h:1"}}.config()
	if err != nil || string(got) != `data-raw = "Name=a%26b%3Dc%0A%22&URL=tcp%3A%2F%2Fh%3A1"`+"\n" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestSetupToken_isTheLastOne(t *testing.T) {
	for log, want := range map[string]string{
		"": "", "2026/11/23 INF starting\n": "",
		"INF setup_token=0123456789abcdef\nINF again setup_token=fedcba9876543210\n": "fedcba9876543210",
		"INF a token | \x1b[36msetup_token=\x1b[0m00ff00ff00ff\x1b[0m\n":             "00ff00ff00ff",
		"INF setup_token=\n": "", `{"setup_token":"0123456789abcdef"}`: "",
	} {
		if got := setupToken([]byte(log)); got != want {
			t.Errorf("in %q: %q, want %q", log, got, want)
		}
	}
}

// FuzzSetupToken: a log is written by what runs in the container; no token breaks out of
// a header, whatever stands there.
func FuzzSetupToken(f *testing.F) {
	f.Add([]byte("x setup_token=\x1b[36m0123456789abcdef\r\n"))
	f.Add([]byte("setup_token=setup_token=12345678"))
	f.Fuzz(func(t *testing.T, log []byte) {
		if token := setupToken(log); strings.ContainsAny(token, "\r\n\x00\"\\ :") || len(token) > 256 {
			t.Errorf("%q", token)
		}
	})
}
