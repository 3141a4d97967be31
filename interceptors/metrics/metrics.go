package metrics

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Interceptor counts calls and stores the numbers. Make it with [New]. All methods are safe for
// concurrent use.
type Interceptor struct {
	config  Config
	err     error
	now     func() time.Time
	elapsed func() time.Duration // since an arbitrary time; half the cost of now

	labelNames  []string
	labelValues []labelFunc
	exemplar    func(ctx context.Context, call *hauberk.Call) map[string]string // nil if disabled

	sides [2]side // by hauberk.Side
}

// labelFunc returns the value of a label.
type labelFunc = func(ctx context.Context, call *hauberk.Call) string

// side contains the numbers of one side.
type side struct {
	methods    table
	rejections [Remote + 1]tally[cause] // by Origin
	decisions  tally[verdict]
}

// New returns an interceptor for both sides. hauberk.New reports errors in its configuration.
func New(config Config, opts ...Option) *Interceptor {
	m := &Interceptor{now: time.Now, elapsed: clock.Elapsed(nil)}
	m.config, m.err = config.withDefaults()
	nils := options.Apply(opts, func(o Option) { o.apply(m) })
	m.err = errors.Join(m.err, nils)
	for s := range m.sides {
		m.sides[s].init(hauberk.Side(s), m)
	}
	return m
}

func (s *side) init(which hauberk.Side, m *Interceptor) {
	s.methods.init(which, m)
	for i := range s.rejections {
		s.rejections[i].limit = m.config.MaxReasons
	}
	s.decisions.limit = m.config.MaxReasons * verdicts
}

// Declare returns the interceptor's name, its phase and the errors in its configuration.
func (m *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: "metrics", Phase: hauberk.PhaseMetrics, Err: m.err}
	if m.elapsed == nil {
		d.Err = errors.New("a zero Interceptor; make it with metrics.New")
	}
	return d
}

// Register adds the methods of a server's services, so that all their series exist at zero
// before the first call. With [WithLabel] the series do not exist before the first call, since
// the values are not known. Call it when all services are registered:
//
//	calls.Register(srv.GetServiceInfo())
//
// A proxy's server does not know its methods. Methods that Register added count under their own
// names nevertheless. The number of registered methods is not limited.
func (m *Interceptor) Register(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, method := range info.Methods {
			kind := hauberk.KindOf(method.IsClientStream, method.IsServerStream)
			m.sides[hauberk.ServerSide].methods.register(kind, service, method.Name)
		}
	}
}

// Buckets returns the upper bounds of the buckets in [Series.Buckets], which has one more bucket
// for latencies above the last bound. The caller may modify the slice.
func (m *Interceptor) Buckets() []time.Duration {
	return append([]time.Duration(nil), m.config.Buckets...)
}

// Intercept counts the call.
func (m *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	o := m.begin(ctx, call)
	return hauberk.Observe(ctx, call, next, func(err error) { m.end(ctx, &o, call, err) })
}

// observation is a call that is being counted.
type observation struct {
	series   *counters
	stream   *stream // nil for a unary call
	start    time.Duration
	recorded int                // number of earlier decisions: of outer interceptors and earlier attempts
	decided  []hauberk.Decision // earlier decisions, inferred ones included; nil without Config.Decisions
}

func (m *Interceptor) begin(ctx context.Context, call *hauberk.Call) observation {
	if m.config.ExactMessages {
		call.CountMessages()
	}
	o := observation{
		series:   m.seriesOf(ctx, call),
		recorded: len(call.Decisions().Recorded()),
		start:    m.elapsed(),
	}
	if m.config.Decisions {
		o.decided = call.Decisions().All()
	}
	o.series.started.Add(1)
	if call.Kind() != hauberk.Unary {
		o.stream = o.series.open(call)
	}
	return o
}

// seriesOf returns the counters of the call's method and labels.
func (m *Interceptor) seriesOf(ctx context.Context, call *hauberk.Call) *counters {
	methods := &m.sides[call.Side()].methods
	of := methods.of(call.Method())
	if len(m.labelValues) == 0 {
		return &of.counters
	}
	return methods.labelled(ctx, of, call)
}

func (m *Interceptor) end(ctx context.Context, o *observation, call *hauberk.Call, err error) {
	took := max(m.elapsed()-o.start, 0)
	r := resultOf(call, err)
	sent, received := r.messages(call, m.config.ExactMessages)
	if o.stream != nil {
		if call.Side() == hauberk.ClientSide && call.Kind().ServerStreams() {
			received = o.stream.receivedSoFar()
		}
		o.series.close(o.stream, sent, received)
		o.series.handled[r.code].Add(1)
	} else {
		o.series.endUnary(r.code, sent, received)
	}
	bucket := o.series.observe(m.config.Buckets, took)
	s := &m.sides[call.Side()]
	s.count(&r, call.Decisions().Recorded()[o.recorded:])
	if m.config.Decisions {
		s.countDecisions(o.decided, call.Decisions().All())
	}
	if bytes := o.series.bytes; bytes != nil {
		bytes.count(call, r.code, sent, received)
	}
	m.show(ctx, o.series, call, shown{r.code, bucket, took})
}

// shown describes the call of an exemplar.
type shown struct {
	code   codes.Code
	bucket int
	took   time.Duration
}

// show keeps the call's exemplar and calls the recorders. It comes last, because it runs foreign
// code, which may panic.
func (m *Interceptor) show(ctx context.Context, series *counters, call *hauberk.Call, of shown) {
	var labels map[string]string
	if m.exemplar != nil {
		labels = series.exemplars.keep(m.exemplar(ctx, call), of, m.now)
	}
	if recorders := series.recorders.Load(); recorders != nil {
		for _, r := range *recorders {
			r.Record(of.took, labels)
		}
	}
}
