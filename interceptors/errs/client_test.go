package errs_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// isMissing, isStock and so on report whether the application finds an error.
var finds = map[string]struct {
	handled error
	code    codes.Code
	found   func(err error) bool
}{
	"sentinel": {wrap(errMissing), codes.NotFound, func(err error) bool { return errors.Is(err, errMissing) && !errors.Is(err, errStale) }},
	"sentinel that wraps another": {errStale, codes.Aborted, func(err error) bool {
		return errors.Is(err, errStale) && errors.Is(err, errMissing)
	}},
	"type with a detail": {wrap(&stockError{"hat", 2}), codes.FailedPrecondition, func(err error) bool {
		e, ok := errors.AsType[*stockError](err)
		return ok && *e == stockError{"hat", 2}
	}},
	"type with metadata": {wrap(quotaError{Limit: 7}), codes.ResourceExhausted, func(err error) bool {
		e, ok := errors.AsType[quotaError](err)
		return ok && e == quotaError{Limit: 7}
	}},
	"type without fields": {&closedError{}, codes.Unavailable, func(err error) bool {
		_, ok := errors.AsType[*closedError](err)
		return ok
	}},
	"status": {status.Error(codes.OutOfRange, "text"), codes.OutOfRange, func(err error) bool {
		return status.Convert(err).Message() == "text" && errs.IsRemote(err)
	}},
	"masked": {errors.New("secret"), codes.Unknown, func(err error) bool {
		return errs.Reference(err) != "" && !strings.Contains(err.Error(), "secret")
	}},
}

// The application on the client finds the error of the handler, for calls of every kind, and the status as well.
// The interceptor is the only one of its side in each case of the matrix: the other side has the table only.
func TestMatrix(t *testing.T) {
	table := newTable()
	for name, c := range finds {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, k hauberktest.Case) {
				handled := c.handled
				if k.Side == hauberk.ClientSide {
					if st, ok := table.ToStatus(handled); ok {
						handled = st.Err()
					}
				}
				env := k.StartWith(t, failing(func() error { return handled }), errs.New(errs.Config{}, table))
				err := env.Call(t.Context()).Err
				if status.Code(err) != c.code {
					t.Errorf("%v; want %v", err, c.code)
				}
				if k.Side == hauberk.ServerSide {
					if errs.IsRemote(err) {
						t.Error("an error without the interceptor of a client has its mark")
					}
					if st, _ := status.FromError(err); status.Code(table.FromStatus(st)) != c.code {
						t.Errorf("%v from %v", table.FromStatus(st), st)
					} else if err = table.FromStatus(st); !c.found(err) {
						t.Errorf("the error is not found in %v", err)
					}
				} else if name != "masked" && !c.found(err) { // which a server masks
					t.Errorf("the error is not found in %v", err)
				}
			})
		})
	}
}

// roundTrip starts a server and a client with the same table.
func roundTrip(t *testing.T, kind hauberk.Kind, backend *hauberktest.Backend, client ...hauberk.Interceptor) *hauberktest.Env {
	t.Helper()
	server := hauberk.Must(hauberk.New(errs.New(errs.Config{}, newTable())))
	chain, err := hauberk.New(client...)
	if err != nil {
		t.Fatal(err)
	}
	return hauberktest.Start(t, hauberktest.Setup{Backend: backend, Server: server, Client: chain, Kind: kind})
}

// Both halves together, for every kind.
func TestRoundTrip(t *testing.T) {
	for name, c := range finds {
		for _, kind := range kinds {
			env := roundTrip(t, kind, failing(func() error { return c.handled }), errs.New(errs.Config{}, newTable()))
			err := env.Call(t.Context()).Err
			if st, ok := status.FromError(err); !ok || st.Code() != c.code || !c.found(err) {
				t.Errorf("%s, %v: %v", name, kind, err)
			}
		}
	}
}

// Each operation of a stream that returns a status returns the error.
func TestStreamOperations(t *testing.T) {
	hauberktest.CheckLeaks(t)
	x := errs.New(errs.Config{}, newTable())
	open := func(t *testing.T, env *hauberktest.Env) grpc.ClientStream {
		t.Helper()
		stream, err := env.Conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
			hauberktest.FullMethod(hauberk.Bidi))
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	want := func(t *testing.T, operation string, err error) {
		t.Helper()
		if e, ok := errors.AsType[*stockError](err); !ok || e.Item != "hat" || status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s: %v; want the error of the handler", operation, err)
		}
	}
	fail := func() error { return wrap(&stockError{"hat", 2}) }

	t.Run("creation", func(t *testing.T) {
		st, _ := newTable().ToStatus(fail())
		env := roundTrip(t, hauberk.Bidi, nil, x, hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return st.Err()
		}))
		_, err := env.Conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
			hauberktest.FullMethod(hauberk.Bidi))
		want(t, "NewStream", err)
	})
	t.Run("RecvMsg after messages", func(t *testing.T) {
		env := roundTrip(t, hauberk.Bidi, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			return errors.Join(s.Send(&testpb.Response{Text: "one"}), fail())
		}}, x)
		stream := open(t, env)
		if err := stream.RecvMsg(new(testpb.Response)); err != nil {
			t.Fatal(err)
		}
		want(t, "RecvMsg", stream.RecvMsg(new(testpb.Response)))
		want(t, "a further RecvMsg", stream.RecvMsg(new(testpb.Response)))
	})
	t.Run("SendMsg", func(t *testing.T) {
		env := roundTrip(t, hauberk.Bidi, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return fail() }}, x)
		stream := open(t, env)
		var err error
		for err == nil {
			err = stream.SendMsg(new(testpb.Request))
		}
		if !errors.Is(err, io.EOF) { // as grpc-go: RecvMsg has the status
			t.Errorf("SendMsg: %v; want io.EOF", err)
		}
		want(t, "RecvMsg after SendMsg", stream.RecvMsg(new(testpb.Response)))
	})
	t.Run("SendMsg of what cannot be encoded", func(t *testing.T) {
		stream := open(t, roundTrip(t, hauberk.Bidi, failing(fail), x))
		err := stream.SendMsg("no message")
		if status.Code(err) != codes.Internal || !errs.IsRemote(err) {
			t.Errorf("%v; want INTERNAL through the interceptor", err)
		}
	})
	t.Run("Header", func(t *testing.T) {
		env := roundTrip(t, hauberk.Bidi, failing(fail), x)
		stream := open(t, env)
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if md, err := stream.Header(); err != nil || len(md) > 0 { // as grpc-go: RecvMsg has the status
			t.Errorf("Header: %v, %v", md, err)
		}
		want(t, "RecvMsg after Header", stream.RecvMsg(new(testpb.Response)))
	})
	t.Run("Header that was sent", func(t *testing.T) {
		env := roundTrip(t, hauberk.Bidi, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			return errors.Join(s.SendHeader(metadata.Pairs("a", "1")), fail())
		}}, x)
		stream := open(t, env)
		if md, err := stream.Header(); err != nil || len(md.Get("a")) != 1 {
			t.Errorf("Header: %v, %v", md, err)
		}
		want(t, "RecvMsg", stream.RecvMsg(new(testpb.Response)))
	})
}

// Outside and inside of retry and hedge the application finds the error, and they see the codes as without it.
func TestWithRetries(t *testing.T) {
	x := errs.New(errs.Config{}, newTable())
	retries := retry.New(retry.Config{
		AllMethods: true, NoBudget: true, NoCallerPushback: true, NoJitter: true, MaxAttempts: 3,
		InitialBackoff: time.Nanosecond, MaxBackoff: time.Nanosecond, MaxReplayBytes: 1 << 20,
	})
	hedges := hedge.New(hedge.Config{AllMethods: true, NoBudget: true, NoCallerPushback: true, MaxAttempts: 3, Delay: time.Hour})
	for name, chain := range map[string][]hauberk.Interceptor{
		"outside of retry": {x, retries}, "inside of retry": {retries, x}, "on both sides of retry": {x, retries, x},
		"outside of hedge": {x, hedges}, "inside of hedge": {hedges, x}, "on both sides of hedge": {x, hedges, x},
	} {
		for _, kind := range kinds {
			if kind.ClientStreams() && strings.Contains(name, "hedge") {
				continue // such calls are not hedged
			}
			calls := make(chan struct{}, 10)
			env := roundTrip(t, kind, failing(func() error {
				calls <- struct{}{}
				switch len(calls) {
				case 1, 2:
					return &closedError{}
				default:
					return wrap(&stockError{"hat", 2})
				}
			}), chain...)
			err := env.Call(t.Context()).Err
			if e, ok := errors.AsType[*stockError](err); !ok || *e != (stockError{"hat", 2}) || status.Code(err) != codes.FailedPrecondition {
				t.Errorf("%s, %v: %v after %d attempts; want the error of the third", name, kind, err, len(calls))
			}
			if len(calls) != 3 {
				t.Errorf("%s, %v: %d attempts; want 3", name, kind, len(calls))
			}
		}
	}
}

// Errors of the client's own process are as they are, but for those of the transport.
func TestLocalErrors(t *testing.T) {
	rejection, plain := hauberk.Reject(codes.NotFound, "ITEM_NOT_FOUND", "text"), errors.New("of an interceptor")
	rejection.Domain = domain
	for _, err := range []error{rejection, plain, wrap(rejection), hauberk.ErrSuperseded} {
		var outcome error
		chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			outcome = next(ctx, call)
			return outcome
		}), errs.New(errs.Config{}, newTable()), hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return err })))
		_ = hauberktest.Direct{}.Client(chain)(t.Context())
		if outcome != err || errs.IsRemote(outcome) || errors.Is(outcome, errMissing) { //nolint:errorlint // the same value
			t.Errorf("%v; want %v", outcome, err)
		}
	}
}

// Statuses that are not of the table, or that cannot be decoded, keep their status.
func TestUndecodable(t *testing.T) {
	type reported = []error
	other := errs.NewTable("other.example", errs.Sentinel(errMissing, codes.NotFound, "ITEM_NOT_FOUND"))
	bad := errs.NewTable(domain,
		errs.TypeWithMetadata(codes.ResourceExhausted, "QUOTA", quotaMetadata, func(m map[string]string) (quotaError, error) {
			if m != nil {
				panic("of a codec")
			}
			return quotaError{}, nil
		}),
		errs.TypeWithDetail(codes.FailedPrecondition, "OUT_OF_STOCK",
			func(*stockError) *testpb.Response { return new(testpb.Response) },
			func(*testpb.Response) (*stockError, error) { return nil, nil }),
		errs.TypeWithDetail(codes.NotFound, "ITEM_NOT_FOUND", func(*closedError) *testpb.Response { return new(testpb.Response) },
			func(*testpb.Response) (*closedError, error) { return nil, nil }),
	)
	for name, c := range map[string]struct {
		table   *errs.Table // of the client
		handled error
		lost    int
	}{
		"other domain":       {other, errMissing, 0},
		"unknown reason":     {errs.NewTable(domain), errMissing, 0},
		"decode fails":       {newTable(), &stockError{"", 3}, 1},
		"decode panics":      {bad, quotaError{Limit: 1}, 1},
		"another detail":     {bad, &stockError{"hat", 3}, 1},
		"without the detail": {bad, errMissing, 1},
	} {
		var lost reported
		x := errs.New(errs.Config{}, c.table, errs.WithCodecErrors(func(_ context.Context, _ *hauberk.Call, err error) {
			lost = append(lost, err)
		}))
		env := roundTrip(t, hauberk.Unary, failing(func() error { return c.handled }), x)
		err := env.Call(t.Context()).Err
		want, _ := newTable().ToStatus(c.handled)
		if status.Code(err) != want.Code() || status.Convert(err).Message() != want.Message() || errors.Is(err, c.handled) {
			t.Errorf("%s: %v; want %v and no more", name, err, want)
		}
		if len(lost) != c.lost || count(x, "errs_lost_details_total") != float64(c.lost) {
			t.Errorf("%s: %v; want %d failures", name, lost, c.lost)
		}
	}
}

// A client of two services decodes the errors of both.
func TestMerge(t *testing.T) {
	second := errs.NewTable("till.example", errs.Sentinel(io.ErrClosedPipe, codes.Aborted, "ITEM_NOT_FOUND"))
	merged := errs.Merge(newTable(), second)
	env := roundTrip(t, hauberk.Unary, failing(func() error { return errMissing }), errs.New(errs.Config{}, merged))
	if err := env.Call(t.Context()).Err; !errors.Is(err, errMissing) {
		t.Error(err)
	}
	st, _ := second.ToStatus(io.ErrClosedPipe)
	if err := merged.FromStatus(st); !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, errMissing) {
		t.Error(err)
	}
	if len(merged.Entries()) != len(newTable().Entries())+1 {
		t.Error(merged.Entries())
	}
}

// Of two interceptors in a chain of a client the inner one decodes, and the outer one what the inner one cannot.
func TestTwoTables(t *testing.T) {
	decodes := 0
	table := func() *errs.Table {
		return errs.NewTable(domain, errs.TypeWithDetail(codes.FailedPrecondition, "OUT_OF_STOCK", stockDetail,
			func(d *testpb.Request) (*stockError, error) {
				decodes++
				return stockOf(d)
			}))
	}
	first, second, other := table(), table(), errs.NewTable(domain, errs.Sentinel(errMissing, codes.NotFound, "ITEM_NOT_FOUND"))
	for name, c := range map[string]struct{ outer, inner *errs.Table }{
		"both": {first, second}, "outer": {first, other}, "inner": {other, second},
	} {
		env := roundTrip(t, hauberk.Unary, failing(func() error { return &stockError{"hat", 1} }),
			errs.New(errs.Config{}, c.outer), errs.New(errs.Config{}, c.inner))
		decodes = 0
		err := env.Call(t.Context()).Err
		if e, ok := errors.AsType[*stockError](err); !ok || e.Item != "hat" || decodes != 1 {
			t.Errorf("%s: %v, decoded %d times; want once", name, err, decodes)
		}
	}
}
