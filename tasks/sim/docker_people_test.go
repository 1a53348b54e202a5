package sim

import (
	"strings"
	"testing"
)

// dockerGuest is a guest with Docker and compose, and a project that is up.
func dockerGuest(t *testing.T) *Machine {
	t.Helper()
	g := newGuest(t, ubuntu24)
	for _, line := range []string{"apt-get update", "apt-get install -y docker.io docker-compose-v2", "mkdir -p /srv/wiki"} {
		must(t, g, line)
	}
	return g
}

func compose(t *testing.T, g *Machine, text string) (int, string) {
	t.Helper()
	if err := g.write("/srv/wiki/compose.yaml", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, errs := execv(t, g, "sh", "-c", "cd /srv/wiki; docker compose -p wiki up --detach")
	return code, errs
}

func TestDockerAnswersPeople(t *testing.T) {
	g := dockerGuest(t)
	if code, errs := compose(t, g, "services:\n  web:\n    image: \"nginx:1.29\"\n    ports:\n      - \"8080:80\"\n"); code != 0 {
		t.Fatal(errs)
	}
	must(t, g, "docker run --detach --name portainer --publish 9443:9443 --volume data:/data portainer/portainer-ce:2.45.1")
	list := must(t, g, "docker ps")
	for _, want := range []string{"CONTAINER ID", "nginx:1.29", "wiki-web-1", "portainer/portainer-ce:2.45.1", "0.0.0.0:9443->9443/tcp"} {
		if !strings.Contains(list, want) {
			t.Errorf("docker ps has not %q:\n%s", want, list)
		}
	}
	for _, name := range []string{"wiki-web-1", "portainer"} {
		must(t, g, "docker logs "+name)
		if out := must(t, g, "docker stop "+name); out != name+"\n" {
			t.Errorf("docker stop prints %q", out)
		}
		if strings.Contains(must(t, g, "docker ps"), name) || !strings.Contains(must(t, g, "docker ps -a"), name) {
			t.Errorf("%s is not shown as stopped", name)
		}
		must(t, g, "docker start "+name)
	}
	if out := must(t, g, "docker ps -q"); strings.Count(out, "\n") != 2 || len(out) != 26 {
		t.Errorf("docker ps -q prints %q", out)
	}
	if code, _, errs := execLine(t, g, "docker stop nosuch"); code != 1 || !strings.Contains(errs, "No such container: nosuch") {
		t.Errorf("docker stop nosuch: %d, %s", code, errs)
	}
}

func TestAComposeFileThatIsNoMappingIsNotUp(t *testing.T) {
	g := dockerGuest(t)
	for text, want := range map[string]string{
		"services:\n  web:\n    image nginx\n":                         "services.web must be a mapping",
		"services:\n  web:\n    image nginx\n    ports: [\"80:80\"]\n": "must be a mapping",
		"services:\n  web:\n    image: nginx\n  restart always\n":      "yaml: line 4: could not find expected ':'",
		"services:\n\tweb:\n":                                          "yaml: line 2: found character that cannot start any token",
		"hello\n":                                                      "top-level object must be a mapping",
		"- services\n":                                                 "top-level object must be a mapping",
		"services:\n":                                                  "no service selected",
	} {
		if code, errs := compose(t, g, text); code != 15 || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %q; want %q", text, code, errs, want)
		}
	}
	for _, text := range []string{
		"# ours\n---\nx-common: &common\n  restart: always\nservices:\n  web:\n    <<: *common\n    image: nginx\n    command: >\n      sh -c\n      sleep\n    environment: { A: b,\n      C: d }\n",
		"services:\n  web:\n    image: nginx\n    command:\n      - sh\n      - -c\n      - |\n        echo one\n        two\n    volumes:\n      - type: bind\n        source: /a\n\n    labels:\n      a: one\n        two\n",
		"services:\n  web:\n    image: nginx\n    command: [\"a\",\n  \"b\"]\n",
	} {
		if code, errs := compose(t, g, text); code != 0 {
			t.Errorf("%q: exit %d, %q", text, code, errs)
		}
	}
}
