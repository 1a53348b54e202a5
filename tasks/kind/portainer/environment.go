package portainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// localDocker is the address of the Docker that the server itself runs in.
const localDocker = "unix://" + dockerSocket

// environment is one that the server knows; Portainer's API calls them endpoints.
type environment struct {
	ID        int `json:"Id"`
	Name, URL string
	Type      int
}

// The types of environments: EndpointType of api/portainer.go.
const (
	typeDocker     = 1
	typeAgent      = 2
	typeKubernetes = 6 // an agent on Kubernetes
)

// canonical is an address in the form that Portainer keeps, but for the scheme, which it
// drops for some agents.
func canonical(address string) string {
	if strings.HasPrefix(address, "unix://") {
		return address
	}
	address = strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(address, "tcp://"), "https://"))
	if strings.LastIndexByte(address, ':') <= strings.LastIndexByte(address, ']') { // [::1] has no port
		address += ":" + strconv.Itoa(defaultAgentPort)
	}
	return address
}

// environments lists what the server knows.
func (s *Spec) environments(ctx context.Context, h tasks.Host, token string) ([]environment, error) {
	a, err := s.call(ctx, h, request{method: "GET", path: "/api/endpoints?excludeSnapshots=true", headers: bearer(token)})
	if err != nil {
		return nil, err
	}
	if a.status != 200 {
		return nil, a.fault("list environments")
	}
	var all []environment
	if err := json.Unmarshal(a.body, &all); err != nil {
		return nil, &tasks.UnknownError{Why: fmt.Sprintf("list environments: the answer of %d bytes is no list", len(a.body))}
	}
	return all, nil
}

func bearer(token string) []string { return []string{"Authorization: Bearer " + token} }

// named finds an environment.
func named(all []environment, name string) (environment, bool) {
	i := slices.IndexFunc(all, func(e environment) bool { return e.Name == name })
	if i < 0 {
		return environment{}, false
	}
	return all[i], true
}

// environmentDiff compares those that are wanted; all is nil where there is no server yet.
func (s *Spec) environmentDiff(all []environment) tasks.Diff {
	var d tasks.Diff
	for _, name := range tasks.Keys(s.Environments) {
		at, want := "environments."+name, canonical(s.Environments[name])
		e, there := named(all, name)
		if !there {
			d.Add(at, "", want, tasks.EffectLive)
			continue
		}
		d.Add(at, canonical(e.URL), want, tasks.EffectLive)
		if other := s.otherwise(e); other != nil && d.Has(at) {
			d[len(d)-1].Note = other.Note()
		}
	}
	return d
}

// otherwise refuses to make an environment of one kind into one of another.
func (s *Spec) otherwise(e environment) *tasks.RefusedError {
	kinds := []int{typeAgent, typeKubernetes}
	if s.Environments[e.Name] == localDocker {
		kinds = []int{typeDocker}
	}
	if slices.Contains(kinds, e.Type) {
		return nil
	}
	return &tasks.RefusedError{What: "changing the environment " + e.Name + " into one of another type", Instead: "rename or remove it in Portainer"}
}

// register makes the environments that differ. The server talks to an agent before it
// takes it; one that cannot be reached does not hold the others up.
func (s *Spec) register(ctx context.Context, h tasks.Host, token string) error {
	all, err := s.environments(ctx, h, token)
	if err != nil {
		return err
	}
	var failed, refused error
	for _, c := range s.environmentDiff(all) {
		name := strings.TrimPrefix(c.Path, "environments.")
		e, there := named(all, name)
		switch other := s.otherwise(e); {
		case there && other != nil:
			refused = other
		case there:
			err = s.move(ctx, h, token, e, c.To)
		default:
			err = s.create(ctx, h, token, name, c.To)
		}
		failed, err = errors.Join(failed, err), nil
	}
	if failed != nil {
		return failed
	}
	return refused
}

// create registers an environment: POST /endpoints, whose fields come as a form.
func (s *Spec) create(ctx context.Context, h tasks.Host, token, name, address string) error {
	form := map[string]string{"Name": name, "EndpointCreationType": strconv.Itoa(typeDocker), "URL": address}
	if address != localDocker {
		// An agent has a certificate of its own making, and knows its server by a signature.
		form = map[string]string{
			"Name": name, "EndpointCreationType": strconv.Itoa(typeAgent), "URL": "tcp://" + address,
			"TLS": "true", "TLSSkipVerify": "true", "TLSSkipClientVerify": "true",
		}
	}
	a, err := s.call(ctx, h, request{method: "POST", path: "/api/endpoints", headers: bearer(token), form: form, changes: true})
	if err == nil && a.status/100 != 2 {
		err = a.fault("register environment " + name + " at " + address)
	}
	return err
}

// move gives an environment another address: PUT /endpoints/ID.
func (s *Spec) move(ctx context.Context, h tasks.Host, token string, e environment, address string) error {
	body := map[string]any{"URL": "tcp://" + address}
	if address == localDocker {
		body["URL"] = address
	}
	a, err := s.call(ctx, h, request{method: "PUT", path: "/api/endpoints/" + strconv.Itoa(e.ID), headers: bearer(token), body: body, changes: true})
	if err == nil && a.status/100 != 2 {
		err = a.fault("change the address of environment " + e.Name)
	}
	return err
}
