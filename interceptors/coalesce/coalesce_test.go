package coalesce_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
)

var all = []string{"hauberk.test.v1.TestService/*"}

func shared() coalesce.Config { return coalesce.Config{Methods: all, AcrossIdentities: true} }

func number(x *coalesce.Interceptor, name string) float64 {
	for _, m := range x.Measurements() {
		if m.Name == name {
			return m.Value
		}
	}
	return -1
}

// Equal unary calls in flight are one call, on both sides, and each gets the answer, the header and
// the trailer. Streams pass.
func TestKinds(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		const callers = 10
		var handled, waiting atomic.Int64
		release := make(chan struct{})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			handled.Add(1)
			<-release
			_ = grpc.SetHeader(ctx, metadata.Pairs("h", "1"))
			_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))
			return hauberktest.Echo(ctx, s)
		}}
		arrive := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if waiting.Add(1) == callers {
				defer close(release)
				return errors.New("the last one only releases the others")
			}
			return next(ctx, call)
		})
		x := coalesce.New(shared())
		env := c.StartWith(t, backend, arrive, x)
		var wg sync.WaitGroup
		for range callers - 1 {
			wg.Go(func() {
				out := env.Call(t.Context())
				if out.Err != nil || out.Texts()[0] != "echo:hello" || out.Header.Get("h") == nil || out.Trailer.Get("t") == nil {
					t.Errorf("outcome %+v", out)
				} else {
					out.Responses[0].Text = "changed" // -race finds a message that is shared
				}
			})
		}
		for waiting.Load() < callers-1 || c.Kind == hauberk.Unary && handled.Load() == 0 {
			runtime.Gosched()
		}
		env.Call(t.Context())
		wg.Wait()
		if got, flights := handled.Load(), number(x, "coalesce_flights_total"); c.Kind == hauberk.Unary {
			if float64(got) != flights || got >= callers-1 {
				t.Errorf("%d calls were handled in %v flights", got, flights)
			}
		} else if got != callers-1 || flights != 0 {
			t.Errorf("%d streams were handled, %v flights", got, flights)
		}
		if n := number(x, "coalesce_flights"); n != 0 {
			t.Errorf("%v flights are left", n)
		}
	})
}

// world makes calls of a server's chain without a network.
type world struct {
	t         *testing.T
	intercept func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error)
	handle    func(ctx context.Context) (string, error)
	handled   atomic.Int64
}

func newWorld(t *testing.T, interceptors ...hauberk.Interceptor) *world {
	return &world{t: t, intercept: hauberk.Must(hauberk.New(interceptors...)).UnaryServerInterceptor()}
}

func (w *world) call(ctx context.Context, pairs ...string) (string, error) {
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
	ctx = grpc.NewContextWithServerTransportStream(ctx, new(hauberktest.TransportStream))
	info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_Unary_FullMethodName}
	got, err := w.intercept(ctx, &testpb.Request{}, info, func(ctx context.Context, _ any) (any, error) {
		w.handled.Add(1)
		text, err := w.handle(ctx)
		return &testpb.Response{Text: text}, err
	})
	if err != nil {
		return "", err
	}
	return got.(*testpb.Response).GetText(), nil
}

// caller is a call on a goroutine.
type caller struct {
	done  atomic.Bool // the others are set
	text  string
	err   error
	panic any
}

func (w *world) start(ctx context.Context, pairs ...string) *caller {
	c := new(caller)
	go func() {
		defer func() {
			c.panic = recover()
			c.done.Store(true)
		}()
		c.text, c.err = w.call(ctx, pairs...)
	}()
	synctest.Wait()
	return c
}

// The first caller's cancel, and each caller's deadline, end only that caller; the last one's end the
// flight, after which a call begins another.
func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := coalesce.New(shared())
		w := newWorld(t, x)
		release := make(chan struct{})
		var deadlines []string
		var ended error
		begin := time.Now()
		w.handle = func(ctx context.Context) (string, error) {
			note := func() {
				d, ok := ctx.Deadline()
				deadlines = append(deadlines, fmt.Sprint(d.Sub(begin), ok))
			}
			note()
			select {
			case <-release:
				note()
				return "answer", ctx.Err()
			case <-ctx.Done():
				ended = ctx.Err()
				return "", ctx.Err()
			}
		}
		within := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		first, cancel := context.WithCancel(within(time.Second))
		a, b, c := w.start(first), w.start(within(2*time.Second)), w.start(within(time.Minute))
		cancel()
		synctest.Wait()
		if !a.done.Load() || status.Code(a.err) != codes.Canceled || b.done.Load() || c.done.Load() {
			t.Fatalf("after the first left: %+v, %+v, %+v", a, b, c)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if !b.done.Load() || status.Code(b.err) != codes.DeadlineExceeded || c.done.Load() || w.handled.Load() != 1 {
			t.Fatalf("after a deadline: %+v, %+v, %d handled", b, c, w.handled.Load())
		}
		close(release)
		synctest.Wait()
		if c.text != "answer" || c.err != nil || len(deadlines) != 2 || deadlines[0] != "1s true" || deadlines[1] != "1m0s true" {
			t.Errorf("%+v; deadlines %q", c, deadlines)
		}
		release = make(chan struct{})
		d := w.start(within(time.Second))
		<-time.After(time.Second)
		synctest.Wait()
		if status.Code(d.err) != codes.DeadlineExceeded || !errors.Is(ended, context.Canceled) {
			t.Errorf("%+v; the flight ended with %v", d, ended)
		}
		close(release)
		if text, err := w.call(t.Context()); text != "answer" || err != nil || w.handled.Load() != 3 {
			t.Errorf("%q, %v, %d handled", text, err, w.handled.Load())
		}
		if n := number(x, "coalesce_flights"); n != 0 {
			t.Errorf("%v flights are left", n)
		}
	})
}

// A flight that ends because of the deadline that it began with does not end a caller with more time.
func TestEarlyDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, coalesce.New(shared()))
		w.handle = func(ctx context.Context) (string, error) {
			if w.handled.Load() > 1 {
				return "second", nil
			}
			d, _ := ctx.Deadline() // as grpc-timeout is sent once
			<-time.After(time.Until(d))
			return "", status.Error(codes.DeadlineExceeded, "")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, b, c := w.start(ctx), w.start(t.Context()), w.start(t.Context())
		<-time.After(time.Second)
		synctest.Wait()
		if status.Code(a.err) != codes.DeadlineExceeded || b.text != "second" || c.text != "second" || w.handled.Load() > 3 {
			t.Errorf("%+v, %+v, %+v, %d handled", a, b, c, w.handled.Load())
		}
	})
}

// All callers get a panic, the end of the goroutine, an error or a rejection of the flight.
func TestEndings(t *testing.T) {
	full := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if call.Metadata(ctx, "full") != nil {
			<-time.After(time.Second)
			return hauberk.Reject(codes.ResourceExhausted, "FULL", "full")
		}
		return next(ctx, call)
	}
	for name, c := range map[string]struct {
		handle func() (string, error)
		pairs  []string
		panic  any
		code   codes.Code
	}{
		"panic":     {func() (string, error) { panic("value") }, nil, "value", codes.OK},
		"goexit":    {func() (string, error) { runtime.Goexit(); return "", nil }, nil, nil, codes.Internal},
		"error":     {func() (string, error) { return "", status.Error(codes.NotFound, "") }, nil, nil, codes.NotFound},
		"rejection": {nil, []string{"full", "1"}, nil, codes.ResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var decisions atomic.Int64
				outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					err := next(ctx, call)
					for _, d := range call.Decisions().Recorded() {
						if d.Verdict == hauberk.Rejected {
							decisions.Add(1)
						}
					}
					return err
				}
				config := shared()
				config.Metadata = []string{"full"}
				w := newWorld(t, hauberk.Func(outer), coalesce.New(config), hauberk.Func(full))
				w.handle = func(context.Context) (string, error) {
					<-time.After(time.Second)
					return c.handle()
				}
				all := []*caller{w.start(t.Context(), c.pairs...), w.start(t.Context(), c.pairs...)}
				<-time.After(time.Second)
				synctest.Wait()
				for _, got := range all {
					if !got.done.Load() || got.panic != c.panic || status.Code(hauberk.StatusOf(got.err).Err()) != c.code {
						t.Errorf("%+v", got)
					}
				}
				if name == "rejection" && decisions.Load() != 2 {
					t.Errorf("%d rejections were recorded; want one for each call", decisions.Load())
				}
			})
		})
	}
}

// A panic after all callers have left is logged.
func TestLatePanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := newWorld(t, coalesce.New(shared(), coalesce.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))))
		w.handle = func(ctx context.Context) (string, error) { <-ctx.Done(); panic("late") }
		ctx, cancel := context.WithCancel(t.Context())
		w.start(ctx)
		cancel()
		synctest.Wait()
		if !strings.Contains(log.String(), "panic=late") {
			t.Errorf("log %q", log.String())
		}
	})
}

// Calls of different identities, or that want their own answer, are not equal. What an inner interceptor
// authenticates is not shared.
func TestSeparate(t *testing.T) {
	login := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if user := call.Metadata(ctx, "user"); len(user) > 0 {
			hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: user[0]})
		}
		return next(ctx, call)
	}
	identities, byLanguage := coalesce.Config{Methods: all}, shared()
	byLanguage.Metadata = []string{"accept-language"}
	for _, c := range []struct {
		name   string
		chain  []hauberk.Interceptor
		a, b   []string
		shared bool
	}{
		{"one user", []hauberk.Interceptor{hauberk.Func(login), coalesce.New(identities)}, []string{"user", "u"}, []string{"user", "u"}, true},
		{"two users", []hauberk.Interceptor{hauberk.Func(login), coalesce.New(identities)}, []string{"user", "u"}, []string{"user", "v"}, false},
		{"no user", []hauberk.Interceptor{coalesce.New(identities)}, nil, nil, false},
		{"no-cache", []hauberk.Interceptor{coalesce.New(shared())}, nil, []string{"cache-control", "No-Cache"}, false},
		{"one language", []hauberk.Interceptor{coalesce.New(byLanguage)}, []string{"accept-language", "de"}, []string{"accept-language", "de"}, true},
		{"two languages", []hauberk.Interceptor{coalesce.New(byLanguage)}, []string{"accept-language", "de"}, []string{"accept-language", "en"}, false},
		{"any language", []hauberk.Interceptor{coalesce.New(shared())}, []string{"accept-language", "de"}, []string{"accept-language", "en"}, true},
		{"outside of authentication", []hauberk.Interceptor{coalesce.New(shared()), hauberk.Func(login)}, []string{"user", "u"}, []string{"user", "v"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, c.chain...)
				w.handle = func(ctx context.Context) (string, error) {
					<-time.After(time.Second)
					id, _ := hauberk.IdentityKey.FromContext(ctx)
					return id.String(), nil
				}
				a, b := w.start(t.Context(), c.a...), w.start(t.Context(), c.b...)
				<-time.After(3 * time.Second)
				synctest.Wait()
				want := int64(2)
				if c.shared {
					want = 1
				}
				if a.err != nil || b.err != nil || w.handled.Load() != want {
					t.Errorf("%+v, %+v, %d handled; want %d", a, b, w.handled.Load(), want)
				}
				if len(c.b) == 2 && c.b[0] == "user" && b.text != c.b[1] {
					t.Errorf("%s got the answer for %s", c.b[1], b.text)
				}
			})
		})
	}
}

// New reports what is wrong, and a key function that panics is an error of its call.
func TestConfig(t *testing.T) {
	for want, x := range map[string]*coalesce.Interceptor{
		`Methods has "x"`:            coalesce.New(coalesce.Config{Methods: []string{"x"}}),
		`Metadata has "a b"`:         coalesce.New(coalesce.Config{Metadata: []string{"a b"}}),
		"option 1 of New is nil":     coalesce.New(coalesce.Config{}, nil),
		"WithKey was given a nil":    coalesce.New(coalesce.Config{}, coalesce.WithKey(nil)),
		"WithLogger was given a nil": coalesce.New(coalesce.Config{}, coalesce.WithLogger(nil)),
		"a zero Interceptor":         new(coalesce.Interceptor),
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	bad := coalesce.WithKey(func(context.Context, *hauberk.Call, any) (string, bool) { panic("x") })
	w := newWorld(t, coalesce.New(shared(), bad))
	if _, err := w.call(t.Context()); hauberk.Reason(err) != coalesce.ReasonKeyPanicked {
		t.Errorf("%v", err)
	}
}
