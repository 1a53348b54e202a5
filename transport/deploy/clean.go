package deploy

import (
	"context"
	"encoding/json"
	"fmt"

	"phoenix/agentlet/wire"
	"phoenix/transport"
)

// Clean removes what phoenix keeps for itself on the host: helpers, records of runs,
// downloads, the lock. What it configured stays. It returns the paths that it removed, in the order of removal. A host that a
// run is under way on is left alone; the error is then a *HeldError.
func Clean(ctx context.Context, conn transport.Conn, t transport.Target, o Options) ([]string, error) {
	r := &remote{conn: conn, target: t, opts: o, nonce: o.nonce()}
	const what = "clean up"
	out, err := r.run(ctx, what, CleanUp, nil)
	if err != nil {
		return nil, err
	}
	removed := out.said.all("removed")
	switch out.code {
	case 0:
		if _, ok := out.said.first("clean"); ok {
			return removed, nil
		}
	case 75:
		var h wire.Holder
		text, _ := out.said.first("holder")
		if json.Unmarshal([]byte(text), &h) != nil {
			h = wire.Holder{RunID: "(unknown)", Operator: "(unknown)"}
		}
		return nil, &HeldError{Host: t.Name, Holder: h}
	case 76:
		return nil, r.fail(what, "a change that nobody has confirmed waits to be taken back", "clean up in a few minutes, when it has been", nil)
	case 77:
		return nil, r.fail(what, "it takes root", "set `user: root`, or `become: sudo`, for "+t.Name+" in the inventory", nil)
	}
	return removed, r.fail(what, fmt.Sprintf("exit status %d", out.code)+quoted("", out.stderr), "", nil)
}
