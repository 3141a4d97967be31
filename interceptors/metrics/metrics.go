package metrics

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// Metrics is the interceptor, and holds what it has counted. Make it with [New].
// All of it is safe for concurrent use.
type Metrics struct {
	config  Config
	err     error
	now     func() time.Time
	elapsed func() time.Duration // since some moment; half as dear as now

	sides [2]side // by hauberk.Side
}

// side is what is counted on one side.
type side struct {
	methods  table
	refusals [Remote + 1]refusals // by Origin
}

// New returns an interceptor for both sides. What is wrong with its configuration
// is reported by hauberk.New.
func New(config Config, options ...Option) *Metrics {
	epoch := time.Now()
	m := &Metrics{now: time.Now, elapsed: func() time.Duration { return time.Since(epoch) }}
	m.config, m.err = config.withDefaults()
	for _, o := range options {
		o.apply(m)
	}
	for s := range m.sides {
		m.sides[s].init(hauberk.Side(s), m)
	}
	return m
}

func (s *side) init(which hauberk.Side, m *Metrics) {
	s.methods.init(which, m)
	for i := range s.refusals {
		s.refusals[i].limit = m.config.MaxReasons
	}
}

// Declare says where the interceptor stands, and what is wrong with its
// configuration.
func (m *Metrics) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: "metrics", Phase: hauberk.PhaseMetrics, Err: m.err}
	if m.elapsed == nil {
		d.Err = errors.New("a zero Metrics cannot count; make one with metrics.New")
	}
	return d
}

// Register makes the methods of a server's services known, so that all their
// series exist at zero before the first call. Give it what the server says of
// itself once its services are registered:
//
//	calls.Register(srv.GetServiceInfo())
//
// A method that the server itself does not know, as none is to a proxy, counts
// under its own name once it was registered here. Registered methods are not
// limited in number.
func (m *Metrics) Register(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, method := range info.Methods {
			kind := hauberk.KindOf(method.IsClientStream, method.IsServerStream)
			m.sides[hauberk.ServerSide].methods.register(kind, service, method.Name)
		}
	}
}

// Buckets returns the upper bounds of the buckets in [Series.Buckets], which has
// one more for what lies above. The slice is the caller's.
func (m *Metrics) Buckets() []time.Duration { return append([]time.Duration(nil), m.config.Buckets...) }

// errUnwound stands for the outcome of a call whose goroutine is unwinding, by a
// panic or by runtime.Goexit.
var errUnwound = status.Error(codes.Internal, "the call's goroutine was ended")

// Intercept counts the call.
func (m *Metrics) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) (err error) {
	o := m.begin(call)
	err = errUnwound
	defer func() { m.end(&o, call, err) }()
	err = next(ctx, call)
	return err
}

// observation is a call that is being counted.
type observation struct {
	method  *counters
	stream  *stream // nil for a unary call
	start   time.Duration
	decided int // how many decisions there were: of links further out, or earlier attempts
}

func (m *Metrics) begin(call *hauberk.Call) observation {
	if m.config.ExactMessages {
		call.CountMessages()
	}
	o := observation{
		method:  m.sides[call.Side()].methods.of(call.Method()),
		decided: len(call.Decisions()),
		start:   m.elapsed(),
	}
	o.method.started.Add(1)
	if call.Kind() != hauberk.Unary {
		o.stream = o.method.open(call)
	}
	return o
}

func (m *Metrics) end(o *observation, call *hauberk.Call, err error) {
	took := m.elapsed() - o.start
	r := resultOf(call, err)
	sent, received := r.messages(call, m.config.ExactMessages)
	if o.stream != nil {
		o.method.close(o.stream, sent, received)
		o.method.handled[r.code].Add(1)
	} else {
		o.method.endUnary(r.code, sent, received)
	}
	o.method.observe(m.config.Buckets, took)
	m.sides[call.Side()].count(&r, call.Decisions()[o.decided:])
}
