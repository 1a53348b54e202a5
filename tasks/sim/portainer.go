package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// portainerWindow is how long after its start a server lets somebody make its first
// administrator: adminmonitor of Portainer's api.
const portainerWindow = 5 * time.Minute

// portainerBox is a container, as far as Portainer in it knows of itself.
type portainerBox struct {
	// image says which version it is; data is the volume or folder of the server.
	image, data string
	started     time.Time
}

// portainerData is what a server keeps in its volume.
type portainerData struct {
	User, Password string
	Endpoints      []portainerEndpoint
}

type portainerEndpoint struct {
	ID        int `json:"Id"`
	Name, URL string
	Type      int
}

func (b portainerBox) agent() bool { return strings.Contains(b.image, "/agent") }

// version is that of the image's tag.
func (b portainerBox) version() string {
	_, tag, _ := strings.Cut(b.image[strings.LastIndexByte(b.image, '/')+1:], ":")
	tag, _, _ = strings.Cut(tag, "-")
	return tag
}

// token is the setup token of one start; "" for a version that asks for none.
func (b portainerBox) token() string {
	var minor, patch int
	_, _ = fmt.Sscanf(b.version(), "2.%d.%d", &minor, &patch)
	if minor < 43 && (minor != 39 || patch < 4) {
		return ""
	}
	sum := sha256.Sum256([]byte("setup token of " + b.data + b.started.String()))
	return hex.EncodeToString(sum[:])
}

// portainerLog is what such a container has written since its last start.
func (m *Machine) portainerLog(b portainerBox) string {
	at := b.started.UTC().Format("2006/01/02 03:04PM")
	if b.agent() {
		return at + " INF http/server.go:99 > starting Agent API server | api_version=" + b.version() + " server_addr=0.0.0.0 server_port=9001 use_tls=true\n"
	}
	text := at + " INF github.com/portainer/portainer/api/http/server.go:354 > starting HTTPS server | bind_address=:9443\n"
	if d := m.portainerKept(b); d.User == "" && b.token() != "" {
		text += at + " INF cmd/portainer/main.go:640 > a setup token is required to initialize this instance | \x1b[36msetup_token=\x1b[0m" + b.token() + "\n"
	}
	return text
}

// portainerServer finds the Portainer that is published at a port of the machine.
func portainerServer(m *Machine, port string) responder {
	for _, c := range m.boxes() {
		if !m.dockerRuns() || !c.State.Running || !strings.Contains(c.Config.Image, "portainer") {
			continue
		}
		b := portainerIn(c)
		inside := map[bool]string{true: "9001/tcp", false: "9443/tcp"}[b.agent()]
		if slices.ContainsFunc(c.HostConfig.PortBindings[inside], func(p dockerPort) bool { return p.HostPort == port }) {
			return b.serve
		}
	}
	return nil
}

// portainerIn is what Portainer in a container knows of itself.
func portainerIn(c dockerBox) portainerBox {
	b := portainerBox{image: c.Config.Image, started: c.State.StartedAt}
	for _, bind := range c.HostConfig.Binds {
		if from, is := strings.CutSuffix(bind, ":/data"); is {
			b.data = from
		}
	}
	return b
}

func portainerFile(data string) string {
	return "/.sim/portainer/" + url.PathEscape(data) + ".json"
}

func (m *Machine) portainerKept(b portainerBox) (d portainerData) {
	_ = json.Unmarshal([]byte(m.text(portainerFile(b.data))), &d)
	return d
}

// serve answers a request to the container.
func (b portainerBox) serve(c *call, r request) reply {
	path, _, _ := strings.Cut(r.path, "?")
	if b.agent() {
		if path == "/ping" {
			return reply{204, ""}
		}
		return portainerSays(403, "Missing request signature headers", "Unauthorized")
	}
	d := c.m.portainerKept(b)
	late := d.User == "" && c.m.Now().Sub(b.started) >= portainerWindow
	answer := reply{}
	switch key := r.method + " " + path; {
	case late && path != "/api/status" && path != "/api/settings/public":
		return portainerSays(303, "Administrator initialization timeout", "")
	case key == "GET /api/system/status", key == "GET /api/status":
		return reply{200, fmt.Sprintf(`{"Version":%q,"InstanceID":"299ab403-70a8-4c05-92f7-bf7a994d50df"}`, b.version())}
	case key == "GET /api/users/admin/check":
		if d.User == "" {
			return portainerSays(404, "No administrator account found inside the database", "object not found inside the database")
		}
		return reply{204, ""}
	case key == "POST /api/users/admin/init":
		answer = b.initAdmin(r, &d)
	case key == "POST /api/auth":
		return d.login(r)
	case !slices.ContainsFunc(r.header, func(h string) bool { return strings.TrimSpace(h) == "Authorization: Bearer "+d.jwt() }):
		return portainerSays(401, "A valid authorization token is missing", "Unauthorized")
	case key == "GET /api/endpoints":
		list, err := json.Marshal(append([]portainerEndpoint{}, d.Endpoints...))
		if err != nil {
			return portainerSays(500, "Unable to encode", err.Error())
		}
		return reply{200, string(list)}
	case key == "POST /api/endpoints":
		answer = d.register(r)
	case strings.HasPrefix(key, "PUT /api/endpoints/"):
		answer = d.move(r, strings.TrimPrefix(path, "/api/endpoints/"))
	default:
		return portainerSays(404, "404 page not found", "")
	}
	if answer.status != 200 {
		return answer
	}
	data, err := json.Marshal(d)
	if err == nil {
		err = c.m.write(portainerFile(b.data), data, 0o600)
	}
	if err != nil {
		return portainerSays(500, "Unable to persist", err.Error())
	}
	return answer
}

// portainerSays is what Portainer's httperror writes.
func portainerSays(status int, message, details string) reply {
	return reply{status, fmt.Sprintf(`{"message":%q,"details":%q}`, message, details)}
}

// portainerLogin is the body of a request about a user.
type portainerLogin struct{ Username, Password string }

func (b portainerBox) initAdmin(r request, d *portainerData) reply {
	var in portainerLogin
	switch err := json.Unmarshal(r.body, &in); {
	case b.token() != "" && !slices.Contains(r.header, "X-Setup-Token: "+b.token()):
		return portainerSays(403, "Invalid or missing setup token. Provide the X-Setup-Token header with the token printed in the server logs at startup.", "invalid or missing setup token")
	case err != nil || in.Username == "" || strings.Contains(in.Username, " "):
		return portainerSays(400, "Invalid request payload", "Invalid username. Must not contain any whitespace")
	case len(in.Password) < 12:
		return portainerSays(400, "Password does not meet the requirements", "Password does not meet the requirements")
	case d.User != "":
		return portainerSays(409, "Unable to create administrator user", "an administrator user already exists")
	}
	d.User, d.Password = in.Username, in.Password
	return reply{200, fmt.Sprintf(`{"Id":1,"Username":%q,"Role":1}`, in.Username)}
}

// jwt is the token of whoever has logged in as the administrator.
func (d portainerData) jwt() string {
	sum := sha256.Sum256([]byte(d.User + "\x00" + d.Password))
	return "eyJhbGciOiJIUzI1NiJ9." + hex.EncodeToString(sum[:])
}

func (d portainerData) login(r request) reply {
	var in portainerLogin
	if json.Unmarshal(r.body, &in) != nil || d.User == "" || in.Username != d.User || in.Password != d.Password {
		return portainerSays(422, "Invalid credentials", "Unauthorized")
	}
	return reply{200, fmt.Sprintf(`{"jwt":%q}`, d.jwt())}
}

// register makes an environment. An agent is asked first; those in .invalid never answer.
func (d *portainerData) register(r request) reply {
	form, err := url.ParseQuery(string(r.body))
	kind, number := form.Get("EndpointCreationType"), 0
	if err == nil {
		number, err = strconv.Atoi(kind)
	}
	address := form.Get("URL")
	switch {
	case err != nil || form.Get("Name") == "" || number < 1 || number > 2:
		return portainerSays(400, "Invalid request payload", "invalid environment type value")
	case slices.ContainsFunc(d.Endpoints, func(e portainerEndpoint) bool { return e.Name == form.Get("Name") }):
		return portainerSays(409, "Name is not unique", "name already exists")
	case number == 2 && (form.Get("TLS") != "true" || form.Get("TLSSkipVerify") != "true" || form.Get("TLSSkipClientVerify") != "true"):
		return portainerSays(400, "Invalid request payload", "Invalid CA certificate file. Ensure that the file is uploaded correctly")
	case strings.Contains(address, ".invalid"):
		return portainerSays(500, "Unable to get environment type", "Get \"https://"+strings.TrimPrefix(address, "tcp://")+"/ping\": no such host")
	case number == 2:
		address = "tcp://" + strings.TrimPrefix(address, "tcp://")
	}
	e := portainerEndpoint{ID: 1, Name: form.Get("Name"), URL: address, Type: number}
	for _, other := range d.Endpoints {
		e.ID = max(e.ID, other.ID+1)
	}
	d.Endpoints = append(d.Endpoints, e)
	return reply{200, fmt.Sprintf(`{"Id":%d,"Name":%q}`, e.ID, e.Name)}
}

func (d *portainerData) move(r request, id string) reply {
	i := slices.IndexFunc(d.Endpoints, func(e portainerEndpoint) bool { return strconv.Itoa(e.ID) == id })
	var in struct{ URL string }
	if i < 0 || json.Unmarshal(r.body, &in) != nil {
		return portainerSays(404, "Unable to find an environment with the specified identifier inside the database", "object not found inside the database")
	}
	d.Endpoints[i].URL = in.URL
	return reply{200, "{}"}
}
