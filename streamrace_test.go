package hauberk_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file hold the rules of concurrent attempts: one wins, and the others
// have no effect on the call.

// counting is a backend that answers "1", "2", "3", one a second.
func counting() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		for _, text := range []string{"1", "2", "3"} {
			if err := s.Send(response(text)); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
		}
		return nil
	}}
}

// racer makes one concurrent attempt at once and one for each value of more. It returns
// the outcome of the one that was not superseded, and keeps the outcomes of all.
type racer struct {
	more     chan struct{}
	mu       sync.Mutex
	outcomes []error
}

func (r *racer) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	var running sync.WaitGroup
	var result error
	attempt := func(c *hauberk.Call) {
		err := next(ctx, c)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.outcomes = append(r.outcomes, err)
		call.Adopt(c)
		if !errors.Is(err, hauberk.ErrSuperseded) {
			result = err
		}
	}
	first := call.Attempt()
	running.Go(func() { attempt(first) })
	if r.more != nil {
		<-r.more
		second := call.Attempt()
		running.Go(func() { attempt(second) })
	}
	running.Wait()
	return result
}

// superseded returns how many attempts have lost.
func (r *racer) superseded() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.outcomes {
		if errors.Is(err, hauberk.ErrSuperseded) {
			n++
		}
	}
	return n
}

// receiveAll receives to the end of a stream, and calls each for every message.
func receiveAll(stream grpc.ClientStream, each func(n int)) (texts []string, err error) {
	for {
		resp := new(testpb.Response)
		if err := stream.RecvMsg(resp); err != nil {
			return texts, err
		}
		texts = append(texts, resp.GetText())
		each(len(texts))
	}
}

// losing are what inner interceptors make of the error of an attempt.
var losing = map[string]func(call *hauberk.Call) error{
	"reply": func(call *hauberk.Call) error { return call.Reply(response("fallback")) },
	"nil":   func(*hauberk.Call) error { return nil },
	"error": func(*hauberk.Call) error { return status.Error(codes.Unavailable, "mapped") },
}

// TestLoserIsSuperseded: the next of a concurrent attempt that has lost returns
// ErrSuperseded even if an inner interceptor returns another, at every interceptor and around
// every adapter, and the application receives the messages of the winner alone.
func TestLoserIsSuperseded(t *testing.T) {
	for name, result := range losing {
		for place, between := range map[string][]hauberk.Interceptor{
			"": nil, "/hooks": {passThrough()}, "/adapter": {adapted()}, "/hedge": {&racer{}},
		} {
			t.Run(name+place, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					backend, calls := counting(), atomic.Int64{}
					answer := backend.Handle
					backend.Handle = func(ctx context.Context, s hauberktest.Stream) error {
						if calls.Add(1) == 1 {
							return untilDone(ctx)
						}
						return answer(ctx, s)
					}
					inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						if err := next(ctx, call); err != nil {
							return result(call)
						}
						return nil
					})
					race := &racer{more: make(chan struct{}, 1)}
					chain := append([]hauberk.Interceptor{race, inner}, between...)
					stream := start(patient(t), t, behind(t, backend, append(chain, inner)...), hauberk.ServerStream)
					ask(t, stream)
					synctest.Wait()
					race.more <- struct{}{}
					texts, err := receiveAll(stream, func(int) {})
					equal(t, "received", texts, []string{"1", "2", "3"})
					if err != io.EOF || race.superseded() != 1 {
						t.Errorf("%v, and %d attempts have lost; outcomes: %v", err, race.superseded(), race.outcomes)
					}
				})
			})
		}
	}
}

// TestReplyInARace: a reply of an inner interceptor on a copy wins if no other attempt has
// won, and has no effect if one has.
func TestReplyInARace(t *testing.T) {
	for _, first := range []string{"a message", "a reply"} {
		t.Run(first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int64
				cache := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if n.Add(1) == 1 {
						return next(ctx, call)
					}
					return call.Reply(response("cached 1"), response("cached 2"))
				})
				backend, want := counting(), []string{"1", "2", "3"}
				race := &racer{more: make(chan struct{}, 1)}
				if first == "a reply" {
					backend.Handle = wait
					want = []string{"cached 1", "cached 2"}
				}
				stream := start(patient(t), t, behind(t, backend, race, passThrough(), cache), hauberk.ServerStream)
				ask(t, stream)
				if first == "a reply" {
					synctest.Wait()
					race.more <- struct{}{}
				}
				texts, err := receiveAll(stream, func(n int) {
					if n == 1 && first == "a message" {
						race.more <- struct{}{}
						synctest.Wait()
					}
				})
				equal(t, "received", texts, want)
				if err != io.EOF || race.superseded() != 1 {
					t.Errorf("%v; outcomes: %v", err, race.outcomes)
				}
			})
		})
	}
}

// TestRetryAroundARepliedRace: a retry outside of concurrent attempts makes others when an
// interceptor between has turned the reply that won into an error.
func TestRetryAroundARepliedRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rounds := 0
		stale := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if err := next(ctx, call); err != nil || rounds > 1 {
				return err
			}
			return status.Error(codes.Unavailable, "stale")
		})
		cache := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			rounds++
			if rounds > 1 {
				return next(ctx, call)
			}
			return call.Reply(response("stale"))
		})
		stream := start(patient(t), t, behind(t, counting(), again(2), stale, &racer{}, cache), hauberk.ServerStream)
		ask(t, stream)
		texts, err := receiveAll(stream, func(int) {})
		equal(t, "received", texts, []string{"1", "2", "3"})
		if err != io.EOF {
			t.Error(err)
		}
	})
}
