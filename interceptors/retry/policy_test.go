package retry_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestHeaderCommits: a call whose response header has arrived is not retried (gRFC A6).
func TestHeaderCommits(t *testing.T) {
	for _, first := range []string{"Trailers-Only", "header", "RetryAfterHeader"} {
		t.Run(first, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				w, b := &waits{}, &backend{}
				config := retry.Config{MaxReplayBytes: 1 << 10, RetryAfterHeader: first == "RetryAfterHeader"}
				b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
					if b.calls.Add(1) > 1 {
						return hauberktest.Echo(ctx, s)
					}
					if first != "Trailers-Only" {
						if err := s.SendHeader(metadata.Pairs("x", "1")); err != nil {
							return err
						}
					}
					return status.Error(codes.Unavailable, "down")
				}
				out := start(t, kind, b, all(config, retry.WithSleep(w.sleep))).Call(t.Context())
				if first == "header" {
					wantCode(t, out.Err, codes.Unavailable)
					wantCalls(t, b, 1)
				} else {
					wantCode(t, out.Err, codes.OK)
					wantCalls(t, b, 2)
				}
			})
		})
	}
}

// TestServerDelay: the wait between attempts obeys grpc-retry-pushback-ms and
// google.rpc.RetryInfo.
func TestServerDelay(t *testing.T) {
	const backoff = 10 * time.Millisecond
	hour := time.Hour
	for _, c := range []struct {
		name     string
		pushback []string
		info     *time.Duration
		max      time.Duration
		wait     time.Duration // 0 is no further attempt
	}{
		{name: "neither", wait: backoff},
		{name: "pushback", pushback: []string{"500"}, wait: 500 * time.Millisecond},
		{name: "short pushback", pushback: []string{"1"}, wait: time.Millisecond},
		{name: "pushback of -1", pushback: []string{"-1"}},
		{name: "malformed pushback", pushback: []string{"soon"}},
		{name: "empty pushback", pushback: []string{""}},
		{name: "pushback beyond 32 bits", pushback: []string{"4294967296"}},
		{name: "two pushbacks", pushback: []string{"1", "1"}},
		{name: "pushback beyond the bound", pushback: []string{"5001"}},
		{name: "pushback at the bound", pushback: []string{"5000"}, wait: 5 * time.Second},
		{name: "RetryInfo", info: new(500 * time.Millisecond), wait: 500 * time.Millisecond},
		{name: "short RetryInfo", info: new(time.Millisecond), wait: backoff},
		{name: "negative RetryInfo", info: new(-time.Second), wait: backoff},
		{name: "RetryInfo beyond the bound", info: new(5*time.Second + 1)},
		{name: "RetryInfo at the bound", info: new(5 * time.Second), wait: 5 * time.Second},
		{name: "RetryInfo within another bound", info: &hour, max: 2 * time.Hour, wait: hour},
		{name: "both", pushback: []string{"500"}, info: new(time.Second), wait: time.Second},
		{name: "pushback of -1 with RetryInfo", pushback: []string{"-1"}, info: new(time.Second)},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				w, b := &waits{}, &backend{}
				b.Handle = func(_ context.Context, s hauberktest.Stream) error {
					b.calls.Add(1)
					for _, value := range c.pushback {
						s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", value))
					}
					return unavailable(t, c.info)
				}
				r := all(retry.Config{
					MaxAttempts: 2, InitialBackoff: backoff, NoJitter: true, MaxServerDelay: c.max, MaxReplayBytes: 1 << 10,
				}, retry.WithSleep(w.sleep))
				wantCode(t, start(t, kind, b, r).Call(t.Context()).Err, codes.Unavailable)
				if c.wait == 0 {
					wantCalls(t, b, 1)
					return
				}
				wantCalls(t, b, 2)
				if len(w.all) != 1 || w.all[0] != c.wait {
					t.Errorf("waited %v, want %v", w.all, c.wait)
				}
			})
		})
	}
}

// unavailable returns an error with a google.rpc.RetryInfo, if delay is not nil.
func unavailable(t *testing.T, delay *time.Duration) error {
	st := status.New(codes.Unavailable, "down")
	if delay == nil {
		return st.Err()
	}
	st, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(*delay)})
	if err != nil {
		t.Error(err)
	}
	return st.Err()
}

// TestPushbackRestartsTheBackoff: after a pushback the backoff grows from its beginning.
func TestPushbackRestartsTheBackoff(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w, b := &waits{}, &backend{}
	b.Handle = func(_ context.Context, s hauberktest.Stream) error {
		if b.calls.Add(1) == 3 {
			s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "7"))
		}
		return status.Error(codes.Unavailable, "down")
	}
	r := all(retry.Config{MaxAttempts: 6, InitialBackoff: time.Second, NoJitter: true}, retry.WithSleep(w.sleep))
	wantCode(t, start(t, hauberk.Unary, b, r).Call(t.Context()).Err, codes.Unavailable)
	want := []time.Duration{1e9, 2e9, 7e6, 1e9, 2e9}
	for i := range want {
		if len(w.all) != len(want) || w.all[i] != want[i] {
			t.Fatalf("waited %v, want %v", w.all, want)
		}
	}
}

// TestRetryHeedsPushback: the call takes as long as the server asks, or ends at once if
// the caller's deadline is before that.
func TestRetryHeedsPushback(t *testing.T) {
	for name, c := range map[string]struct {
		answer   func(s hauberktest.Stream) error
		deadline time.Duration
		attempts int64
		took     time.Duration
	}{
		"pushback -1": {answer: func(s hauberktest.Stream) error {
			s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "-1"))
			return status.Error(codes.Unavailable, "go away")
		}, attempts: 1},
		"pushback 500": {answer: func(s hauberktest.Stream) error {
			s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "500"))
			return status.Error(codes.Unavailable, "not now")
		}, attempts: 2, took: 500 * time.Millisecond},
		"RetryInfo 500ms": {
			answer:   func(hauberktest.Stream) error { return unavailable(t, new(500*time.Millisecond)) },
			attempts: 2, took: 500 * time.Millisecond,
		},
		"RetryInfo beyond the deadline": {
			answer:   func(hauberktest.Stream) error { return unavailable(t, new(500*time.Millisecond)) },
			deadline: 400 * time.Millisecond, attempts: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				b.Handle = func(_ context.Context, s hauberktest.Stream) error {
					b.calls.Add(1)
					return c.answer(s)
				}
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				r := all(retry.Config{InitialBackoff: time.Millisecond, MaxBackoff: time.Millisecond, MaxAttempts: 2, NoJitter: true})
				env := start(t, hauberk.Unary, b, r)
				begin := time.Now()
				wantCode(t, env.Call(ctx).Err, codes.Unavailable)
				if took := time.Since(begin); took != c.took {
					t.Errorf("the call took %v, want %v", took, c.took)
				}
				wantCalls(t, b, c.attempts)
			})
		})
	}
}

// TestMethods: only methods that are marked as idempotent or listed are retried, unless
// AllMethods is set.
func TestMethods(t *testing.T) {
	registerMethods(t)
	const service = "hauberk.retrytest.v1.Levels"
	for _, c := range []struct {
		name   string
		config retry.Config
		method string
		want   int64
	}{
		{"no side effects", retry.Config{}, service + "/NoSideEffects", 2},
		{"idempotent", retry.Config{}, service + "/Idempotent", 2},
		{"not marked", retry.Config{}, service + "/Unmarked", 1},
		{"listed", retry.Config{Methods: []string{service + "/Unmarked"}}, service + "/Unmarked", 2},
		{"of a listed service", retry.Config{Methods: []string{"x.Y/*", service + "/*"}}, service + "/Unmarked", 2},
		{"marked but not listed", retry.Config{Methods: []string{"x.Y/*"}}, service + "/Idempotent", 2},
		{"all", retry.Config{AllMethods: true}, service + "/Unmarked", 2},
		{"without descriptor", retry.Config{}, "x.Y/Z", 1},
		{"without descriptor, listed", retry.Config{Methods: []string{"/x.Y/Z"}}, "x.Y/Z", 2},
		{"without descriptor, all", retry.Config{AllMethods: true}, "x.Y/Z", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int64
			c.config.MaxAttempts = 2
			chain := hauberk.Must(hauberk.New(retry.New(c.config, retry.WithSleep((&waits{}).sleep))))
			conn := chain.ClientConn(hauberktest.Conn{Outcome: func(string) error {
				calls.Add(1)
				return status.Error(codes.Unavailable, "down")
			}})
			wantCode(t, conn.Invoke(t.Context(), "/"+c.method, &testpb.Request{}, &testpb.Response{}), codes.Unavailable)
			if got := calls.Load(); got != c.want {
				t.Errorf("%d attempts, want %d", got, c.want)
			}
		})
	}
}

// registerMethods registers a service with a method for each idempotency level.
func registerMethods(t *testing.T) {
	t.Helper()
	method := func(name string, level descriptorpb.MethodOptions_IdempotencyLevel) *descriptorpb.MethodDescriptorProto {
		m := &descriptorpb.MethodDescriptorProto{
			Name: new(name), InputType: new(".google.protobuf.Duration"),
			OutputType: new(".google.protobuf.Duration"),
		}
		if level != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
			m.Options = &descriptorpb.MethodOptions{IdempotencyLevel: level.Enum()}
		}
		return m
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("hauberk/retrytest/v1/levels.proto"), Package: new("hauberk.retrytest.v1"),
		Syntax: new("proto3"), Dependency: []string{"google/protobuf/duration.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("Levels"),
			Method: []*descriptorpb.MethodDescriptorProto{
				method("Unmarked", descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN),
				method("NoSideEffects", descriptorpb.MethodOptions_NO_SIDE_EFFECTS),
				method("Idempotent", descriptorpb.MethodOptions_IDEMPOTENT),
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
