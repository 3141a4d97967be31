package metricsotel_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/stats/opentelemetry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// comparison contains one or more calls that both this package and grpc-go's stats/opentelemetry
// record, on the same server and the same connection. grpc-go's runs outside the chain.
type comparison struct {
	name    string
	kinds   []hauberk.Kind // nil for all
	options []metricsotel.Option
	theirs  opentelemetry.MetricsOptions

	backend func() *hauberktest.Backend // nil for an echo
	// inside contains interceptors inside the metrics. around, if it is not nil, returns the
	// client's whole chain.
	inside inside
	around func(m *metricsotel.Interceptor) []hauberk.Interceptor
	serve  []grpc.ServerOption
	dial   []grpc.DialOption

	call        func(c *caller) // nil for c.do
	differences []difference
}

// inside contains interceptors inside the metrics.
type inside struct{ server, client []hauberk.Interceptor }

// difference is an intended difference with its cause.
type difference struct {
	cause string
	kinds []hauberk.Kind // nil for all
	// lines contains the data points that differ, in the format of compare, with METHOD in
	// place of the kind's method.
	lines []string
}

// caller makes the calls of a comparison.
type caller struct {
	*hauberktest.Env

	t       *testing.T
	kind    hauberk.Kind
	running *sync.WaitGroup // calls and attempts in flight
}

// do makes a call like generated code.
func (c *caller) do(ctx context.Context, texts ...string) hauberktest.Outcome {
	return c.with(ctx, hauberktest.FullMethod(c.kind), texts, grpc.StaticMethod())
}

// quiet is do without streamed messages of a client. It is not deterministic whether messages that a
// client sends while the server ends the call count.
func (c *caller) quiet() {
	if c.kind.ClientStreams() {
		c.with(c.t.Context(), hauberktest.FullMethod(c.kind), []string{}, grpc.StaticMethod())
	} else {
		c.do(c.t.Context())
	}
}

// with makes a call. If texts is nil, it sends one request.
func (c *caller) with(ctx context.Context, method string, texts []string, opts ...grpc.CallOption) hauberktest.Outcome {
	requests := make([]*testpb.Request, 0, len(texts))
	for _, text := range texts {
		requests = append(requests, &testpb.Request{Text: text})
	}
	if texts == nil {
		requests = append(requests, request)
	}
	c.running.Add(1)
	opts = append(slices.Clip(opts), grpc.OnFinish(func(error) { c.running.Done() }))
	return c.Do(ctx, method, requests, opts...)
}

var request = &testpb.Request{Text: "hello"}

// ends waits for the end of calls, and of the attempts that grpc-go reports.
type ends struct{ running *sync.WaitGroup }

func (e ends) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	e.running.Add(1)
	defer e.running.Done()
	return next(ctx, call)
}

func (ends) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (ends) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (ends) HandleConn(context.Context, stats.ConnStats)                       {}

func (e ends) HandleRPC(_ context.Context, event stats.RPCStats) {
	switch event.(type) {
	case *stats.Begin:
		e.running.Add(1)
	case *stats.End:
		e.running.Done()
	}
}

// run makes the calls and returns the data points of both.
func (c *comparison) run(t *testing.T, kind hauberk.Kind) (ours, theirs map[string]instrument) {
	t.Helper()
	mine, other, running := newRecorder(t), newRecorder(t), new(sync.WaitGroup)
	m := metricsotel.New(metricsotel.Config{}, append(c.options, metricsotel.WithMeterProvider(mine))...)
	server := append([]hauberk.Interceptor{m}, c.inside.server...)
	client := append([]hauberk.Interceptor{m}, c.inside.client...)
	if c.around != nil {
		client = c.around(m)
	}
	client = append([]hauberk.Interceptor{ends{running}}, client...)

	c.theirs.MeterProvider = other
	options := opentelemetry.Options{MetricsOptions: c.theirs}
	setup := hauberktest.Setup{
		Kind: kind, Server: countingOf(t, server...),
		ServerOptions: append([]grpc.ServerOption{opentelemetry.ServerOption(options)}, c.serve...),
		DialOptions: append(append([]grpc.DialOption{opentelemetry.DialOption(options)},
			countingOf(t, client...).DialOptions(grpc.WithStatsHandler(ends{running}))...), c.dial...),
	}
	if c.backend != nil {
		setup.Backend = c.backend()
	}
	env := hauberktest.Start(t, setup)
	env.Conn = env.Client // without another chain
	call := c.call
	if call == nil {
		call = func(c *caller) { c.do(c.t.Context()) }
	}
	call(&caller{env, t, kind, running})
	running.Wait()
	_ = env.Client.Close()
	env.Server.GracefulStop()
	return mine.collect(t), other.collect(t)
}

// kindsOr returns kinds, or all kinds if it is empty.
func kindsOr(kinds []hauberk.Kind) []hauberk.Kind {
	if len(kinds) > 0 {
		return kinds
	}
	return []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}
}

// listed returns the intended differences for a kind.
func (c *comparison) listed(t *testing.T, kind hauberk.Kind) []string {
	t.Helper()
	all := []string{}
	for _, d := range c.differences {
		if d.cause == "" {
			t.Error("a difference is listed without its cause")
		}
		if slices.Contains(kindsOr(d.kinds), kind) {
			for _, line := range d.lines {
				all = append(all, strings.ReplaceAll(line, "METHOD", shortMethod(kind)))
			}
		}
	}
	slices.Sort(all)
	return all
}

func shortMethod(kind hauberk.Kind) string {
	method := hauberktest.FullMethod(kind)
	return method[strings.LastIndexByte(method, '/')+1:]
}

// compare returns the data points that differ, such as
// "client.attempt.sent status=OK method=Unary: 1 sum 7 in [1], grpc-go's none".
func compare(ours, theirs map[string]instrument) []string {
	all := []string{}
	for _, name := range union(ours, theirs) {
		a, b := ours[name].points, theirs[name].points
		for _, attributes := range union(a, b) {
			if a[attributes] == b[attributes] {
				continue
			}
			short := strings.NewReplacer("grpc.", "", "_total_compressed_message_size", "").Replace(name)
			all = append(all, fmt.Sprintf("%s %s: %s, grpc-go's %s",
				short, attributes, orNone(a[attributes]), orNone(b[attributes])))
		}
	}
	slices.Sort(all)
	return all
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func union[T any](a, b map[string]T) (keys []string) {
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// This package and grpc-go's stats/opentelemetry record the same for the same calls, except the
// listed differences. All listed differences occur.
func TestAgainstGRPC(t *testing.T) {
	for _, c := range append(same(), different()...) {
		for _, kind := range kindsOr(c.kinds) {
			t.Run(c.name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				listed := c.listed(t, kind)
				ours, theirs := c.run(t, kind)
				// grpc-go's data points vary if the server ends a call before its request
				// was sent. Our differences occur in each try.
				for tries := 3; tries > 1 && !slices.Equal(listed, compare(ours, theirs)); tries-- {
					ours, theirs = c.run(t, kind)
				}
				if len(ours)+len(theirs) == 0 {
					t.Fatal("nothing was recorded")
				}
				checkInstruments(t, ours, theirs)
				if diff := cmp.Diff(listed, compare(ours, theirs)); diff != "" {
					t.Errorf("the differences are not those listed (-listed +found):\n%s", diff)
				}
			})
		}
	}
}

// The default instruments are those of grpc-go for calls.
func TestSameInstruments(t *testing.T) {
	hauberktest.CheckLeaks(t)
	ours, theirs := (&comparison{}).run(t, hauberk.Unary)
	a, b := slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs))
	if !slices.Equal(a, b) || len(a) != 9 {
		t.Errorf("instruments %v, grpc-go's %v", a, b)
	}
}

// checkInstruments checks that instruments with the same name are equal.
func checkInstruments(t *testing.T, ours, theirs map[string]instrument) {
	t.Helper()
	for name, a := range ours {
		b, ok := theirs[name]
		if !ok {
			continue
		}
		if a.unit != b.unit || a.description != b.description || a.kind != b.kind || !slices.Equal(a.bounds, b.bounds) {
			t.Errorf("%s is %+v; grpc-go's is %+v", name, a, b)
		}
		if a.scope != metricsotel.ScopeName || b.scope != "grpc-go" {
			t.Errorf("%s has the scopes %q and %q", name, a.scope, b.scope)
		}
	}
}
