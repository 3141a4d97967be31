package frametransport

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/http2"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
)

// report counts an answer or a transport error of an endpoint.
func (u *Upstream) report(at *endpoint, failed bool) {
	if u.config.Connections.EjectAfter == 0 || at == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.set.Outcome(at, failed, time.Now())
}

// transportError reports whether a call without an answer failed by a fault of the upstream's
// transport: its connection was lost, or it reset the stream, or it broke the protocol. The end
// of the call by its client is none, and neither are CANCEL, ENHANCE_YOUR_CALM and a call that
// was not processed.
func transportError(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, h2.ErrUnprocessed) {
		return false
	}
	if reset, ok := errors.AsType[h2.ResetError](err); ok {
		return reset.Code != http2.ErrCodeCancel && reset.Code != http2.ErrCodeEnhanceYourCalm
	}
	return errors.Is(err, h2.ErrLost)
}
