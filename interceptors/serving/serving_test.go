package serving_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/durationpb" // for the file of registerLevels

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// Each state accepts the methods of its rule, for calls of every kind, and others receive its rejection.
func TestStates(t *testing.T) {
	const own, lists = serving.State("no-streams"), serving.State("lists")
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			x := serving.New(serving.Config{States: map[serving.State]serving.Rule{
				own:   {Methods: []string{method(hauberk.Unary)}, Code: codes.Aborted, Reason: "ONLY_UNARY", Message: "Only unary"},
				lists: {Methods: []string{"*"}, Except: []string{method(kind)}},
			}})
			env := hauberktest.Case{Kind: kind}.With(hauberk.Config{ErrorDomain: "shop.example"}).Start(t, x)
			for _, c := range []struct {
				state  serving.State
				code   codes.Code
				reason string
				retry  bool
			}{
				{"", codes.Unavailable, serving.ReasonStarting, true},
				{serving.Serving, codes.OK, "", false},
				{serving.ReadOnly, codes.FailedPrecondition, serving.ReasonReadOnly, false},
				{serving.Maintenance, codes.Unavailable, serving.ReasonMaintenance, true},
				{serving.Draining, codes.Unavailable, serving.ReasonDraining, false},
				{own, codes.Aborted, "ONLY_UNARY", false},
				{lists, codes.Unavailable, "SERVER_LISTS", false},
				{serving.Serving, codes.OK, "", false},
			} {
				if c.state != "" {
					set(t, x, c.state)
				}
				if c.state == own && kind == hauberk.Unary {
					c.code, c.reason = codes.OK, ""
				}
				err := env.Call(patient(t)).Err
				wantStatus(t, err, c.code, c.reason)
				retry := false
				for _, d := range status.Convert(err).Details() {
					switch d := d.(type) {
					case *errdetails.RetryInfo:
						retry = d.GetRetryDelay().AsDuration() > 0
					case *errdetails.ErrorInfo:
						if c.state != "" && d.GetMetadata()["state"] != string(c.state) || d.GetDomain() != "shop.example" {
							t.Errorf("%s: %v", c.state, d)
						}
					}
				}
				if retry != c.retry {
					t.Errorf("%s: RetryInfo %t; want %t", c.state, retry, c.retry)
				}
			}
		})
	}
}

// A read-only state accepts methods whose .proto file says that they change nothing, as Explain shows.
func TestNoSideEffects(t *testing.T) {
	registerLevels(t)
	x := serving.New(serving.Config{Initial: serving.ReadOnly})
	chain := hauberk.Must(hauberk.New(x))
	for name, accepted := range map[string]bool{"Read": true, "Put": false, "Create": false, "Unknown": false} {
		full := "hauberk.servingtest.v1.Levels/" + name
		e, err := chain.Explain(full)
		if err != nil || len(e.Steps[0].Settings) != 2 {
			t.Fatal(err)
		}
		want, code := "read-only (rejected with SERVER_READ_ONLY)", codes.FailedPrecondition
		if accepted {
			want, code = "read-only (accepted)", codes.OK
		}
		if got := e.Steps[0].Settings[0].Value; got != want {
			t.Errorf("%s: the state is %q; want %q", name, got, want)
		}
		_, err = chain.UnaryServerInterceptor()(t.Context(), &testpb.Request{}, &grpc.UnaryServerInfo{FullMethod: "/" + full},
			func(context.Context, any) (any, error) { return &testpb.Response{}, nil })
		if status.Code(err) != code {
			t.Errorf("%s: %v; want %v", name, err, code)
		}
	}
	e, _ := chain.Explain("grpc.health.v1.Health/Check")
	want := "accepted in draining, maintenance, read-only, serving, starting: exempt"
	if got := e.Steps[0].Settings[1].String(); got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

// registerLevels registers a service with a method for each idempotency level.
func registerLevels(t *testing.T) {
	t.Helper()
	method := func(name string, level descriptorpb.MethodOptions_IdempotencyLevel) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: new(name), InputType: new(".google.protobuf.Duration"), OutputType: new(".google.protobuf.Duration"),
			Options: &descriptorpb.MethodOptions{IdempotencyLevel: level.Enum()},
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("hauberk/servingtest/v1/levels.proto"), Package: new("hauberk.servingtest.v1"),
		Syntax: new("proto3"), Dependency: []string{"google/protobuf/duration.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("Levels"),
			Method: []*descriptorpb.MethodDescriptorProto{
				method("Create", descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN),
				method("Read", descriptorpb.MethodOptions_NO_SIDE_EFFECTS),
				method("Put", descriptorpb.MethodOptions_IDEMPOTENT),
			},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := protoregistry.GlobalFiles.FindFileByPath(file.Path()); err == nil {
		return // the test runs more than once
	}
	if err := protoregistry.GlobalFiles.RegisterFile(file); err != nil {
		t.Fatal(err)
	}
}

// Health checks and methods of Exempt are accepted in each state; unknown methods are not.
func TestExempt(t *testing.T) {
	hauberktest.CheckLeaks(t)
	x := serving.New(serving.Config{Exempt: []string{method(hauberk.Bidi)}})
	env := hauberktest.Start(t, hauberktest.Setup{
		Server: hauberk.Must(hauberk.New(x)), Kind: hauberk.Bidi,
		Register: func(srv *hauberk.Server) { healthpb.RegisterHealthServer(srv, health.NewServer()) },
	})
	if err := env.Call(patient(t)).Err; err != nil {
		t.Error(err)
	}
	if _, err := healthpb.NewHealthClient(env.Conn).Check(patient(t), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	wantStatus(t, env.Conn.Invoke(patient(t), "/unknown.v1.Service/Method", &testpb.Request{}, &testpb.Response{}),
		codes.Unavailable, serving.ReasonStarting)
}

// The health service reports the state to its watchers.
func TestHealth(t *testing.T) {
	hauberktest.CheckLeaks(t)
	server := health.NewServer()
	x := serving.New(serving.Config{Services: []string{"shop.v1.Cart"}}, serving.WithHealth(server))
	env := hauberktest.Start(t, hauberktest.Setup{
		Server:   hauberk.Must(hauberk.New(x)),
		Register: func(srv *hauberk.Server) { healthpb.RegisterHealthServer(srv, server) },
	})
	for _, service := range []string{"", "shop.v1.Cart"} {
		set(t, x, serving.Maintenance)
		w, err := healthpb.NewHealthClient(env.Conn).Watch(patient(t), &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			to   serving.State
			want healthpb.HealthCheckResponse_ServingStatus
		}{
			{serving.Draining, healthpb.HealthCheckResponse_NOT_SERVING}, // the same status is reported once
			{serving.Serving, healthpb.HealthCheckResponse_SERVING},
			{serving.Maintenance, healthpb.HealthCheckResponse_NOT_SERVING},
			{serving.ReadOnly, healthpb.HealthCheckResponse_SERVING},
		} {
			set(t, x, c.to)
			if got, err := w.Recv(); err != nil || got.GetStatus() != c.want {
				t.Errorf("%s: %v, %v; want %v", c.to, got, err, c.want)
			}
			if want := c.want == healthpb.HealthCheckResponse_SERVING; x.Ready() != want {
				t.Errorf("%s: ready is %t", c.to, x.Ready())
			}
		}
	}
}

// An unknown state is an error with the names of those that exist, and changes nothing.
func TestUnknownState(t *testing.T) {
	x := serving.New(serving.Config{Initial: serving.Serving})
	err := x.Set("paused")
	want := `serving: Set("paused"): unknown state; want draining, maintenance, read-only, serving, starting`
	if !errors.Is(err, serving.ErrUnknownState) || err.Error() != want || x.State() != serving.Serving {
		t.Errorf("%v, state %s", err, x.State())
	}
	for name, x := range map[string]*serving.Interceptor{
		"zero": new(serving.Interceptor), "bad": serving.New(serving.Config{Initial: "paused"}),
	} {
		if x.Set(serving.Serving) == nil || x.Idle(t.Context()) == nil || x.Shutdown(t.Context(), nil) == nil || x.Ready() {
			t.Errorf("%s: no error", name)
		}
	}
	if x := new(serving.Interceptor); x.State() != "" || x.Measurements() != nil {
		t.Error("a zero interceptor has a state")
	}
}

// New reports everything that is wrong at once.
func TestBadConfig(t *testing.T) {
	_, err := hauberk.New(serving.New(serving.Config{
		Initial: "paused", Exempt: []string{"shop"}, Services: []string{"shop/"},
		States: map[serving.State]serving.Rule{
			"Own": {}, "a-": {}, "": {},
			"codes":          {Code: 99, Reason: "lower", RetryAfter: -1, Grace: -1},
			"nothing":        {Except: []string{"shop.v1.*"}, KeepStreams: true, Grace: 1},
			serving.ReadOnly: {Methods: []string{"x"}, Except: []string{"y"}},
		},
	}, nil, serving.WithHealth(nil), serving.WithListener(nil), serving.WithLogger(nil)))
	for _, want := range []string{
		`Initial is "paused"; want`, `Exempt has "shop"; want`, `Services[0] is "shop/"; want`, `States["Own"]: want a name`,
		`States["a-"]: want a name`, `States[""]: want a name`, `States["codes"].Code is Code(99); want`,
		`States["codes"].Reason is "lower"; want`, `States["codes"].RetryAfter is -1ns; want`, `States["codes"].Grace is -1ns; want`,
		`States["nothing"].Grace has no effect with KeepStreams`, `States["nothing"].Except has no effect`,
		`States["read-only"].Methods has "x"; want`, `States["read-only"].Except has "y"; want`, "option 1 of New is nil",
		"WithHealth was given a nil server", "WithListener was given a nil function", "WithLogger was given a nil logger",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %s", err, want)
		}
	}
	var none *health.Server
	if _, err := hauberk.New(serving.New(serving.Config{}, serving.WithHealth(none))); err == nil || !strings.Contains(err.Error(), "nil server") {
		t.Errorf("%v; want an error about a nil server", err)
	}
	if _, err := hauberk.New(new(serving.Interceptor)); err == nil || !strings.Contains(err.Error(), "make it with serving.New") {
		t.Error(err)
	}
}

// Listeners and the logger receive changes in order; the state that is the current one is no change.
func TestChanges(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var out bytes.Buffer
	changes := make(chan serving.Change, 4)
	x := serving.New(serving.Config{}, serving.WithLogger(slog.New(slog.NewTextHandler(&out, nil))),
		serving.WithListener(func(c serving.Change) { changes <- c }))
	for _, to := range []serving.State{serving.Starting, serving.Serving, serving.Serving, serving.Draining} {
		set(t, x, to)
	}
	for _, want := range []serving.Change{{From: serving.Starting, To: serving.Serving}, {From: serving.Serving, To: serving.Draining}} {
		if got := <-changes; got != want {
			t.Errorf("%v; want %v", got, want)
		}
	}
	if text := out.String(); strings.Count(text, "serving state has changed") != 2 || !strings.Contains(text, "from=serving to=draining not_accepted=0") {
		t.Errorf("the log is %s", text)
	}
}

// In shadow, calls are accepted, and counted as rejected; streams go on.
func TestShadow(t *testing.T) {
	for _, kind := range kinds {
		hauberktest.CheckLeaks(t)
		x := serving.New(serving.Config{Initial: serving.Serving})
		h := newHandler()
		env := hauberktest.Case{Kind: kind}.StartWith(t, h.backend(), hauberk.Shadow(x))
		outcome := make(chan error, 1)
		go func() { outcome <- env.Call(patient(t)).Err }()
		<-h.entered
		set(t, x, serving.Maintenance)
		close(h.release)
		if err := <-outcome; err != nil || <-h.left != nil {
			t.Errorf("%v: %v", kind, err)
		}
		if err := env.Call(patient(t)).Err; err != nil {
			t.Errorf("%v: %v", kind, err)
		}
		if n := measured(x, "serving_rejected_total", "maintenance"); n != 1 {
			t.Errorf("%v: %v calls counted as rejected", kind, n)
		}
	}
}

func measured(x *serving.Interceptor, name, label string) float64 {
	for _, m := range x.Measurements() {
		if m.Name == name && m.LabelValue == label {
			return m.Value
		}
	}
	return -1
}

// Decisions name the state, unless it accepts everything.
func TestDecisions(t *testing.T) {
	x := serving.New(serving.Config{Initial: serving.Serving, States: map[serving.State]serving.Rule{"half": {Methods: []string{method(hauberk.Unary)}}}})
	var got []hauberk.Decision
	outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		got = got[:0]
		got = append(got, call.Decisions().All()...)
		return err
	})
	chain := hauberk.Must(hauberk.New(outer, x))
	for _, c := range []struct {
		state serving.State
		kind  hauberk.Kind
		want  hauberk.Decision
	}{
		{serving.Serving, hauberk.Unary, hauberk.Decision{Interceptor: "serving"}},
		{"half", hauberk.Unary, hauberk.Decision{Interceptor: "serving", Rule: "state half"}},
		{"half", hauberk.Bidi, hauberk.Decision{Interceptor: "serving", Rule: "state half", Verdict: hauberk.Rejected, Reason: "SERVER_HALF"}},
	} {
		set(t, x, c.state)
		_ = hauberktest.Direct{Kind: c.kind}.Server(chain)(t.Context())
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %v; want %v", c.state, got, c.want)
		}
	}
}

// A pattern that matches no method of a server is reported.
func TestUnmatched(t *testing.T) {
	x := serving.New(serving.Config{
		Exempt: []string{"shop.v1.Crat/*"}, States: map[serving.State]serving.Rule{"own": {Methods: []string{"*"}, Except: []string{"shop.v1.Cart/Gett"}}},
	})
	want := `serving.Config.States["own"].Except("shop.v1.Cart/Gett"), serving.Config.Exempt("shop.v1.Crat/*")`
	if got := strings.Join(x.Declare().Unmatched(nil), ", "); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// No call that begins after Set has returned is accepted, and none runs after Idle has returned.
func TestNoCallAfterSet(t *testing.T) {
	hauberktest.CheckLeaks(t)
	x := serving.New(serving.Config{})
	var inside atomic.Int64
	chain := hauberk.Must(hauberk.New(x, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		inside.Add(1)
		defer inside.Add(-1)
		return next(ctx, call)
	})))
	var changes atomic.Int64 // odd between Set(Maintenance) and the next Set
	var all sync.WaitGroup
	stop := make(chan struct{})
	for _, kind := range kinds {
		serve := hauberktest.Direct{Kind: kind}.Server(chain)
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := changes.Load()
				if err := serve(t.Context()); err == nil && before%2 == 1 && before == changes.Load() {
					t.Errorf("%v: accepted after Set", kind)
				}
			}
		})
	}
	for range 500 {
		set(t, x, serving.Serving)
		set(t, x, serving.Maintenance)
		changes.Add(1)
		if err := x.Idle(t.Context()); err != nil || inside.Load() != 0 {
			t.Errorf("%v, %d calls run", err, inside.Load())
		}
		changes.Add(1)
	}
	close(stop)
	all.Wait()
}
