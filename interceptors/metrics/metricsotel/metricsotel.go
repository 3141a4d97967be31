package metricsotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Interceptor records calls on a server, and calls and attempts on a client. It records each call
// of a client as one attempt: see [Interceptor.Calls] and [Interceptor.Attempts] for chains that
// retry. Make it with [New]. All methods are safe for concurrent use, by any number of chains.
type Interceptor struct {
	err     error
	elapsed func() time.Duration // since an arbitrary time

	attempt [2]attemptInstruments // by hauberk.Side
	call    callInstruments
	tables  [2]table

	attempts hauberk.Key[*attempts]
}

// New returns an interceptor for both sides. hauberk.New reports errors in its configuration.
func New(config Config, opts ...Option) *Interceptor {
	var s settings
	nils := options.Apply(opts, func(o Option) { o.apply(&s) })
	if s.provider == nil {
		s.provider = otel.GetMeterProvider()
	}
	on, namesErr := config.enabled()
	limit, limitErr := config.maxSeries()
	maker := newMaker(s.provider, on)
	m := &Interceptor{
		elapsed: clock.Elapsed(s.now), call: maker.call(),
		attempts: hauberk.NewKey[*attempts]("attempts of metricsotel.Interceptor.Calls"),
	}
	m.attempt[hauberk.ServerSide], m.attempt[hauberk.ClientSide] = maker.server(), maker.client()
	for side := range m.tables {
		m.tables[side].init(hauberk.Side(side), limit, &s)
	}
	m.err = errors.Join(append(s.errs, nils, namesErr, limitErr, maker.err())...)
	return m
}

// Declare returns the interceptor's name, its phase and the errors in its configuration.
func (m *Interceptor) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "metricsotel", Phase: hauberk.PhaseMetrics, Err: m.configErr()}
}

func (m *Interceptor) configErr() error {
	if m.elapsed == nil {
		return errors.New("a zero Interceptor; make it with metricsotel.New")
	}
	return m.err
}

// Intercept records the call.
func (m *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return m.record(ctx, call, next, callsAndAttempts)
}

func (m *Interceptor) record(ctx context.Context, call *hauberk.Call, next hauberk.Next, what role) error {
	what = what.on(call.Side())
	if what == 0 {
		return next(ctx, call)
	}
	o := m.begin(ctx, call, what)
	return hauberk.Observe(ctx, call, next, func(err error) { m.end(ctx, call, &o, err) })
}

// observation is a running call or attempt.
type observation struct {
	role     role
	series   *series
	start    time.Duration
	attempts *attempts // nil if they are not recorded
}

func (m *Interceptor) begin(ctx context.Context, call *hauberk.Call, what role) observation {
	o := observation{role: what, series: m.tables[call.Side()].of(call), start: m.elapsed()}
	if what == ofCalls && m.call.countsAttempts {
		o.attempts = new(attempts)
		m.attempts.Set(call, o.attempts)
	}
	if what == ofAttempts && m.call.countsAttempts {
		o.attempts, _ = m.attempts.Get(call)
		o.attempts.begin(o.start)
	}
	if what&ofAttempts != 0 {
		m.attempt[call.Side()].started.Add(ctx, 1, o.series.add...)
	}
	return o
}

func (m *Interceptor) end(ctx context.Context, call *hauberk.Call, o *observation, err error) {
	now := m.elapsed()
	took := max(now-o.start, 0).Seconds()
	outcome := o.series.ended(hauberk.CodeOf(err))
	if o.role&ofAttempts != 0 {
		i := &m.attempt[call.Side()]
		i.duration.Record(ctx, took, outcome...)
		i.recordSizes(ctx, call, outcome)
	}
	if o.role == ofAttempts {
		o.attempts.end(now)
	}
	if o.role&ofCalls != 0 {
		m.call.duration.Record(ctx, took, outcome...)
		o.attempts.record(ctx, &m.call, o.series)
	}
}
