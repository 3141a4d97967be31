package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// hourly is a limit whose permits do not return during a test.
func hourly(permits int, cost ratelimit.Cost) ratelimit.Config {
	return ratelimit.Config{Limit: permits, Per: 1000 * time.Hour, Burst: permits, By: callkey.Global(), Cost: cost}
}

// admitted returns how many calls a limiter admits before it rejects one.
func admitted(t *testing.T, serve func(ctx context.Context) error, ctx context.Context) int { //nolint:revive // t is first
	t.Helper()
	for n := range 1000 {
		if err := serve(ctx); err != nil {
			wantCode(t, err, codes.ResourceExhausted)
			return n
		}
	}
	t.Fatal("no call is rejected")
	return 0
}

// A call takes as many permits as its method costs, by the most specific pattern.
func TestCostOfMethods(t *testing.T) {
	service := testpb.TestService_ServiceDesc.ServiceName // in the package hauberk.test.v1
	for _, c := range []struct {
		name string
		cost ratelimit.Cost
		want int
	}{
		{"the default", ratelimit.Cost{}, 12},
		{"a call", ratelimit.Cost{Call: 3}, 4},
		{"one above the burst", ratelimit.Cost{Of: costs(13)}, 0},
		{"a method", ratelimit.Cost{Methods: map[string]int{service + "/Unary": 2, service + "/*": 3, "*": 12}}, 6},
		{"a service", ratelimit.Cost{Methods: map[string]int{service + "/Bidi": 2, service + "/*": 3, "hauberk.*": 12}}, 4},
		{"a package", ratelimit.Cost{Methods: map[string]int{"hauberk.*": 2, "hauberk.test.*": 6, "*": 12}}, 2},
		{"all", ratelimit.Cost{Methods: map[string]int{"a.*": 2, "*": 12}}, 1},
		{"another method", ratelimit.Cost{Call: 4, Methods: map[string]int{service + "/Bidi": 1}}, 3},
		{"a function", ratelimit.Cost{Call: 4, Of: costs(6)}, 2},
		{"a cost of some calls", ratelimit.Cost{Call: 4, Of: partial{6, true}}, 2},
		{"a cost of no call", ratelimit.Cost{Call: 4, Of: partial{6, false}}, 3},
		{"a cost of no call, and methods", ratelimit.Cost{Of: partial{}, Methods: map[string]int{"*": 6}}, 2},
		{"a cost of no call, and the default", ratelimit.Cost{Of: partial{}}, 12},
		{"a cost of no call, and messages", ratelimit.Cost{Of: partial{}, Message: 1, Messages: ratelimit.Responses}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			limiter := ratelimit.New(hourly(12, c.cost))
			if got := admitted(t, server(t, login{}, limiter), t.Context()); got != c.want {
				t.Errorf("%d calls admitted, want %d", got, c.want)
			}
		})
	}
}

// costs returns a cost of all calls.
func costs(permits int) ratelimit.CostFunc {
	return func(context.Context, *hauberk.Call) int { return permits }
}

// partial is a cost that calls may not have.
type partial struct {
	permits int
	ok      bool
}

func (p partial) Of(context.Context, *hauberk.Call) (int, bool) { return p.permits, p.ok }
func (partial) Reads() []hauberk.StateKey                       { return []hauberk.StateKey{userKey} }
func (partial) Err() error                                      { return nil }

// A limit whose cost reads state runs inside the interceptor that writes it, like one by this state.
func TestCostReadsState(t *testing.T) {
	limiter := ratelimit.New(hourly(1, ratelimit.Cost{Of: partial{1, true}}))
	if d := limiter.Declare(); len(d.Reads) != 1 || d.Reads[0] != hauberk.StateKey(userKey) || d.Phase != hauberk.PhaseLimit {
		t.Errorf("declaration %+v", d)
	}
	if _, err := hauberk.New(limiter, login{}); err == nil || !strings.Contains(err.Error(), `"user"`) {
		t.Errorf("outside of authentication: %v", err)
	}
	if _, err := hauberk.New(login{}, limiter); err != nil {
		t.Error(err)
	}
}

// Calls that cost nothing are not limited.
func TestFreeCalls(t *testing.T) {
	for _, cost := range []ratelimit.Cost{
		{Methods: map[string]int{"*": 0}},
		{Of: ratelimit.CostFunc(func(context.Context, *hauberk.Call) int { return -1 })},
	} {
		serve := server(t, ratelimit.New(hourly(1, cost)))
		for range 10 {
			wantCode(t, serve(t.Context()), codes.OK)
		}
	}
}

// A call that costs more than the burst has no time at which it would be admitted.
func TestNever(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		outcome := c.Start(t, ratelimit.New(hourly(1, ratelimit.Cost{Of: costs(2)}))).Call(t.Context())
		wantRejection(t, outcome.Err, "everything", -1)
		want := []string{"-1"}
		if c.Side == hauberk.ClientSide {
			want = nil
		}
		if got := outcome.Trailer["grpc-retry-pushback-ms"]; len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Errorf("pushback %q, want %q", got, want)
		}
	})
}

// ledger is a backend that counts what its handlers get and send.
type ledger struct{ requests, responses, calls atomic.Int64 }

func (l *ledger) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		l.calls.Add(1)
		var last *testpb.Request
		for {
			req, err := s.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			l.requests.Add(1)
			last = req
		}
		for range max(last.GetCount(), 1) {
			if err := s.Send(&testpb.Response{Text: last.GetText()}); err != nil {
				return err
			}
			l.responses.Add(1)
		}
		return nil
	}}
}

// The message for which there is no permit ends its call; those before it have arrived.
func TestRequestsAreCounted(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var l ledger
		clock := hauberktest.NewClock()
		limiter := ratelimit.New(hourly(3, ratelimit.Cost{Message: 1}), ratelimit.WithClock(clock.Now))
		env := c.StartWith(t, l.backend(), limiter)
		if c.Kind.ClientStreams() {
			wantRejection(t, env.Call(t.Context(), "a", "b", "c", "d", "e").Err, "everything", 1000*time.Hour/3)
		} else {
			for range 3 {
				wantCode(t, env.Call(t.Context()).Err, codes.OK)
			}
			wantRejection(t, env.Call(t.Context()).Err, "everything", 1000*time.Hour/3)
		}
		if n := l.requests.Load(); n > 3 || c.Side == hauberk.ServerSide && n != 3 {
			t.Errorf("the handler has got %d requests, want 3", n)
		}
	})
}

// Responses are counted where they come from, on both sides.
func TestResponsesAreCounted(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		cost := ratelimit.Cost{Message: 1, Messages: ratelimit.Responses}
		env := c.Start(t, ratelimit.New(hourly(3, cost)))
		got := 0
		if c.Kind.ServerStreams() {
			out := env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{{Text: "a", Count: 5}})
			got = len(out.Responses)
			wantCode(t, out.Err, codes.ResourceExhausted)
		} else {
			for range 4 {
				out := env.Call(t.Context())
				if got == 3 {
					wantCode(t, out.Err, codes.ResourceExhausted)
					break
				}
				wantCode(t, out.Err, codes.OK)
				got++
			}
		}
		if got != 3 {
			t.Errorf("%d responses, want 3", got)
		}
	})
}

// Bytes are those of the encoded message.
func TestBytesAreCounted(t *testing.T) {
	text := strings.Repeat("x", 100)
	size := proto.Size(&testpb.Request{Text: text})
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		env := c.Start(t, ratelimit.New(hourly(3*size+size/2, ratelimit.Cost{Byte: 1})))
		for range 3 {
			wantCode(t, env.Call(t.Context(), text).Err, codes.OK)
		}
		wantCode(t, env.Call(t.Context(), text).Err, codes.ResourceExhausted)
		wantCode(t, env.Call(t.Context(), "").Err, codes.OK) // a smaller one fits
	})
}

// A message without bytes is free, as is a call that costs nothing: it needs no store, does not wait for others, and
// passes if the quota is in debt.
func TestFreeMessages(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		config := hourly(10, ratelimit.Cost{Byte: 1, Charged: true})
		config.Shared.Fail = ratelimit.FailClosed
		s := new(store)
		wantCode(t, c.Start(t, ratelimit.New(config, ratelimit.WithStore(s), quiet)).Call(t.Context(), "").Err, codes.OK)
		if s.count() != 0 {
			t.Errorf("the store was asked %d times for nothing", s.count())
		}
		config.Shared, config.OverLimit = ratelimit.Shared{}, ratelimit.Wait
		limiter := ratelimit.New(config)
		env := c.StartWith(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if c.Side == hauberk.ServerSide {
				if err := limiter.Charge(ctx, 20); err != nil { // in debt
					return err
				}
			}
			return hauberktest.Echo(ctx, s)
		}}, limiter)
		wantCode(t, env.Call(t.Context(), "").Err, codes.OK)
	})
}

// Messages of other codecs have a size if they are bytes.
func TestSizesOfMessages(t *testing.T) {
	bytes := []byte("12345")
	for _, c := range []struct {
		msg  any
		want int
	}{{bytes, 5}, {&bytes, 5}, {mem.BufferSlice{mem.SliceBuffer(bytes)}, 5}, {"text", 0}, {nil, 0}} {
		limiter := ratelimit.New(hourly(5, ratelimit.Cost{Byte: 1}))
		var first, second error
		sends := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(_ any, emit func(any) error) error {
				first = emit(c.msg)
				second = emit(c.msg)
				return errors.Join(first, second)
			})
			return next(ctx, call)
		})
		conn := chainOf(t, sends, limiter).ClientConn(hauberktest.Conn{})
		stream, err := testpb.NewTestServiceClient(conn).Bidi(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&testpb.Request{})
		if rejected := hauberk.Reason(second) == ratelimit.ReasonLimited; rejected != (c.want == 5) || hauberk.Reason(first) != "" {
			t.Errorf("%T: %v, then %v", c.msg, first, second)
		}
		_ = stream.CloseSend()
		_, _ = stream.Recv()
	}
}

// With Wait, messages are delayed until there are permits, and none is lost.
func TestWait(t *testing.T) {
	for _, c := range hauberktest.Cases() {
		t.Run(c.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := ratelimit.Config{
					Limit: 1, Per: time.Second, By: callkey.Global(), OverLimit: ratelimit.Wait,
					Cost: ratelimit.Cost{Message: 1, Messages: ratelimit.BothMessages},
				}
				var l ledger
				env := c.StartWith(t, l.backend(), ratelimit.New(config))
				start, texts := time.Now(), []string{"a", "b", "c"}
				if !c.Kind.ClientStreams() {
					texts = texts[:1]
				}
				wantCode(t, env.Call(t.Context(), texts...).Err, codes.OK)
				messages := len(texts) + 1
				if took := time.Since(start); took != time.Duration(messages-1)*time.Second {
					t.Errorf("%d messages took %v", messages, took)
				}
				if n := l.requests.Load(); n != int64(len(texts)) {
					t.Errorf("the handler has got %d requests, want %d", n, len(texts))
				}
			})
		})
	}
}

// A message does not wait beyond the deadline of its call, nor for what can never be.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := ratelimit.Config{
			Limit: 1, Per: time.Hour, By: callkey.Global(), OverLimit: ratelimit.Wait, Cost: ratelimit.Cost{Message: 1},
		}
		limiter := ratelimit.New(config)
		env := hauberktest.Case{Kind: hauberk.Bidi}.Start(t, limiter)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantCode(t, env.Call(ctx).Err, codes.ResourceExhausted)
		if took := time.Since(start); took != 0 {
			t.Errorf("the call has waited for %v", took)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		wantCode(t, env.Call(ctx).Err, codes.Canceled)
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the call has waited for %v", took)
		}
		text := strings.Repeat("x", 10)
		config.Cost = ratelimit.Cost{Byte: 1}
		env = hauberktest.Case{Kind: hauberk.Bidi}.Start(t, ratelimit.New(config))
		wantCode(t, env.Call(t.Context(), text).Err, codes.ResourceExhausted)
	})
}

// In dry run messages are neither rejected nor delayed, and the decisions say what would be.
func TestMessagesInShadow(t *testing.T) {
	for _, over := range []ratelimit.OverLimit{ratelimit.End, ratelimit.Wait} {
		hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
			config := hourly(1, ratelimit.Cost{Message: 1, Messages: ratelimit.BothMessages})
			config.OverLimit, config.Headers = over, ratelimit.AllHeaders
			seen := observe()
			out := c.Start(t, seen, hauberk.Shadow(ratelimit.New(config))).Call(t.Context())
			wantCode(t, out.Err, codes.OK)
			<-seen.ended
			if len(seen.decisions) == 0 || !seen.decisions[0].Shadow || seen.decisions[0].Reason != ratelimit.ReasonLimited {
				t.Errorf("decisions %+v", seen.decisions)
			}
			for key := range out.Header {
				if strings.Contains(key, "ratelimit") {
					t.Errorf("the header has %s", key)
				}
			}
		})
	}
}
