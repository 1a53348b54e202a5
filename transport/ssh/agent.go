package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// prompter asks the operator a question; see Dialer.Prompt.
type prompter func(ctx context.Context, question string) (string, error)

// errNobody is the answer where there is no terminal.
var errNobody = errors.New("there is no terminal to ask on")

// ask puts a question to the operator, one at a time, while the clock of b stands
// still.
func (k *keyring) ask(b *budget, question string) (string, error) {
	if k.prompt == nil {
		return "", errNobody
	}
	release, err := k.asking.take(b)
	if err != nil {
		return "", err
	}
	defer release()
	defer b.pause()()
	return k.prompt(b.ctx, question)
}

// password returns the password for an account, asking for it once.
func (k *keyring) password(b *budget, account string) (string, error) {
	k.mu.Lock()
	answer, ok := k.passwords[account]
	k.mu.Unlock()
	if ok {
		return answer, nil
	}
	answer, err := k.ask(b, "Password for "+account+": ")
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.passwords == nil {
		k.passwords = make(map[string]string)
	}
	k.passwords[account] = answer
	return answer, nil
}

// forget drops a password that was refused, so that the next dial asks again.
func (k *keyring) forget(account string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.passwords, account)
}

// agentKey is a key that an agent holds.
type agentKey struct {
	signer  xssh.Signer
	comment string
}

// agentKeys are the keys of one agent, listed once. All hosts share its connection.
type agentKeys struct {
	once sync.Once
	keys []agentKey
	err  error
}

// agentKeys lists the keys of the agent behind a socket; no socket has none.
func (k *keyring) agentKeys(ctx context.Context, socket string) ([]agentKey, error) {
	if socket == "" {
		return nil, nil
	}
	k.mu.Lock()
	a, ok := k.agents[socket]
	if !ok {
		a = &agentKeys{}
		if k.agents == nil {
			k.agents = make(map[string]*agentKeys)
		}
		k.agents[socket] = a
	}
	k.mu.Unlock()
	a.once.Do(func() { a.keys, a.err = listAgent(ctx, socket) })
	return a.keys, a.err
}

// listAgent connects to an agent; the connection stays open for the signatures.
func listAgent(ctx context.Context, socket string) ([]agentKey, error) {
	conn, err := (&net.Dialer{}).DialContext(context.WithoutCancel(ctx), "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to the ssh agent: %w", err)
	}
	client := agent.NewClient(conn)
	listed, err := client.List()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("list the ssh agent's keys: %w", err), conn.Close())
	}
	signers, err := client.Signers()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("list the ssh agent's keys: %w", err), conn.Close())
	}
	comments := make(map[string]string, len(listed))
	for _, l := range listed {
		comments[string(l.Blob)] = l.Comment
	}
	keys := make([]agentKey, len(signers))
	for i, s := range signers {
		keys[i] = agentKey{signer: s, comment: clean(comments[string(s.PublicKey().Marshal())])}
	}
	return keys, nil
}
