package frametransport

import (
	"context"
	"time"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
)

// names is the state of name resolution. A name is resolved before the first call, and again
// after a connection was lost or could not be made, but not within minResolve of the last
// resolution. A failed one leaves the addresses as they are.
type names struct {
	resolved bool      // there are addresses
	stale    bool      // they may have changed
	running  bool      // a resolution
	next     time.Time // no resolution before
	err      error     // of the last resolution
}

// minResolve is the time between two resolutions, as in grpc-go.
const minResolve = 30 * time.Second

// refresh begins a resolution if one is due. The caller holds the lock.
func (u *Upstream) refresh(now time.Time) {
	n := &u.names
	if n.running || n.resolved && !n.stale || u.target.Addresses != nil || now.Before(n.next) {
		return
	}
	n.running, n.err, n.next = true, nil, time.Time{}
	u.work.Go(u.resolve)
}

// resolve makes one resolution.
func (u *Upstream) resolve() {
	ctx, cancel := context.WithTimeout(u.ctx, u.config.Connections.ConnectTimeout)
	defer cancel()
	addresses, err := u.target.Resolve(ctx, u.config.Lookup)
	u.mu.Lock()
	n := &u.names
	n.running, n.err = false, err
	n.next = time.Now().Add(minResolve)
	var removed []*h2.Conn
	if err == nil {
		n.resolved, n.stale = true, false
		removed = u.set.Update(addresses)
	} else if !n.resolved {
		n.next = time.Now().Add(u.config.Connections.MaxBackoff)
	}
	u.notify()
	u.mu.Unlock()
	for _, conn := range removed {
		conn.Drain()
	}
}
