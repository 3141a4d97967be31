package frametransport

import (
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// patience limits how long a client may take for a message that has begun, as receiver does. Time in
// which the upstream takes no data does not count.
type patience struct {
	since  time.Time     // the begin of the wait for more of the message; zero if nothing is awaited
	waited time.Duration // for the message, before since
	done   int           // the number of messages before it
	timer  *time.Timer
	armed  bool // the timer has been started and has not fired
}

// await begins or ends the wait for the rest of a message. It is called when requests were moved, or cannot be.
func (r *relay) await() {
	p, f := r.patience, &r.requests
	waits := r.state == forwarding && f.taken > 0 && !f.blocked && r.server.config.MessageTime > 0
	switch {
	case p == nil && !waits:
		return
	case p == nil:
		p = &patience{}
		r.patience = p
	}
	now := time.Now()
	if !p.since.IsZero() {
		p.waited += now.Sub(p.since)
		p.since = time.Time{}
	}
	if p.done != f.done {
		p.done, p.waited = f.done, 0
	}
	if waits {
		p.since = now
		r.startPatience()
	}
}

// startPatience starts the timer, unless it runs.
func (r *relay) startPatience() {
	p := r.patience
	switch {
	case p.armed:
	case p.timer == nil:
		p.timer = time.AfterFunc(r.patienceLeft(), func() { r.run(nil, (*relay).checkPatience) })
	default:
		p.timer.Reset(r.patienceLeft())
	}
	p.armed = true
}

// patienceLeft returns how long the client may still take for the bytes of the message that have not arrived.
func (r *relay) patienceLeft() time.Duration {
	most := r.server.config.MessageTime + time.Duration(r.requests.taken)*time.Second/leastRate
	return most - r.patience.waited
}

// checkPatience is called when the timer fires. The wait may have begun after the timer was started.
func (r *relay) checkPatience() {
	p := r.patience
	if p.armed = false; p.since.IsZero() {
		return
	}
	if time.Since(p.since) < r.patienceLeft() {
		r.await()
		return
	}
	err := &limits.Error{
		Limit: limits.MessageTime, Code: codes.DeadlineExceeded,
		Message: slowMessage,
	}
	r.response.met(err)
	r.fail(err)
}
