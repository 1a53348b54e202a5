package deploy

import (
	"context"

	"phoenix/agentlet/dist"
	"phoenix/agentlet/wire"
	"phoenix/transport"
)

// PutGPUProbe puts the GPU probe (cmd/agentlet-nvml) beside the helper, in the way that
// the helper got there: under a temporary name, unpacked, hashed and synced, and then
// under the SHA-256 of its bytes. It is for hosts whose helper said that it needs the
// probe; what is there under that name already, spoiled as it may be, is replaced. The
// error is an *Error or ErrStopped, and leaves the host as it was but for what was
// uploaded of it.
func PutGPUProbe(ctx context.Context, conn transport.Conn, t transport.Target, o Options) error {
	r := &remote{conn: conn, target: t, opts: o, nonce: o.nonce()}
	if err := wire.CheckNonce(r.nonce); err != nil {
		return err
	}
	packed := o.GPUProbe
	if packed == nil {
		packed = dist.Probe
	}
	return r.installUnlessStopped(ctx, program{"the GPU probe", "agentlet-nvml-", packed})
}
