//go:build java

package composition_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/policy/serviceconfig"
)

// A chain made of a service config makes the attempts at a grpc-java server that grpc-go makes with this
// service config, with the same grpc-previous-rpc-attempts, and returns the same status.
func TestJavaRetries(t *testing.T) {
	config, err := serviceconfig.Parse([]byte(retriesConfig))
	if err != nil {
		t.Fatal(err)
	}
	s := startJava(t, "")
	native := s.connect([]grpc.DialOption{grpc.WithDefaultServiceConfig(retriesConfig)})
	chain := s.connect(nil, config.Client().All()...)
	for name, c := range map[string]struct {
		md       []string
		want     codes.Code
		attempts int
	}{
		"no failure":         {nil, codes.OK, 1},
		"two failures":       {[]string{"fail", "2"}, codes.OK, 3},
		"failures only":      {[]string{"fail", "9"}, codes.Unavailable, 4},
		"after a header":     {[]string{"fail-after-header", "1"}, codes.Unavailable, 1},
		"pushback":           {[]string{"fail", "1", "pushback", "2"}, codes.OK, 2},
		"pushback that ends": {[]string{"fail", "1", "pushback", "-1"}, codes.Unavailable, 1},
		"pushback of words":  {[]string{"fail", "1", "pushback", "soon"}, codes.Unavailable, 1},
	} {
		for _, kind := range kinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				id := strings.ReplaceAll(t.Name(), " ", "_")
				_, nativeErr := javaCall(t.Context(), native, kind, id+"/grpc-go", &testpb.Request{Count: 1}, c.md...)
				_, err := javaCall(t.Context(), chain, kind, id+"/chain", &testpb.Request{Count: 1}, c.md...)
				want, got := status.Convert(nativeErr), status.Convert(err)
				if want.Code() != c.want || got.Code() != c.want || !strings.HasSuffix(want.Message(), got.Message()) {
					t.Errorf("%v; grpc-go: %v; want %v", got, want, c.want)
				}
				eventually(t, "the server has written what it executed", func() bool {
					return len(s.executions(id+"/grpc-go")) == c.attempts && len(s.executions(id+"/chain")) >= c.attempts
				})
				if want, got := s.executions(id+"/grpc-go"), s.executions(id+"/chain"); !slices.Equal(got, want) {
					t.Errorf("the attempts had grpc-previous-rpc-attempts %q; those of grpc-go %q", got, want)
				}
			})
		}
	}
}

// A stream that a grpc-java server breaks goes on where it was: no message is lost or comes twice.
func TestJavaResume(t *testing.T) {
	const total = 20
	s := startJava(t, "")
	conn := s.connect(nil, retry.New(retry.Config{AllMethods: true, InitialBackoff: ms, MaxBackoff: ms},
		retry.WithResume(func(_ *hauberk.Method, request, last proto.Message) (proto.Message, error) {
			req := request.(*testpb.Request)
			req.Text = strconv.Itoa(int(last.(*testpb.Response).GetIndex()) + 1)
			return req, nil
		})))
	all, err := javaCall(t.Context(), conn, hauberk.ServerStream, "resumed", &testpb.Request{Count: total}, "break", "3")
	if err != nil || len(all) != total {
		t.Fatalf("%d messages, %v; want %d", len(all), err, total)
	}
	for i, resp := range all {
		if resp.GetIndex() != int32(i) {
			t.Errorf("message %d has index %d", i, resp.GetIndex())
		}
	}
}

// A hedge takes the answer of the second attempt, and the server's work for the first one ends.
func TestJavaHedge(t *testing.T) {
	s := startJava(t, "")
	conn := s.connect(nil, hedge.New(hedge.Config{AllMethods: true, MaxAttempts: 2, Delay: 50 * ms, NoBudget: true}))
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		id := "hedged-" + kind.String()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		all, err := javaCall(ctx, conn, kind, id, &testpb.Request{Count: 1}, "delay-ms", "60000")
		cancel()
		if err != nil || len(all) != 1 {
			t.Errorf("%v: %d messages, %v", kind, len(all), err)
		}
		eventually(t, "the slow attempt is cancelled", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.cancelled[id] == "1" && len(s.executed[id]) == 2
		})
	}
}

// A grpc-java server that is killed and started again under load: calls that may be repeated all succeed, others
// are executed at most once, and a circuit opens and closes.
func TestJavaKilled(t *testing.T) {
	s := startJava(t, "")
	open := breaker.New(breaker.Config{FailureThreshold: 3, OpenFor: 50 * ms})
	retrying := s.connect(nil, retry.New(retry.Config{
		AllMethods: true, NoBudget: true, MaxAttempts: 10_000, InitialBackoff: 10 * ms, MaxBackoff: 50 * ms, MaxReplayBytes: 1 << 10,
		RetryAfterHeader: true,
	}))
	once := s.connect(nil, retry.New(retry.Config{MaxAttempts: 10, InitialBackoff: 10 * ms, MaxReplayBytes: 1 << 10}))
	guarded := s.connect(nil, open)
	var succeeded, lost, rejected atomic.Int64
	stops := []func(){
		javaLoad(t, retrying, "retried", func(kind hauberk.Kind, id string, all []*testpb.Response, err error) {
			// A stream of which a message was received is not repeated.
			if err != nil && len(all) == 0 {
				t.Errorf("%s: %v", id, err)
			}
			if want := map[hauberk.Kind]int{hauberk.ServerStream: 3}[kind]; err == nil && len(all) != max(want, 1) {
				t.Errorf("%s: %d messages", id, len(all))
			}
			succeeded.Add(1)
		}),
		javaLoad(t, once, "once", func(_ hauberk.Kind, id string, _ []*testpb.Response, err error) {
			if code := status.Code(err); code != codes.OK && code != codes.Unavailable {
				t.Errorf("%s: %v", id, err)
			}
			if err != nil {
				lost.Add(1)
				<-time.After(5 * ms)
			}
		}),
		javaLoad(t, guarded, "guarded", func(_ hauberk.Kind, id string, _ []*testpb.Response, err error) {
			if errors.Is(err, breaker.ErrOpen) {
				rejected.Add(1)
			}
			if err != nil {
				<-time.After(5 * ms)
			}
		}),
	}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for range 2 {
		more := succeeded.Load() + 100
		eventually(t, "calls succeed", func() bool { return t.Failed() || succeeded.Load() > more })
		before := rejected.Load()
		s.kill()
		eventually(t, "the circuits open", func() bool { return rejected.Load() > before })
		s.start()
	}
	more := succeeded.Load() + 100
	eventually(t, "calls succeed", func() bool { return t.Failed() || succeeded.Load() > more })
	for _, stop := range stops {
		stop()
	}
	eventually(t, "the circuits close", func() bool {
		_, err := javaCall(t.Context(), guarded, hauberk.Unary, fmt.Sprint("closed-", time.Now().UnixNano()), &testpb.Request{})
		return err == nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, executions := range s.executed {
		if strings.HasPrefix(id, "once") && len(executions) > 1 {
			t.Errorf("%s was executed %d times", id, len(executions))
		}
	}
	t.Logf("%d calls were retried until they succeeded, %d others failed, %d were rejected", succeeded.Load(), lost.Load(), rejected.Load())
}

// A grpc-java server that closes its connections with GOAWAY again and again, as load balancers ask for, loses no call
// and executes none twice.
func TestJavaConnectionAge(t *testing.T) {
	s := startJava(t, "1") // grpc-java makes it a second
	conn := s.connect(nil, retry.New(retry.Config{}))
	var calls atomic.Int64
	stop := javaLoad(t, conn, "aged", func(_ hauberk.Kind, id string, _ []*testpb.Response, err error) {
		calls.Add(1)
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
	})
	<-time.After(4 * time.Second)
	stop()
	eventually(t, "the server has written what it executed", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.executed) == int(calls.Load())
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, executions := range s.executed {
		if len(executions) != 1 {
			t.Errorf("%s was executed %d times", id, len(executions))
		}
	}
	t.Logf("%d calls", calls.Load())
}
