package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestMessages: what becomes of the messages of each kind and side, with a fault of each of them. Of streamed messages
// the table has the requests that the handler gets and the responses that the client gets.
func TestMessages(t *testing.T) {
	lost := codes.Unavailable
	for _, c := range []struct {
		messages fault.Messages
		kind     hauberk.Kind
		server   string // code, calls handled, requests handled, texts of responses
		client   string
	}{
		{fault.Messages{Direction: fault.Requests, Drop: 100}, hauberk.Unary, fmt.Sprint(lost, 0, 0), fmt.Sprint(lost, 0, 0)},
		{fault.Messages{Direction: fault.Responses, Drop: 100}, hauberk.Unary, fmt.Sprint(lost, 1, 1), fmt.Sprint(lost, 1, 1)},
		{fault.Messages{Duplicate: 100}, hauberk.Unary, "OK 1 1 echo:a", "OK 1 1 echo:a"},

		{fault.Messages{Direction: fault.Requests, Drop: 100}, hauberk.ClientStream, "OK 1 0 echo:", "OK 1 0 echo:"},
		{fault.Messages{Direction: fault.Responses, Drop: 100}, hauberk.ClientStream, fmt.Sprint(lost, 1, 2), fmt.Sprint(lost, 1, 2)},
		{fault.Messages{Duplicate: 100}, hauberk.ClientStream, "OK 1 2 echo:a,b", "OK 1 4 echo:a,a,b,b"},

		{fault.Messages{Direction: fault.Requests, Drop: 100}, hauberk.ServerStream, fmt.Sprint(lost, 0, 0), fmt.Sprint(lost, 0, 0)},
		{fault.Messages{Direction: fault.Responses, Drop: 100}, hauberk.ServerStream, "OK 1 1", "OK 1 1"},
		{fault.Messages{Duplicate: 100}, hauberk.ServerStream, "OK 1 1 2×echo:a", "OK 1 1 echo:a"},

		{fault.Messages{Direction: fault.Requests, Drop: 100}, hauberk.Bidi, "OK 1 0", "OK 1 0"},
		{fault.Messages{Direction: fault.Responses, Drop: 100}, hauberk.Bidi, "OK 1 2", "OK 1 2"},
		{fault.Messages{Duplicate: 100}, hauberk.Bidi, "OK 1 2 2×echo:a 2×echo:b", "OK 1 4 2×echo:a 2×echo:b"},
	} {
		for side, want := range map[hauberk.Side]string{hauberk.ServerSide: c.server, hauberk.ClientSide: c.client} {
			t.Run(fmt.Sprintf("%+v/%v/%v", c.messages, side, c.kind), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				b := newCounting()
				x := fault.New(one(fault.Rule{Messages: &c.messages}))
				env := hauberktest.Case{Side: side, Kind: c.kind}.StartWith(t, &b.Backend, x)
				out := env.Call(t.Context(), "a", "b")
				got := fmt.Sprint(hauberk.CodeOf(out.Err), b.calls, b.requests)
				got += " " + twice(out.Texts())
				if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
					t.Errorf("got %q; want %q", got, want)
				}
				if out.Err != nil && hauberk.Reason(out.Err) != fault.ReasonDropped {
					t.Errorf("the call ended with %v", out.Err)
				}
			})
		}
	}
}

// TestMessageDelay: each message is delayed, and the order stays.
func TestMessageDelay(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
		synctest.Test(t, func(t *testing.T) {
			x := fault.New(one(fault.Rule{Messages: &fault.Messages{Delay: 100, DelayFor: time.Second}}))
			env := m.Start(t, x)
			begin := time.Now()
			out := env.Call(t.Context(), "a", "b", "c")
			wantCode(t, out.Err, codes.OK)
			requests, responses := 1, 1
			if m.Kind.ClientStreams() {
				requests = 3
			}
			if m.Kind == hauberk.Bidi {
				responses = 3
			}
			most := time.Duration(requests+responses) * time.Second
			if took := time.Since(begin); took > most || took < time.Duration(max(requests, responses))*time.Second {
				t.Errorf("%d requests and %d responses took %v", requests, responses, took)
			}
			if n := value(x, "fault_injected_totalmessage_delay"); n != float64(requests+responses) {
				t.Errorf("%v messages were delayed", n)
			}
			want := map[bool]string{true: "echo:a,echo:b,echo:c", false: "echo:a"}[m.Kind == hauberk.Bidi]
			if got := strings.Join(out.Texts(), ","); m.Kind != hauberk.ClientStream && got != want {
				t.Errorf("responses are %q", got)
			}
		})
	})
}

// TestDelayedMessageOfEndedStream: a delayed message does not hold up the end of a stream of a client that the server has
// ended.
func TestDelayedMessageOfEndedStream(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
					return status.Error(codes.NotFound, "over")
				}}
				delay := &fault.Messages{Direction: fault.Requests, Delay: 100, DelayFor: time.Hour}
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, b, fault.New(one(fault.Rule{Messages: delay})))
				desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: kind.ServerStreams()}
				stream, err := env.Conn.NewStream(t.Context(), desc, hauberktest.FullMethod(kind))
				if err != nil {
					t.Fatal(err)
				}
				began, sent := time.Now(), make(chan error)
				go func() { sent <- stream.SendMsg(&testpb.Request{Text: "a"}) }()
				wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.NotFound)
				if err := <-sent; !errors.Is(err, io.EOF) {
					t.Errorf("SendMsg returned %v; want io.EOF", err)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("the stream ended after %v", took)
				}
			})
		})
	}
}

// TestAbortAfterMessages: the messages before the abort arrive, and a call with fewer is not ended.
func TestAbortAfterMessages(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
		for _, after := range []int{1, 2, 3} {
			b := newCounting()
			abort := &fault.Abort{Code: codes.ResourceExhausted, AfterMessages: after}
			env := m.StartWith(t, &b.Backend, fault.New(one(fault.Rule{Abort: abort})))
			out := env.Call(t.Context(), "a", "b", "c")
			ends := m.Kind == hauberk.Unary || m.Kind.ClientStreams() && after < 3
			if want := map[bool]codes.Code{true: abort.Code, false: codes.OK}[ends]; hauberk.CodeOf(out.Err) != want {
				t.Errorf("after %d messages: %v; want %s", after, out.Err, want)
			}
			if m.Kind == hauberk.Bidi && len(out.Responses) != after {
				t.Errorf("%d responses before the abort; want %d", len(out.Responses), after)
			}
			if m.Kind != hauberk.ClientStream && b.calls != 1 {
				t.Errorf("the handler has run %d times", b.calls)
			}
		}
	})
}

// TestLostResponsesAreExecutedAgain: a response that is lost on the server makes a retry execute the call again. One that is
// lost on the client does so with RetryAfterHeader only.
func TestLostResponsesAreExecutedAgain(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream} {
		for name, c := range map[string]struct {
			onClient, afterHeader bool
			calls                 int
		}{
			"on the server":                       {false, false, 3},
			"on the client":                       {true, false, 1},
			"on the client, with the header sent": {true, true, 3},
		} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				synctest.Test(t, func(t *testing.T) {
					b := newCounting()
					x := fault.New(one(fault.Rule{Messages: &fault.Messages{Direction: fault.Responses, Drop: 100}}))
					client := []hauberk.Interceptor{retry.New(retry.Config{
						AllMethods: true, MaxAttempts: 3, MaxReplayBytes: 1 << 10, RetryAfterHeader: c.afterHeader,
					})}
					setup := hauberktest.Setup{Backend: &b.Backend, Kind: kind}
					if c.onClient {
						client = append(client, x)
					} else {
						setup.Server = chainOf(t, x)
					}
					setup.Client = chainOf(t, client...)
					out := hauberktest.Start(t, setup).Call(t.Context())
					wantCode(t, out.Err, codes.Unavailable)
					if b.calls != c.calls {
						t.Errorf("the handler has run %d times; want %d", b.calls, c.calls)
					}
				})
			})
		}
	}
}

// twice joins texts, with one that follows itself as "2×text".
func twice(texts []string) string {
	var all []string
	for i, text := range texts {
		if last := len(all) - 1; i > 0 && texts[i-1] == text {
			all[last] = "2×" + text
			continue
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}
