package report_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
)

// journal keeps incidents. Safe for concurrent use.
type journal struct {
	mu  sync.Mutex
	all []report.Incident
}

func (j *journal) add(_ context.Context, i report.Incident) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, i)
}

// take returns the incidents since the last call.
func (j *journal) take() []report.Incident {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := j.all
	j.all = nil
	return all
}

// failing ends calls as f does.
func failing(f func() error) hauberk.Interceptor {
	return hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return f() })
}

var errSecret = errors.New("the password is s3cret")

func quiet() hauberk.Interceptor {
	return recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
}

// Calls of every kind on both sides are reported once with what is known about them, however they fail.
func TestReports(t *testing.T) {
	id := hauberk.NewKey[string]("request_id")
	identify := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		id.Set(call, "id 1")
		hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: "alice"})
		return next(ctx, call)
	})
	for name, test := range map[string]struct {
		fail   func() error
		code   codes.Code // OK is not reported
		panics bool
	}{
		"panic":                 {func() error { panic(errSecret) }, codes.Internal, true},
		"an error":              {func() error { return errSecret }, codes.Unknown, false},
		"a status":              {func() error { return status.Error(codes.DataLoss, "lost") }, codes.DataLoss, false},
		"a rejection":           {func() error { return hauberk.Reject(codes.Internal, "BROKEN", "broken") }, codes.Internal, false},
		"a code that is normal": {func() error { return status.Error(codes.NotFound, "none") }, codes.OK, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
				for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
					var j journal
					x := report.New(report.Config{}, j.add, report.State("request_id", id),
						report.WithAttrs(func(_ context.Context, _ *hauberk.Call, list []slog.Attr) []slog.Attr {
							return append(list, slog.String("trace", "t1"))
						}))
					err := run(t, side, kind, x, quiet(), identify, failing(test.fail))
					all := j.take()
					if test.code == codes.OK {
						if len(all) != 0 {
							t.Errorf("%v %v: %+v; want nothing", side, kind, all)
						}
						continue
					}
					if len(all) != 1 {
						t.Fatalf("%v %v: %d incidents; want 1", side, kind, len(all))
					}
					i := all[0]
					if i.Side != side || i.Kind != kind || i.Method != strings.TrimPrefix(hauberktest.FullMethod(kind), "/") ||
						i.Code != test.code || i.Reason != hauberk.Reason(err) || i.Panic != test.panics || i.User.Subject != "alice" {
						t.Errorf("%v %v: %+v", side, kind, i)
					}
					if len(i.Attrs) != 2 || i.Attrs[0].Value.String() != "id 1" || i.Attrs[1].Value.String() != "t1" {
						t.Errorf("%v %v: attributes %v", side, kind, i.Attrs)
					}
					if test.panics && (!errors.Is(i.Err, recovery.ErrPanic) || !strings.Contains(string(i.Stack), "report_test.go")) {
						t.Errorf("%v %v: %v, stack %s", side, kind, i.Err, i.Stack)
					}
				}
			}
		})
	}
}

// run makes a call behind interceptors.
func run(t *testing.T, side hauberk.Side, kind hauberk.Kind, interceptors ...hauberk.Interceptor) error {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	direct := hauberktest.Direct{Kind: kind}
	if side == hauberk.ServerSide {
		return direct.Server(chain)(t.Context())
	}
	return direct.Client(chain)(t.Context())
}

// Without recovery, a panic is reported while it unwinds the goroutine, and continues.
func TestUnwound(t *testing.T) {
	var j journal
	func() {
		defer func() {
			if v := recover(); v != errSecret { //nolint:errorlint // the identical value
				t.Errorf("recovered %v; want the panic of the call", v)
			}
		}()
		_ = run(t, hauberk.ServerSide, hauberk.Unary, report.New(report.Config{}, j.add), failing(func() error { panic(errSecret) }))
	}()
	all := j.take()
	if len(all) != 1 || !all[0].Panic || !errors.Is(all[0].Err, hauberk.ErrUnwound) ||
		!strings.Contains(string(all[0].Stack), "report_test.go") {
		t.Errorf("%+v; want the panic with its stack", all)
	}
}

// Incidents that are alike are counted for Every, others are reported.
func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		x := report.New(report.Config{Every: time.Minute}, j.add)
		fail := func(err error) {
			_ = run(t, hauberk.ServerSide, hauberk.Unary, x, failing(func() error { return err }))
		}
		one, two := status.Error(codes.Internal, "1"), hauberk.Reject(codes.Internal, "BROKEN", "broken")
		for range 5 {
			fail(one)
		}
		fail(two)
		if all := j.take(); len(all) != 2 || all[0].Suppressed != 0 || all[1].Reason != "BROKEN" {
			t.Errorf("%+v; want one of each kind", all)
		}
		<-time.After(time.Minute - 1)
		fail(one)
		if all := j.take(); len(all) != 0 {
			t.Errorf("%+v; want none before the minute has passed", all)
		}
		<-time.After(1)
		fail(one)
		if all := j.take(); len(all) != 1 || all[0].Suppressed != 5 {
			t.Errorf("%+v; want one, with 5 suppressed", all)
		}
		want := map[string]float64{"report_reported_total": 3, "report_suppressed_total": 5, "report_panics_total": 0}
		for _, m := range x.Measurements() {
			if want[m.Name] != m.Value {
				t.Errorf("%s is %v; want %v", m.Name, m.Value, want[m.Name])
			}
		}
	})
}

// Panics at different places are of different kinds.
func TestPlaces(t *testing.T) {
	var j journal
	x := report.New(report.Config{}, j.add)
	for range 3 {
		for _, fail := range []func() error{func() error { panic("a") }, func() error { panic("a") }} {
			_ = run(t, hauberk.ServerSide, hauberk.Unary, x, quiet(), failing(fail))
		}
	}
	if all := j.take(); len(all) != 2 || all[0].PanicAt == all[1].PanicAt || !strings.Contains(all[0].PanicAt, "report_test.go") {
		t.Errorf("%+v; want one incident of each place", all)
	}
}

// All kinds together are bounded, and none is lost for good: the next report has the number.
func TestPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		x := report.New(report.Config{PerMinute: 6, Codes: []codes.Code{codes.Unavailable}}, j.add)
		fail := func(reason string) {
			_ = run(t, hauberk.ServerSide, hauberk.Unary, x, failing(func() error {
				return hauberk.Reject(codes.Unavailable, reason, "no")
			}))
		}
		for _, reason := range []string{"A", "B", "C", "D", "E", "F", "G", "H", "G"} {
			fail(reason)
		}
		if all := j.take(); len(all) != 6 || all[5].Reason != "F" {
			t.Errorf("%+v; want the first 6", all)
		}
		<-time.After(10 * time.Second)
		fail("G")
		fail("H")
		if all := j.take(); len(all) != 1 || all[0].Reason != "G" || all[0].Suppressed != 2 {
			t.Errorf("%+v; want G, with 2 suppressed", all)
		}
	})
}

// Ignored calls are not reported, panics are.
func TestIgnore(t *testing.T) {
	var j journal
	ours := strings.TrimPrefix(hauberktest.FullMethod(hauberk.Unary), "/")
	x := report.New(report.Config{Ignore: []report.Ignore{
		{Methods: []string{ours}, Codes: []codes.Code{codes.Unknown, codes.Internal}},
		{Reasons: []string{"NORMAL"}},
	}}, j.add, report.WithIgnore(func(i report.Incident) bool { return errors.Is(i.Err, context.DeadlineExceeded) }))
	for _, test := range []struct {
		kind hauberk.Kind
		fail func() error
		want int
	}{
		{hauberk.Unary, func() error { return errSecret }, 0},
		{hauberk.Bidi, func() error { return errSecret }, 1},
		{hauberk.Unary, func() error { return status.Error(codes.DataLoss, "") }, 1},
		{hauberk.Unary, func() error { panic("x") }, 1},
		{hauberk.Bidi, func() error { return hauberk.Reject(codes.Internal, "NORMAL", "") }, 0},
		{hauberk.ServerStream, func() error { return errors.Join(errSecret, context.DeadlineExceeded) }, 0},
	} {
		_ = run(t, hauberk.ServerSide, test.kind, x, quiet(), failing(test.fail))
		if all := j.take(); len(all) != test.want {
			t.Errorf("%v: %+v; want %d incidents", test.kind, all, test.want)
		}
	}
	want := []string{`report.Config.Ignore[0].Methods("` + ours + `")`}
	if got := x.Declare().Unmatched(nil); !slices.Equal(got, want) {
		t.Errorf("unmatched are %q; want %q", got, want)
	}
}

// Panics of the application's functions are contained, and change no outcome.
func TestContained(t *testing.T) {
	x := report.New(report.Config{}, func(context.Context, report.Incident) { panic("report") },
		report.WithAttrs(func(context.Context, *hauberk.Call, []slog.Attr) []slog.Attr { panic("attrs") }),
		report.WithIgnore(func(report.Incident) bool { panic("ignore") }))
	err := run(t, hauberk.ServerSide, hauberk.Bidi, x, failing(func() error { return errSecret }))
	if status.Code(err) != codes.Unknown {
		t.Errorf("%v; want UNKNOWN", err)
	}
	for _, m := range x.Measurements() {
		if m.Name == "report_panics_total" && m.Value != 3 {
			t.Errorf("%v panics; want 3", m.Value)
		}
	}
}

// The methods that a server does not have are one kind, since callers choose their names.
func TestUnknownMethods(t *testing.T) {
	var j journal
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	env := c.Start(t, report.New(report.Config{Codes: []codes.Code{codes.Unimplemented}}, j.add))
	for _, name := range []string{"/a.B/C", "/a.B/D"} {
		if err := env.Client.Invoke(t.Context(), name, new(testpb.Request), new(testpb.Response)); err == nil {
			t.Error("no error")
		}
	}
	if all := j.take(); len(all) != 1 || all[0].Method != "unknown" { // reported before the client has the status
		t.Errorf("%+v; want one incident", all)
	}
}

// New reports everything that is wrong at once.
func TestBadConfig(t *testing.T) {
	_, err := hauberk.New(report.New(report.Config{
		Codes: []codes.Code{codes.OK}, Every: -1, PerMinute: -1, MaxKinds: -1,
		Ignore: []report.Ignore{{}, {Methods: []string{"x"}}, {Codes: []codes.Code{99}}},
	}, nil, nil, report.State("", hauberk.Key[string]{}), report.WithAttrs(nil), report.WithIgnore(nil), report.WithClock(nil)))
	for _, want := range []string{
		"Codes has OK", "Every is -1ns", "PerMinute is -1", "MaxKinds is -1", "Ignore[0] is empty", `Ignore[1].Methods has "x"`,
		"Ignore[2].Codes has Code(99)", "New was given a nil function", "option 1 of New is nil", "a key without a name",
		"WithAttrs was given", "WithIgnore was given", "WithClock was given",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
	if _, err := hauberk.New(new(report.Interceptor)); err == nil || !strings.Contains(err.Error(), "report.New") {
		t.Errorf("a zero Interceptor: %v", err)
	}
}

// A call that succeeds allocates nothing more.
func TestAllocations(t *testing.T) {
	allocs := func(x ...hauberk.Interceptor) float64 {
		call, ctx := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x...))), t.Context()
		return testing.AllocsPerRun(100, func() { _ = call(ctx) })
	}
	if more := allocs(report.New(report.Config{}, new(journal).add)) - allocs(); more > 1 {
		t.Errorf("%v more allocations; want at most 1", more)
	}
}
