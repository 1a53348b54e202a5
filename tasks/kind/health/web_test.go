package health_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/local"
	"phoenix/tasks/secret"
	"phoenix/tasks/taskstest"
)

// curls is a machine whose curl gives one outcome, and keeps what it was asked.
func curls(t *testing.T, out tasks.Output) (*taskstest.Tree, *tasks.Cmd) {
	h := taskstest.NewTree(t, nil)
	var got tasks.Cmd
	h.Programs["curl"] = func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output {
		got = c
		return out
	}
	return h, &got
}

// came is what curl leaves behind, as curl 7.88.1 of Debian 12 does.
func came(code int, body, stderr string) tasks.Output {
	return tasks.Output{Code: code, Stdout: []byte(body), Stderr: []byte(stderr)}
}

func TestHTTP_answers(t *testing.T) {
	const url = `"url":"http://10.0.0.5:8080/health"`
	const refused = "curl: (7) Failed to connect to 10.0.0.5 port 8080 after 0 ms: Couldn't connect to server\nphoenix: 000  0\n"
	for _, tc := range []struct {
		name, http string
		out        tasks.Output
		why        string
	}{
		{"200 is enough", `{` + url + `}`, came(0, "hello", "phoenix: 200 10.0.0.5 8080\n"), ""},
		{"another status", `{` + url + `}`, came(0, "Bad Gateway\n", "phoenix: 502 10.0.0.5 8080\n"), "ask a: GET http://10.0.0.5:8080/health from the host: status 502 of 10.0.0.5:8080, expected 200; it printed:\nBad Gateway"},
		{"a status that is expected", `{` + url + `,"status":401}`, came(0, "", "phoenix: 401 10.0.0.5 8080\n"), ""},
		{"one of several", `{` + url + `,"status":[200,401]}`, came(0, "", "phoenix: 401 10.0.0.5 8080\n"), ""},
		{"none of several", `{` + url + `,"status":[204,301]}`, came(0, "", "phoenix: 200 2001:db8::5 8080\n"), "status 200 of [2001:db8::5]:8080, expected 204 or 301; it printed nothing"},
		{"200 where another is expected", `{` + url + `,"status":404}`, came(0, "", "phoenix: 200 10.0.0.5 8080\n"), "expected 404"},
		{"a text", `{` + url + `,"contains":"ok"}`, came(0, `{"ok":1}`, "phoenix: 200 10.0.0.5 8080\n"), ""},
		{"another text", `{` + url + `,"contains":"ok"}`, came(0, "starting", "phoenix: 200 10.0.0.5 8080\n"), `the body does not contain "ok"; it printed:` + "\nstarting"},
		{"a pattern", `{` + url + `,"matches":"^v[0-9]+$"}`, came(0, "v12", "phoenix: 200 10.0.0.5 8080\n"), ""},
		{"another pattern", `{` + url + `,"matches":"^v[0-9]+$"}`, came(0, "v12\n", "phoenix: 200 10.0.0.5 8080\n"), `the body does not match "^v[0-9]+$"`},
		{"everything at once", `{` + url + `,"contains":"x","matches":"y"}`, came(0, "z", "phoenix: 500 10.0.0.5 8080\n"), `status 500 of 10.0.0.5:8080, expected 200; the body does not contain "x"; the body does not match "y"`},
		{"nobody listens", `{` + url + `}`, came(7, "", refused), "ask a: GET http://10.0.0.5:8080/health from the host: curl: (7) Failed to connect to 10.0.0.5 port 8080 after 0 ms: Couldn't connect to server"},
		{"half an answer", `{` + url + `}`, came(28, "half", "curl: (28) Operation timed out after 2001 milliseconds with 4 out of 9 bytes received\nphoenix: 200 10.0.0.5 8080\n"), "from the host: curl: (28) Operation timed out"},
		{"curl says nothing", `{` + url + `}`, came(2, "", ""), "curl ended with exit status 2"},
		{"curl says no status", `{` + url + `}`, came(0, "", ""), "expected 200"},
		{"a body that looks like the status", `{` + url + `}`, came(0, "phoenix: 200 10.0.0.5 8080\n", "phoenix: 500 10.0.0.5 8080\n"), "status 500"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, _ := curls(t, tc.out)
			rec := taskstest.NewRecorder(h)
			res := taskstest.Run(t, health.Kind(), `{"name":"a","http":`+tc.http+`}`, rec)
			want := map[bool]tasks.Status{true: tasks.StatusOK, false: tasks.StatusFailed}[tc.why == ""]
			if res.Status != want || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%s %q, want %s %q", res.Status, res.Why, want, tc.why)
			}
			if len(rec.Changes()) > 0 || len(res.Changes) > 0 {
				t.Errorf("a health check changes something: %v, %+v", rec.Changes(), res)
			}
		})
	}
}

func TestHTTP_startsCurlWithoutAShellAndWithoutASecretInSight(t *testing.T) {
	always := []string{"curl", "--disable", "--silent", "--show-error", "--globoff", "--noproxy", "*", "--proto", "=http,https", "--max-time", "30",
		"--write-out", "%{stderr}phoenix: %{http_code} %{remote_ip} %{remote_port}\n"}
	for _, tc := range []struct {
		name, http string
		more       []string
		stdin      string
	}{
		{"nothing more", `{"url":"http://a/"}`, []string{"http://a/"}, ""},
		{"GET by name", `{"url":"http://a/","method":"GET"}`, []string{"http://a/"}, ""},
		{"without a body", `{"url":"http://a/","method":"HEAD"}`, []string{"--head", "http://a/"}, ""},
		{"another method", `{"url":"http://a/","method":"OPTIONS"}`, []string{"--request", "OPTIONS", "http://a/"}, ""},
		{"any certificate", `{"url":"https://a/","insecure":true}`, []string{"--insecure", "https://a/"}, ""},
		{"where it points to", `{"url":"http://a/","follow_redirects":true}`, []string{"--location", "--max-redirs", "5", "http://a/"}, ""},
		{"headers", `{"url":"http://a/","headers":{"Host":"web.lan","Authorization":{"secret":"token"}}}`, []string{"--header", "@-", "http://a/"}, "Authorization: Bearer xyzzy\nHost: web.lan\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, got := curls(t, came(0, "", "phoenix: 200 10.0.0.5 80\n"))
			var spec health.Spec
			if err := json.Unmarshal([]byte(`{"name":"a","http":`+tc.http+`}`), &spec); err != nil {
				t.Fatal(err)
			}
			if p := spec.Validate(); len(p) > 0 {
				t.Fatal(p)
			}
			var log []string
			ctx := tasks.WithScope(t.Context(), tasks.Scope{Secrets: map[string]string{"token": "Bearer xyzzy"}, Log: func(l tasks.Log) { log = append(log, l.Text) }})
			if d, err := spec.Task().Check(ctx, h); err != nil || len(d) > 0 {
				t.Fatal(d, err)
			}
			if want := slices.Concat(always, tc.more); !slices.Equal(got.Argv, want) || string(got.Stdin) != tc.stdin || !got.ReadOnly || len(got.Env) > 0 {
				t.Errorf("%q with %q, want %q with %q", got.Argv, got.Stdin, want, tc.stdin)
			}
			if len(log) != 1 || !strings.HasSuffix(log[0], " from the host: status 200 of 10.0.0.5:80") {
				t.Errorf("%q does not tell who answered", log)
			}
		})
	}
}

func TestHTTP_aSecretThatIsNoHeaderIsNotSent(t *testing.T) {
	for _, value := range []string{"", "a\nX-Other: b", "a\rb"} {
		h, got := curls(t, came(0, "", "phoenix: 200 10.0.0.5 80\n"))
		spec := health.Spec{Name: "a", HTTP: &health.HTTP{URL: "http://a/", Headers: map[string]secret.Text{"Authorization": {Ref: &secret.Ref{Name: "token"}}}}}
		ctx := tasks.WithScope(t.Context(), tasks.Scope{Secrets: map[string]string{"token": value}})
		if _, err := spec.Task().Check(ctx, h); err == nil || got.Argv != nil || value != "" && strings.Contains(err.Error(), value) {
			t.Errorf("%q: %v, %q was started", value, err, got.Argv)
		}
	}
}

// none is a machine without programs.
type none struct{ tasks.Host }

func (none) Run(_ context.Context, c tasks.Cmd) (tasks.Output, error) {
	return tasks.Output{}, fmt.Errorf("run %s: no such program: %w", c.Name(), fs.ErrNotExist)
}

func TestHTTP_aHostWithoutCurlSaysWhereItComesFrom(t *testing.T) {
	res := taskstest.Check(t, health.Kind(), `{"name":"a","http":{"url":"http://a/"}}`, none{taskstest.NewTree(t, nil)})
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "GET http://a/ from the host: curl is not there, which Proxmox VE brings along (apt-get install curl)") {
		t.Errorf("%+v", res)
	}
}

// What curl itself does with these arguments. Where there is none, that is what must be
// said.
func TestHTTP_curlItself(t *testing.T) {
	var header string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Get("X-Asked-By")
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/slow":
			<-r.Context().Done()
		default:
			fmt.Fprintf(w, "%s up\n", r.Method)
		}
	}))
	defer s.Close()
	for _, tc := range []struct{ name, http, why string }{
		{"the body", `{"url":"` + s.URL + `/","contains":"GET up"}`, ""},
		{"no body", `{"url":"` + s.URL + `/","method":"HEAD","headers":{"X-Asked-By":"phoenix"}}`, ""},
		{"a redirect is an answer", `{"url":"` + s.URL + `/moved","status":302}`, ""},
		{"a redirect that is followed", `{"url":"` + s.URL + `/moved","follow_redirects":true,"contains":"up"}`, ""},
		{"no answer in time", `{"url":"` + s.URL + `/slow"}`, "curl: (28) "},
		{"another status", `{"url":"` + s.URL + `/moved"}`, "/moved from the host: status 302 of " + strings.TrimPrefix(s.URL, "http://") + ", expected 200"},
		{"nobody there", `{"url":"http://127.0.0.1:1/"}`, "curl: (7) "},
	} {
		if _, err := exec.LookPath("curl"); err != nil {
			tc.why = "curl is not there"
		}
		res := taskstest.Check(t, health.Kind(), `{"name":"a","timeout_s":1,"http":`+tc.http+`}`, &local.Host{})
		if (res.Status == tasks.StatusOK) != (tc.why == "") || !strings.Contains(res.Why, tc.why) {
			t.Errorf("%s: %s %q, want %q", tc.name, res.Status, res.Why, tc.why)
		}
		if strings.Contains(tc.http, "X-Asked-By") && tc.why == "" && header != "phoenix" {
			t.Errorf("%s: the header was %q", tc.name, header)
		}
	}
}

func TestTCP_bashItself(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for address, why := range map[string]string{
		l.Addr().String():      "",
		"127.0.0.1:1":          "ask a: connect to 127.0.0.1:1 from the host: Connection refused",
		"[::ffff:127.0.0.1]:1": "connect to [::ffff:127.0.0.1]:1 from the host: Connection refused",
	} {
		res := taskstest.Check(t, health.Kind(), `{"name":"a","tcp":{"address":"`+address+`"}}`, &local.Host{})
		if (res.Status == tasks.StatusOK) != (why == "") || !strings.HasSuffix(res.Why, why) {
			t.Errorf("%s: %s %q, want %q", address, res.Status, res.Why, why)
		}
	}
}

func TestTCP_connectsAndSendsNothing(t *testing.T) {
	for address, want := range map[string][]string{
		"db.lan:5432": {"db.lan", "5432"}, "10.0.0.5:22": {"10.0.0.5", "22"}, "[fe80::1%vmbr0]:65535": {"fe80::1%vmbr0", "65535"},
	} {
		h := taskstest.NewTree(t, nil)
		var got tasks.Cmd
		h.Programs["bash"] = func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output { got = c; return tasks.Output{Code: 1} }
		res := taskstest.Check(t, health.Kind(), `{"name":"a","tcp":{"address":"`+address+`"}}`, h)
		if want := append([]string{"bash", "-c", `exec 3<>"/dev/tcp/$1/$2"`, "tcp"}, want...); !slices.Equal(got.Argv, want) || got.Stdin != nil || !got.ReadOnly {
			t.Errorf("%q, want %q", got.Argv, want)
		}
		if !strings.HasSuffix(res.Why, "connect to "+address+" from the host: bash ended with exit status 1") {
			t.Error(res.Why)
		}
	}
}

func TestTCP_isAskedAgainAndBounded(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		res := taskstest.Check(t, health.Kind(), `{"name":"a","tcp":{"address":"10.0.0.5:1"},"timeout_s":4,"retries":1}`, hangs{h})
		if took := time.Since(begin); took != 13*time.Second || !strings.HasSuffix(res.Why, "ask a 2 times: connect to 10.0.0.5:1 from the host: no answer within 4s") {
			t.Errorf("after %s: %+v", took, res)
		}
	})
}

func TestValidate_namesTheFaultOfAQuestionOverTheNetwork(t *testing.T) {
	literal := func(s string) secret.Text { return secret.Text{Literal: &s} }
	ask := func(h health.HTTP) health.Spec {
		if h.URL == "" {
			h.URL = "http://10.0.0.5/"
		}
		return health.Spec{Name: "a", HTTP: &h}
	}
	header := func(name string, v secret.Text) health.Spec {
		return ask(health.HTTP{Headers: map[string]secret.Text{name: v}})
	}
	to := func(address string) health.Spec { return health.Spec{Name: "a", TCP: &health.TCP{Address: address}} }
	for _, tc := range []struct {
		name string
		spec health.Spec
		path string
	}{
		{"two questions", health.Spec{Name: "a", HTTP: &health.HTTP{URL: "http://a/"}, TCP: &health.TCP{Address: "a:1"}}, ""},
		{"a command and a question", health.Spec{Name: "a", Command: health.Command{Script: "true"}, TCP: &health.TCP{Address: "a:1"}}, ""},
		{"the answer of a command to a question", health.Spec{Name: "a", TCP: &health.TCP{Address: "a:1"}, Expect: health.Expect{StdoutContains: "a"}}, "expect"},
		{"no scheme", ask(health.HTTP{URL: "10.0.0.5/health"}), "http.url"},
		{"another scheme", ask(health.HTTP{URL: "file:///etc/shadow"}), "http.url"},
		{"no host", ask(health.HTTP{URL: "http:///health"}), "http.url"},
		{"a space", ask(health.HTTP{URL: "http://a/b c"}), "http.url"},
		{"a password", ask(health.HTTP{URL: "http://ann:secret@a/"}), "http.url"},
		{"a method that changes something", ask(health.HTTP{Method: "POST"}), "http.method"},
		{"a body of HEAD", ask(health.HTTP{Method: "HEAD", Contains: "a"}), "http.method"},
		{"a status that is none", ask(health.HTTP{Status: health.Statuses{200, 42}}), "http.status.1"},
		{"a pattern that is none", ask(health.HTTP{Matches: "("}), "http.matches"},
		{"a header that is none", header("X Y", literal("a")), "http.headers.X Y"},
		{"a header without a value", header("X-Y", literal(" ")), "http.headers.X-Y"},
		{"a header with two lines", header("X-Y", literal("a\nB: c")), "http.headers.X-Y"},
		{"a secret in the open", header("authorization", literal("Bearer a")), "http.headers.authorization"},
		{"a secret for whom it may concern", ask(health.HTTP{FollowRedirects: true, Headers: map[string]secret.Text{"X-Key": {Ref: &secret.Ref{Name: "a"}}}}), "http.headers.X-Key"},
		{"no port", to("10.0.0.5"), "tcp.address"},
		{"port 0", to("10.0.0.5:0"), "tcp.address"},
		{"a port that is none", to("10.0.0.5:65536"), "tcp.address"},
		{"a port by name", to("10.0.0.5:http"), "tcp.address"},
		{"a port in other words", to("10.0.0.5:+80"), "tcp.address"},
		{"no host", to(":80"), "tcp.address"},
		{"a path", to("a/../../etc:80"), "tcp.address"},
		{"an address with colons", to("2001:db8::5:80"), "tcp.address"},
		{"no address of IPv6", to("[a]:80"), "tcp.address"},
		{"a path in brackets", to("[fe80::1%/etc]:80"), "tcp.address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

// Whatever a server has curl say, an answer counts only when curl ended well and its own
// line, which is the last, has the status.
func FuzzHTTP_answer(f *testing.F) {
	f.Add(0, []byte("ok"), []byte("phoenix: 200 10.0.0.5 80\n"))
	f.Add(60, []byte(""), []byte("curl: (60) SSL: phoenix: 200 a\nphoenix: 200 b 1\nphoenix: 000  0\n"))
	f.Add(0, []byte("x"), []byte("phoenix: 200\nphoenix: 500 10.0.0.5 80\n"))
	f.Fuzz(func(t *testing.T, code int, stdout, stderr []byte) {
		h := taskstest.NewTree(t, nil)
		h.Programs["curl"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
			return tasks.Output{Code: code, Stdout: stdout, Stderr: stderr}
		}
		spec := health.Spec{Name: "a", HTTP: &health.HTTP{URL: "http://a/", Contains: "ok"}}
		d, err := spec.Task().Check(t.Context(), h)
		last := stderr[max(strings.LastIndex(string(stderr), "phoenix: "), 0):]
		well := code == 0 && strings.HasPrefix(string(last), "phoenix: 200") && strings.Contains(string(stdout), "ok")
		if len(d) > 0 || err == nil && !well {
			t.Errorf("%v, %v of %d %q %q", d, err, code, stdout, stderr)
		}
	})
}
