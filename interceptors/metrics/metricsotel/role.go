package metricsotel

import (
	"context"

	"github.com/hauberk-rpc/hauberk"
)

// role defines what an interceptor records. Calls on a server are recorded like attempts on a
// client.
type role uint8

const (
	ofCalls role = 1 << iota
	ofAttempts

	callsAndAttempts = ofCalls | ofAttempts
)

// on returns the role on a side.
func (r role) on(side hauberk.Side) role {
	if side == hauberk.ClientSide {
		return r
	}
	if r&ofCalls != 0 {
		return ofAttempts // a call on a server is one attempt
	}
	return 0
}

// Calls returns an interceptor that records calls. Place it outside retries, and
// [Interceptor.Attempts] inside. On a client it records grpc.client.call.duration and the enabled
// instruments of gRFC A96. On a server it records the same as m.
func (m *Interceptor) Calls() hauberk.Interceptor { return &part{m, ofCalls} }

// Attempts returns an interceptor that records attempts on a client, and nothing on a server. Place
// it inside retries, preferably innermost: then calls that are rejected or answered in this
// process are not attempts. The chain must have [Interceptor.Calls] outside it. Otherwise calls
// would not be recorded or attempts would be recorded twice, and hauberk.New rejects the chain.
func (m *Interceptor) Attempts() hauberk.Interceptor { return &part{m, ofAttempts} }

// part is an interceptor with one of the roles of an Interceptor.
type part struct {
	metrics *Interceptor
	role    role
}

// Intercept records the call or the attempt.
func (p *part) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return p.metrics.record(ctx, call, next, p.role)
}

// Declare returns the interceptor's name, its phase, its state and the errors in its
// configuration.
func (p *part) Declare() hauberk.Declaration {
	d := p.metrics.Declare()
	if d.Err != nil {
		return d
	}
	if p.role == ofCalls {
		d.Name, d.Writes = "metricsotel calls", []hauberk.StateKey{p.metrics.attempts}
	} else {
		d.Name, d.Reads = "metricsotel attempts", []hauberk.StateKey{p.metrics.attempts}
	}
	return d
}
