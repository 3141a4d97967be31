package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// A client's unary call has one key for all attempts, or that of the application; a server executes it
// once. Streams pass.
func TestKinds(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var keys []string
		var handled atomic.Int64
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			handled.Add(1)
			md, _ := metadata.FromIncomingContext(ctx)
			keys = append(keys, strings.Join(md.Get(idempotency.Header), " "))
			_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))
			return hauberktest.Echo(ctx, s)
		}}
		x := idempotency.New(idempotency.Config{})
		twice := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if err := next(ctx, call); err != nil || call.Kind() != hauberk.Unary {
				return err
			}
			return next(ctx, call)
		})
		chain := []hauberk.Interceptor{x}
		if c.Side == hauberk.ClientSide {
			chain = append(chain, twice)
		}
		env := c.StartWith(t, backend, chain...)
		ctx := metadata.AppendToOutgoingContext(t.Context(), idempotency.Header, "own")
		for _, ctx := range []context.Context{ctx, ctx, t.Context()} {
			if out := env.Call(ctx); out.Err != nil || out.Texts()[0] != "echo:hello" || out.Trailer.Get("t") == nil {
				t.Errorf("%+v", out)
			}
		}
		switch {
		case c.Kind != hauberk.Unary:
			if handled.Load() != 3 || keys[2] != "" {
				t.Errorf("%d streams were handled with keys %q", handled.Load(), keys)
			}
		case c.Side == hauberk.ServerSide:
			if handled.Load() != 2 {
				t.Errorf("%d calls were handled; want one with the key and one without", handled.Load())
			}
		default:
			if len(keys) != 6 || keys[0] != "own" || keys[3] != "own" || len(keys[4]) < 26 || keys[4] != keys[5] {
				t.Errorf("keys %q", keys)
			}
		}
	})
}

// A key belongs to a caller and a method, and to one request. Scopes may change.
func TestKey(t *testing.T) {
	w := newWorld(t, hauberk.Func(login), idempotency.New(idempotency.Config{}))
	w.wants("a 1", w.call(t.Context(), "a", "k", "user", "u", "scope", "1"))
	again := w.call(t.Context(), "a", "k", "user", "u", "scope", "2")
	w.wants("a 1", again)
	if again.header.Get("h") == nil || again.trailer.Get("t") == nil || again.header.Get("b-bin")[0] != "\xff\x00" {
		t.Errorf("header %v, trailer %v", again.header, again.trailer)
	}
	w.wants("a 2", w.call(t.Context(), "a", "k", "user", "v"))
	w.wants("a 3", w.call(t.Context(), "a", "k"))
	w.wants("a 4", w.call(t.Context(), "a", "k", "authorization", "x"))
	w.wants("a 5", w.call(t.Context(), "a", "l", "user", "u"))
	w.wants("a 6", w.call(t.Context(), "a", "", "user", "u"))
	w.wants("a 7", w.call(t.Context(), "a", "", "user", "u"))
	if got := w.call(t.Context(), "b", "k", "user", "u"); hauberk.Reason(got.err) != idempotency.ReasonReused ||
		status.Code(hauberk.StatusOf(got.err).Err()) != codes.InvalidArgument {
		t.Errorf("the key of another request: %v", got.err)
	}
	w.method = "/hauberk.test.v1.TestService/Other"
	w.wants("a 8", w.call(t.Context(), "a", "k", "user", "u"))
}

// Keys that are missing or not valid are rejected before the handler runs.
func TestInvalidKeys(t *testing.T) {
	x := idempotency.New(idempotency.Config{Required: true, MaxKeyBytes: 10})
	w := newWorld(t, x)
	for key, want := range map[string]string{
		"":                      idempotency.ReasonMissing,
		strings.Repeat("x", 11): idempotency.ReasonInvalid,
		"a\x00":                 idempotency.ReasonInvalid,
		"\xff":                  idempotency.ReasonInvalid,
	} {
		if got := w.call(t.Context(), "a", key); hauberk.Reason(got.err) != want || w.handled.Load() != 0 {
			t.Errorf("%q: %v", key, got.err)
		}
	}
	two := w.call(t.Context(), "a", "k", idempotency.Header, "l")
	empty := w.call(t.Context(), "a", "", idempotency.Header, "")
	for _, got := range []*caller{two, empty} {
		if hauberk.Reason(got.err) != idempotency.ReasonInvalid {
			t.Errorf("%v", got.err)
		}
	}
	w.wants("a 1", w.call(t.Context(), "a", strings.Repeat("x", 10)))
}

// Which errors are kept, and answered to repeats.
func TestErrors(t *testing.T) {
	full := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if call.Metadata(ctx, "full") != nil {
			return hauberk.Reject(codes.PermissionDenied, "FULL", "full")
		}
		return next(ctx, call)
	}
	for _, c := range []struct {
		name  string
		err   error
		pairs []string
		kept  bool
	}{
		{"not found", status.Error(codes.NotFound, "nothing"), nil, true},
		{"internal", status.Error(codes.Internal, "broken"), nil, true},
		{"without a status", errors.New("text"), nil, true},
		{"deadline", context.DeadlineExceeded, nil, true},
		{"rejection of the handler", hauberk.Reject(codes.FailedPrecondition, "EMPTY", "empty"), nil, true},
		{"unavailable", status.Error(codes.Unavailable, ""), nil, false},
		{"aborted", status.Error(codes.Aborted, ""), nil, false},
		{"exhausted", status.Error(codes.ResourceExhausted, ""), nil, false},
		{"cancelled", context.Canceled, nil, false},
		{"rejection by an interceptor", nil, []string{"full", "1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, idempotency.New(idempotency.Config{}), hauberk.Func(full))
			w.handle = func(context.Context) error { return c.err }
			first := w.call(t.Context(), "a", "k", c.pairs...)
			if first.err == nil {
				t.Fatal("no error")
			}
			w.handle = nil
			n := w.handled.Load()
			again := w.call(t.Context(), "a", "k")
			if !c.kept {
				if again.err != nil || w.handled.Load() != n+1 {
					t.Errorf("%v; want that the key is free", again.err)
				}
				return
			}
			a, b := hauberk.StatusOf(first.err), hauberk.StatusOf(again.err)
			if a.Code() != b.Code() || a.Message() != b.Message() || hauberk.Reason(first.err) != hauberk.Reason(again.err) ||
				!slices.Equal(first.trailer.Get("t"), again.trailer.Get("t")) || w.handled.Load() != n {
				t.Errorf("%v, then %v", first.err, again.err)
			}
		})
	}
}

// A repeat waits while the first call runs, within its own deadline. The first caller's cancel does not
// interrupt the effect.
func TestRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, idempotency.New(idempotency.Config{}))
		w.handle = func(ctx context.Context) error {
			<-time.After(2 * time.Second)
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.start(ctx, "a", "k")
		impatient := w.start(ctx, "a", "k")
		patient := w.start(t.Context(), "a", "k")
		after(time.Second)
		if !impatient.done.Load() || status.Code(impatient.err) != codes.DeadlineExceeded || patient.done.Load() {
			t.Errorf("%+v, %+v", impatient, patient)
		}
		if got := w.call(t.Context(), "b", "k"); hauberk.Reason(got.err) != idempotency.ReasonReused {
			t.Errorf("another request while the first runs: %v", got.err)
		}
		after(2 * time.Second)
		w.wants("a 1", patient)

		w = newWorld(t, idempotency.New(idempotency.Config{RejectRunning: true, RetryAfter: time.Second}))
		release := make(chan struct{})
		w.handle = func(context.Context) error { <-release; return nil }
		first := w.start(t.Context(), "a", "k")
		got := w.call(t.Context(), "a", "k")
		var retry *errdetails.RetryInfo
		for _, d := range status.Convert(got.err).Details() {
			if info, ok := d.(*errdetails.RetryInfo); ok {
				retry = info
			}
		}
		if hauberk.Reason(got.err) != idempotency.ReasonRunning || retry.GetRetryDelay().AsDuration() != time.Second {
			t.Errorf("%v with %v", got.err, retry)
		}
		close(release)
		synctest.Wait()
		w.wants("a 1", first)
	})
}

// A panic is kept as INTERNAL, and unwinds.
func TestPanic(t *testing.T) {
	w := newWorld(t, idempotency.New(idempotency.Config{}))
	w.handle = func(context.Context) error { panic("value") }
	if got := w.call(t.Context(), "a", "k"); got.panic != "value" {
		t.Errorf("%+v", got)
	}
	if got := w.call(t.Context(), "a", "k"); status.Code(got.err) != codes.Internal || w.handled.Load() != 1 {
		t.Errorf("%+v", got)
	}
}

// Only Methods are covered, if they are set, and errors with a code of NotKept leave their key free.
func TestMethodsAndNotKept(t *testing.T) {
	for _, c := range []struct {
		name   string
		config idempotency.Config
		code   codes.Code
		want   int64 // how often two calls with one key are handled
	}{
		{"its method", idempotency.Config{Methods: []string{unary[1:]}}, codes.OK, 1},
		{"another method", idempotency.Config{Methods: []string{"other.v1.*"}}, codes.OK, 2},
		{"kept by default", idempotency.Config{}, codes.NotFound, 1},
		{"not kept by default", idempotency.Config{}, codes.Aborted, 2},
		{"not kept", idempotency.Config{NotKept: []codes.Code{codes.NotFound}}, codes.NotFound, 2},
		{"kept", idempotency.Config{NotKept: []codes.Code{codes.NotFound}}, codes.Aborted, 1},
		{"all kept", idempotency.Config{NotKept: []codes.Code{}}, codes.Unavailable, 1},
	} {
		w := newWorld(t, idempotency.New(c.config))
		w.handle = func(context.Context) error { return status.Error(c.code, "") }
		for range 2 {
			if got := w.call(t.Context(), "a", "k"); hauberk.CodeOf(got.err) != c.code {
				t.Errorf("%s: %v; want %v", c.name, got.err, c.code)
			}
		}
		if got := w.handled.Load(); got != c.want {
			t.Errorf("%s: handled %d times; want %d", c.name, got, c.want)
		}
	}
}

// An outcome is kept for TTL, and a call lasts at most MaxRun.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, idempotency.New(idempotency.Config{TTL: time.Minute, MaxRun: time.Second}))
		w.wants("a 1", w.call(t.Context(), "a", "k"))
		after(59 * time.Second)
		w.wants("a 1", w.call(t.Context(), "a", "k"))
		after(time.Second)
		w.wants("a 2", w.call(t.Context(), "a", "k"))
		begun := time.Now()
		w.handle = func(ctx context.Context) error {
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		}
		got := w.call(t.Context(), "a", "long")
		if took := time.Since(begun); hauberk.CodeOf(got.err) != codes.DeadlineExceeded || took != time.Second {
			t.Errorf("%v after %v; want DEADLINE_EXCEEDED after 1s", got.err, took)
		}
	})
}

// Large outcomes, and those of a caller that an inner interceptor authenticates, are not answered to
// repeats, which execute nothing either.
func TestLost(t *testing.T) {
	small := newWorld(t, idempotency.New(idempotency.Config{MaxResultBytes: 50}))
	inverted := newWorld(t, idempotency.New(idempotency.Config{}), hauberk.Func(login))
	for _, w := range []*world{small, inverted} {
		if got := w.call(t.Context(), "a", "k", "user", "u"); got.err != nil {
			t.Error(got.err)
		}
		got := w.call(t.Context(), "a", "k", "user", "v")
		if hauberk.Reason(got.err) != idempotency.ReasonLost || w.handled.Load() != 1 {
			t.Errorf("%+v", got)
		}
	}
}

// The lease of a call that runs is renewed; that of an owner that crashed expires. A call whose lease
// cannot be renewed is cancelled.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: idempotency.NewMemory(idempotency.MemoryConfig{})}
		x := idempotency.New(idempotency.Config{Lease: 3 * time.Second}, idempotency.WithStore(store))
		w := newWorld(t, x)
		var cause error
		w.handle = func(ctx context.Context) error {
			select {
			case <-time.After(20 * time.Second):
				return nil
			case <-ctx.Done():
				cause = context.Cause(ctx)
				return cause
			}
		}
		first, second := w.start(t.Context(), "a", "k"), w.start(t.Context(), "a", "k")
		after(21 * time.Second)
		w.wants("a 1", first)
		w.wants("a 1", second)

		store.renew.Store(true)
		lost := w.start(t.Context(), "a", "l")
		after(10 * time.Second)
		if !lost.done.Load() || !errors.Is(cause, idempotency.ErrLeaseLost) {
			t.Errorf("%+v, ended by %v; want that the call is cancelled", lost, cause)
		}

		_, err := store.Begin(t.Context(), idempotency.Key{1}, "crashed", idempotency.Fingerprint{}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		r, err := store.Begin(t.Context(), idempotency.Key{1}, "other", idempotency.Fingerprint{}, time.Second)
		if err != nil || r.State != idempotency.Owned {
			t.Errorf("%+v, %v; want that the lease has expired", r, err)
		}
	})
}

// Calls end as configured while the store fails; an outcome that it does not take is logged.
func TestStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &faulty{Store: idempotency.NewMemory(idempotency.MemoryConfig{})}
		with := []idempotency.Option{
			idempotency.WithStore(store), idempotency.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		}
		closed := newWorld(t, idempotency.New(idempotency.Config{}, with...))
		open := newWorld(t, idempotency.New(idempotency.Config{FailOpen: true}, with...))
		for _, hang := range []bool{false, true} {
			store.begin.Store(true)
			store.hang.Store(hang)
			got := closed.call(t.Context(), "a", "k")
			if hauberk.Reason(got.err) != idempotency.ReasonUnavailable || closed.handled.Load() != 0 {
				t.Errorf("%+v", got)
			}
			if got := open.call(t.Context(), "a", "k"); got.err != nil {
				t.Errorf("%+v", got)
			}
		}
		store.begin.Store(false)
		store.finish.Store(true)
		closed.wants("a 1", closed.call(t.Context(), "a", "k"))
		after(time.Minute) // it is given the outcome until the lease has passed
		if !strings.Contains(log.String(), "did not take the outcome") {
			t.Errorf("log %q", log.String())
		}
	})
}

// New reports everything that is wrong.
func TestConfig(t *testing.T) {
	type config = idempotency.Config
	for want, x := range map[string]*idempotency.Interceptor{
		"TTL is -1ns":                idempotency.New(config{TTL: -1}),
		"TTL is 17520h":              idempotency.New(config{TTL: 2 * 8760 * time.Hour}),
		"Lease is 1ms":               idempotency.New(config{Lease: time.Millisecond}),
		"MaxRun is 1ns":              idempotency.New(config{MaxRun: 1}),
		"RetryAfter is -1ns":         idempotency.New(config{RetryAfter: -1}),
		"StoreTimeout is 1ns":        idempotency.New(config{StoreTimeout: 1}),
		"MaxKeyBytes is 5000":        idempotency.New(config{MaxKeyBytes: 5000}),
		"MaxResultBytes is -1":       idempotency.New(config{MaxResultBytes: -1}),
		"NotKept has OK":             idempotency.New(config{NotKept: []codes.Code{codes.OK}}),
		`Methods has "x"`:            idempotency.New(config{Methods: []string{"x"}}),
		"option 1 of New is nil":     idempotency.New(config{}, nil),
		"WithStore was given a nil":  idempotency.New(config{}, idempotency.WithStore(nil)),
		"WithLogger was given a nil": idempotency.New(config{}, idempotency.WithLogger(nil)),
		"a zero Memory":              idempotency.New(config{}, idempotency.WithStore(new(idempotency.Memory))),
		"MaxKeys is -1": idempotency.New(config{}, idempotency.WithStore(
			idempotency.NewMemory(idempotency.MemoryConfig{MaxKeys: -1, MaxBytes: 1}))),
		"a zero Interceptor": new(idempotency.Interceptor),
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}
