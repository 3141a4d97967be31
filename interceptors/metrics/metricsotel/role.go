package metricsotel

import (
	"context"

	"github.com/hauberk-rpc/hauberk"
)

// role is what an interceptor records. Calls on a server are recorded as attempts are on a
// client.
type role uint8

const (
	ofCalls role = 1 << iota
	ofAttempts

	callsAndAttempts = ofCalls | ofAttempts
)

// on returns what the interceptor records on a side.
func (r role) on(side hauberk.Side) role {
	if side == hauberk.ClientSide {
		return r
	}
	if r&ofCalls != 0 {
		return ofAttempts // a call on a server is one attempt
	}
	return 0
}

// Calls returns an interceptor that on a client records calls alone, and on a server what
// m does: grpc.client.call.duration, and what is enabled of gRFC A96. It stands
// outside retries; [Interceptor.Attempts] stands inside.
func (m *Interceptor) Calls() hauberk.Interceptor { return &part{m, ofCalls} }

// Attempts returns an interceptor that on a client records attempts alone, and on a server
// nothing. It stands inside retries, best innermost, where a call that is rejected
// or answered in this process is no attempt. [Interceptor.Calls] stands outside, in the
// same chain: hauberk.New rejects a chain without, in which calls would be recorded
// by no one or attempts twice.
func (m *Interceptor) Attempts() hauberk.Interceptor { return &part{m, ofAttempts} }

// part is an interceptor that records a part of what a Metrics does.
type part struct {
	metrics *Interceptor
	role    role
}

// Intercept records the call, or the attempt.
func (p *part) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return p.metrics.record(ctx, call, next, p.role)
}

// Declare says where the interceptor stands, and what is wrong with its configuration.
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
