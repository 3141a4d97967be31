package hauberk_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// decider is an interceptor that decides by running f, for Shadow.
func decider(f hauberk.Func) hauberk.Interceptor {
	return &declared{f, hauberk.Declaration{Name: "decider", Decides: true, Authenticates: true}}
}

var (
	errInner  = hauberk.Reject(codes.Aborted, "INNER", "rejected inside")
	errDown   = status.Error(codes.Unavailable, "down")
	errLimits = hauberk.Reject(codes.ResourceExhausted, "LIMITED", "too many")
	wouldBe   = hauberk.Decision{Interceptor: "decider", Verdict: hauberk.Rejected, Reason: "LIMITED", Shadow: true}
)

// TestShadow runs what a decider may do, in every cell, on a call that succeeds
// and on one that fails: the outcome is always the real one.
func TestShadow(t *testing.T) {
	behaviours := map[string]struct {
		run  hauberk.Func
		want []hauberk.Decision // nil: the call is allowed
	}{
		"passes": {idle, nil},
		"rejects": {
			func(context.Context, *hauberk.Call, hauberk.Next) error { return errLimits },
			[]hauberk.Decision{wouldBe},
		},
		"rejects and says so": {
			func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				call.Decide(hauberk.Decision{Interceptor: "own", Rule: "100/1m", Verdict: hauberk.Rejected, Reason: "LIMITED"})
				return errLimits
			},
			[]hauberk.Decision{{Interceptor: "own", Rule: "100/1m", Verdict: hauberk.Rejected, Reason: "LIMITED", Shadow: true}},
		},
		"rejects and says so through the context": {
			func(ctx context.Context, _ *hauberk.Call, _ hauberk.Next) error {
				hauberk.FromContext(ctx).Decide(hauberk.Decision{Interceptor: "own", Verdict: hauberk.Rejected})
				return errLimits
			},
			[]hauberk.Decision{{Interceptor: "own", Verdict: hauberk.Rejected, Shadow: true}},
		},
		"allows in words and rejects": {
			func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				call.Decide(hauberk.Decision{Interceptor: "own"})
				return errLimits
			},
			[]hauberk.Decision{{Interceptor: "own", Shadow: true}, wouldBe},
		},
		"rejects without a reason": {
			func(context.Context, *hauberk.Call, hauberk.Next) error { return errors.New("database is down") },
			[]hauberk.Decision{{Interceptor: "decider", Verdict: hauberk.Rejected, Shadow: true}},
		},
		"says nothing and returns nil": {
			func(context.Context, *hauberk.Call, hauberk.Next) error { return nil },
			[]hauberk.Decision{{Interceptor: "decider", Verdict: hauberk.Rejected, Shadow: true}},
		},
		"replies instead": {
			func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				return call.Reply(&testpb.Response{Text: "shadow"})
			},
			[]hauberk.Decision{{Interceptor: "decider", Verdict: hauberk.Rejected, Shadow: true}},
		},
		"replies badly": {
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				_ = call.Reply(nil)
				return next(ctx, call)
			},
			nil,
		},
		"replies after next": {
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				_ = next(ctx, call)
				return call.Reply(&testpb.Response{Text: "shadow"})
			},
			nil,
		},
		"changes the error": {
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				_ = next(ctx, call)
				return status.Error(codes.DataLoss, "changed")
			},
			nil,
		},
		"rejects after next": {
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				return errors.Join(errLimits, next(ctx, call))
			},
			[]hauberk.Decision{wouldBe},
		},
		"swallows the error": {
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				_ = next(ctx, call)
				return nil
			},
			nil,
		},
		"passes on a context that is done": {
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return next(ctx, call)
			},
			nil,
		},
		"passes on no call": {
			func(ctx context.Context, _ *hauberk.Call, next hauberk.Next) error { return next(ctx, nil) },
			nil,
		},
		"drops messages": {
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnSend(func(any, func(any) error) error { return nil })
				call.OnReceive(func(any) (bool, error) { return false, nil })
				return next(ctx, call)
			},
			nil,
		},
		"repeats messages": {
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnSend(func(msg any, emit func(any) error) error { return errors.Join(emit(msg), emit(msg)) })
				return next(ctx, call)
			},
			nil,
		},
	}
	for name, b := range behaviours {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				for _, outcome := range []error{nil, errDown, errInner} {
					inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						return cmp.Or(next(ctx, call), outcome)
					})
					seen := make(decisions, 1)
					shadow := hauberk.Shadow(decider(b.run))
					env := c.Start(t, seen.interceptor(), shadow, inner)
					out := env.Call(t.Context(), "x", "y")
					wantCode(t, out.Err, status.Code(outcome))
					if outcome == nil || c.Kind.ServerStreams() {
						equal(t, "responses", out.Texts(), wantTexts(c.Kind, "x", "y"))
					}
					want := b.want
					if want == nil {
						want = []hauberk.Decision{{Interceptor: "decider", Verdict: hauberk.Allowed, Shadow: true}}
					}
					if got := <-seen; !slices.Equal(got, want) {
						t.Errorf("decisions:\n got %+v\nwant %+v", got, want)
					}
					rejections := int64(0)
					if b.want != nil {
						rejections = 1
					}
					if got := shadow.Rejections(); got != rejections {
						t.Errorf("%d rejections counted, want %d", got, rejections)
					}
				}
			})
		})
	}
}

// TestShadowOfHooks decides on messages: a rejection is counted once a call, and
// every message goes on.
func TestShadowOfHooks(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(decisions, 1)
		var j journal
		shadow := hauberk.Shadow(decider(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(msg any) (bool, error) {
				j.add(fmt.Sprintf("received %d", call.Received()))
				return true, errLimits
			})
			call.OnSend(func(msg any, emit func(any) error) error {
				if err := emit(msg); err != nil {
					return err
				}
				return errLimits
			})
			return next(ctx, call)
		}))
		env := c.Start(t, seen.interceptor(), shadow)
		out := env.Call(t.Context(), "x", "y", "z")
		wantCode(t, out.Err, codes.OK)
		equal(t, "responses", out.Texts(), wantTexts(c.Kind, "x", "y", "z"))
		if got := <-seen; !slices.Equal(got, []hauberk.Decision{wouldBe}) {
			t.Errorf("decisions %+v", got)
		}
		if got := shadow.Rejections(); got != 1 {
			t.Errorf("%d rejections counted, want 1", got)
		}
		streams := c.Kind.ClientStreams() && c.Side == hauberk.ServerSide || c.Kind == hauberk.Bidi
		if streams {
			equal(t, "counts in the hook", j.all(), []string{"received 1", "received 2", "received 3"})
		} else if got := len(j.all()); got != 1 {
			t.Errorf("the hook saw %d messages, want 1", got)
		}
	})
}

// TestShadowSeesTheCall lets an interceptor in shadow read what others can.
func TestShadowSeesTheCall(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			s.SetTrailer(metadata.Pairs("t", "trailer"))
			return errors.Join(s.SetHeader(metadata.Pairs("h", "header")), hauberktest.Echo(ctx, s))
		}}
		var got []string
		ended := make(chan struct{})
		shadow := hauberk.Shadow(decider(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			defer close(ended)
			call.CountMessages()
			call.CaptureMetadata()
			got = append(got, call.Method().FullName(), userKey.Or(ctx, "no one"))
			if !c.Kind.ClientStreams() {
				msg, err := call.Read(ctx)
				got = append(got, msg.(*testpb.Request).GetText(), fmt.Sprint(err))
			}
			err := next(ctx, call)
			got = append(got, fmt.Sprint("received ", call.Received(), " sent ", call.Sent(), " ", err))
			if !c.Kind.ServerStreams() {
				got = append(got, call.Response().(*testpb.Response).GetText())
			}
			got = append(got, fmt.Sprint(call.Header()["h"], call.Trailer()["t"]))
			tenantKey.Set(call, "from shadow")
			return err
		}))
		tenant := make(chan string, 1)
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			userKey.Set(call, "alice")
			err := next(ctx, call)
			tenant <- tenantKey.Or(ctx, "none")
			return err
		})
		env := c.StartWith(t, backend, outer, shadow)
		wantCode(t, env.Call(t.Context(), "x", "y").Err, codes.OK)
		<-ended

		want := []string{hauberktest.FullMethod(c.Kind), "alice"}
		received, sent := 1, 1
		if c.Kind.ClientStreams() {
			sent = 2
		} else {
			want = append(want, "x", "<nil>")
		}
		if c.Kind == hauberk.Bidi {
			received = 2
		}
		if c.Side == hauberk.ServerSide {
			received, sent = sent, received
		}
		want = append(want, fmt.Sprint("received ", received, " sent ", sent, " <nil>"))
		if !c.Kind.ServerStreams() {
			want = append(want, wantTexts(c.Kind, "x", "y")[0])
		}
		if c.Side == hauberk.ClientSide {
			want = append(want, "[header] [trailer]")
		} else {
			want = append(want, "[] []")
		}
		equal(t, "what the interceptor saw", got, want)
		if got := <-tenant; got != "from shadow" {
			t.Errorf("state set in shadow: %q", got)
		}
	})
}

// TestShadowMarksItsOwnDecisions puts interceptors that decide outside, inside and
// between two in shadow.
func TestShadowMarksItsOwnDecisions(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(decisions, 1)
		says := func(name string) hauberk.Decision { return hauberk.Decision{Interceptor: name} }
		aside := func(name string) *hauberk.Shadowed {
			return hauberk.Shadow(decider(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.Decide(says(name + " in"))
				err := next(ctx, call)
				call.Decide(says(name + " out"))
				return err
			}))
		}
		env := c.Start(t, seen.interceptor(), decide(says("a")), aside("b"), decide(says("c")),
			hauberk.Shadow(aside("d")), decide(says("e")))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		var got []string
		for _, d := range <-seen {
			got = append(got, fmt.Sprint(d.Interceptor, " ", d.Shadow))
		}
		equal(t, "decisions", got, []string{
			"a false", "b in true", "b out true", "c false", "d in true", "d out true", "e false",
		})
	})
}

// TestShadowOfPanics: a panic of an interceptor in dry run is contained, and recorded
// as a rejection that is not enforced. Later decisions are not marked.
func TestShadowOfPanics(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(decisions, 1)
		after := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			call.Decide(hauberk.Decision{Interceptor: "after"})
			return err
		})
		panics := hauberk.Shadow(decider(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("on purpose") }))
		env := c.Start(t, guard{idle}, seen.interceptor(), after, panics)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		want := []hauberk.Decision{{Interceptor: "after"}, {Interceptor: "decider", Verdict: hauberk.Rejected, Reason: "PANIC", Shadow: true}}
		if got := <-seen; !slices.Equal(got, want) {
			t.Errorf("decisions %+v, want %+v", got, want)
		}
	})
}

// TestShadowReportsPanics: the Guard of a chain receives the panics of an interceptor in dry run
// and of its hooks, with their stacks.
func TestShadowReportsPanics(t *testing.T) {
	for name, x := range map[string]hauberk.Func{
		"interceptor": func(context.Context, *hauberk.Call, hauberk.Next) error { panic("on purpose") },
		"hook": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(any) (bool, error) { panic("on purpose") })
			return next(ctx, call)
		},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var logged bytes.Buffer
				guard := recovery.New(recovery.Config{LogValues: true}, recovery.WithLogger(slog.New(slog.NewTextHandler(&logged, nil))))
				env := c.Start(t, guard, hauberk.Shadow(decider(x)))
				wantCode(t, env.Call(t.Context()).Err, codes.OK)
				if n := guard.Panics(); n != 1 {
					t.Errorf("%d panics counted, want 1", n)
				}
				if log := logged.String(); !strings.Contains(log, "on purpose") || !strings.Contains(log, "shadow_test.go") {
					t.Errorf("the log has no value or no stack:\n%s", log)
				}
			})
		})
	}
}

// TestShadowNames records a rejection under the name that the chain has for the
// interceptor.
func TestShadowNames(t *testing.T) {
	reject := func(context.Context, *hauberk.Call, hauberk.Next) error { return errLimits }
	for want, x := range map[string]hauberk.Interceptor{
		"decider": hauberk.Shadow(decider(reject)),
		"outside": hauberk.Named("outside", hauberk.Shadow(decider(reject))),
		"inside":  hauberk.Shadow(hauberk.Named("inside", decider(reject))),
		"both":    hauberk.Named("both", hauberk.Shadow(hauberk.Named("inside", decider(reject)))),
	} {
		seen := make(decisions, 1)
		if err := unaryHandler(hauberk.Must(hauberk.New(seen.interceptor(), x)))(); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; len(got) != 1 || got[0].Interceptor != want {
			t.Errorf("%s: decisions %+v", want, got)
		}
	}
}

// TestShadowConcurrently makes concurrent calls through one interceptor in
// shadow.
func TestShadowConcurrently(t *testing.T) {
	const goroutines, each = 8, 25
	shadow := hauberk.Shadow(decider(func(context.Context, *hauberk.Call, hauberk.Next) error { return errLimits }))
	marked := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if d := call.Decisions().All(); len(d) != 1 || d[0] != wouldBe {
			t.Errorf("decisions %+v", d)
		}
		return err
	})
	chain := hauberk.Must(hauberk.New(marked, shadow))
	var wg sync.WaitGroup
	for _, kind := range allKinds {
		for range goroutines {
			wg.Go(func() {
				call := clientCall(chain, kind)
				for range each {
					if err := call(); err != nil {
						t.Errorf("%s: %v", kind, err)
					}
				}
			})
		}
	}
	wg.Wait()
	if got, want := shadow.Rejections(), int64(len(allKinds)*goroutines*each); got != want {
		t.Errorf("%d rejections counted, want %d", got, want)
	}
}

// A call reports a dry run to its interceptor alone, so that it need not wait for what it does not enforce.
func TestDryRun(t *testing.T) {
	var shadowed, outside bool
	look := func(to *bool) hauberk.Func {
		return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			*to = call.DryRun()
			return next(ctx, call)
		}
	}
	chain := hauberk.Must(hauberk.New(hauberk.Shadow(decider(look(&shadowed))), look(&outside)))
	if err := unaryHandler(chain)(); err != nil || !shadowed || outside {
		t.Errorf("dry run: %t in Shadow, %t inside of it; %v", shadowed, outside, err)
	}
}
