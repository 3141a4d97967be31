package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
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
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestPerAttemptTimeout: an attempt that hangs is cancelled and retried.
func TestPerAttemptTimeout(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w, b := &waits{}, &backend{}
		b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
			if b.calls.Add(1) == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return hauberktest.Echo(ctx, s)
		}
		config := retry.Config{PerAttemptTimeout: 50 * time.Millisecond, MaxReplayBytes: 1 << 10, MaxAttempts: 100}
		r := all(config, retry.WithSleep(w.sleep))
		wantCode(t, start(t, kind, b, r).Call(t.Context()).Err, codes.OK)
		if b.calls.Load() < 2 {
			t.Error("the hanging attempt was not retried")
		}
	})
}

// slowCredentials block until the context of a call ends, for the first calls.
type slowCredentials struct {
	calls *atomic.Int64
	slow  int64
}

func (c slowCredentials) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	if c.calls.Add(1) > c.slow {
		return nil, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (slowCredentials) RequireTransportSecurity() bool { return false }

// TestPerAttemptTimeoutInCredentials: an attempt that ends in its credentials has timed out as
// any other, though grpc-go reports UNAUTHENTICATED or INTERNAL.
func TestPerAttemptTimeoutInCredentials(t *testing.T) {
	for name, option := range map[string]func(c slowCredentials) grpc.DialOption{
		"connection": func(c slowCredentials) grpc.DialOption { return grpc.WithPerRPCCredentials(c) },
		"call":       func(c slowCredentials) grpc.DialOption { return grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(c)) },
	} {
		for slow, want := range map[int64]codes.Code{1: codes.OK, 2: codes.DeadlineExceeded} {
			t.Run(fmt.Sprintf("%s/%d", name, slow), func(t *testing.T) {
				kinds(t, func(t *testing.T, kind hauberk.Kind) {
					synctest.Test(t, func(t *testing.T) {
						creds := slowCredentials{new(atomic.Int64), slow}
						config := retry.Config{PerAttemptTimeout: time.Second, MaxReplayBytes: 1 << 10, MaxAttempts: 2}
						out := hauberktest.Start(t, hauberktest.Setup{
							Kind: kind, Client: hauberk.Must(hauberk.New(all(config, retry.WithSleep((&waits{}).sleep)))),
							DialOptions: []grpc.DialOption{option(creds)},
						}).Call(t.Context())
						wantCode(t, out.Err, want)
						if got := creds.calls.Load(); got != 2 {
							t.Errorf("%d attempts, want 2", got)
						}
					})
				})
			})
		}
	}
}

// TestPerAttemptTimeoutSparesCommittedStreams: the timeout of an attempt does not end a
// stream whose first message or header has arrived, since no other attempt is possible.
func TestPerAttemptTimeoutSparesCommittedStreams(t *testing.T) {
	const timeout = time.Second
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				var deadline bool
				b := &backend{}
				b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
					if calls.Add(1) == 1 {
						_, deadline = ctx.Deadline()
						<-ctx.Done() // before the header: the timeout counts
						return ctx.Err()
					}
					for range 5 {
						if err := s.Send(&testpb.Response{}); err != nil {
							return err
						}
						time.Sleep(timeout) //nolint:forbidigo // synctest: the clock is fake
					}
					return nil
				}
				config := retry.Config{PerAttemptTimeout: timeout, MaxReplayBytes: 1 << 10}
				out := start(t, kind, b, all(config)).Call(t.Context())
				if out.Err != nil || len(out.Responses) != 5 || calls.Load() != 2 {
					t.Errorf("%d responses and %v after %d attempts; want all 5 from the second", len(out.Responses), out.Err, calls.Load())
				}
				if deadline {
					t.Error("the server received a deadline, which a commit could not remove")
				}
			})
		})
	}
}

// TestPerAttemptTimeoutOfTheLastAttempt: it ends with DEADLINE_EXCEEDED.
func TestPerAttemptTimeoutOfTheLastAttempt(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		synctest.Test(t, func(t *testing.T) {
			b := &backend{}
			b.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
				b.calls.Add(1)
				<-ctx.Done()
				return ctx.Err()
			}
			config := retry.Config{PerAttemptTimeout: time.Second, MaxReplayBytes: 1 << 10, MaxAttempts: 2}
			begin := time.Now()
			out := start(t, kind, b, all(config, retry.WithSleep((&waits{}).sleep))).Call(t.Context())
			wantCode(t, out.Err, codes.DeadlineExceeded)
			if took := time.Since(begin); b.calls.Load() != 2 || took != 2*time.Second {
				t.Errorf("%d attempts in %v, want 2 in 2s", b.calls.Load(), took)
			}
		})
	})
}

// TestPerAttemptTimeoutSparesUploads: the timeout does not end a stream of requests that are
// not kept for another attempt, since none is possible.
func TestPerAttemptTimeoutSparesUploads(t *testing.T) {
	const timeout = time.Second
	for name, c := range map[string]struct {
		config retry.Config
		opts   []grpc.CallOption
	}{
		"beyond MaxReplayBytes": {config: retry.Config{MaxReplayBytes: 1000}},
		"disabled":              {config: retry.Config{MaxReplayBytes: 1 << 20}, opts: []grpc.CallOption{retry.Disable()}},
		"one attempt":           {config: retry.Config{MaxReplayBytes: 1 << 20, MaxAttempts: 1}},
	} {
		for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &backend{}
					b.Handle = func(_ context.Context, s hauberktest.Stream) error {
						b.calls.Add(1)
						for {
							if _, err := s.Recv(); errors.Is(err, io.EOF) {
								return s.Send(&testpb.Response{})
							} else if err != nil {
								return err
							}
						}
					}
					c.config.PerAttemptTimeout = timeout
					desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: kind == hauberk.Bidi}
					stream, err := start(t, kind, b, all(c.config)).Conn.NewStream(t.Context(), desc, hauberktest.FullMethod(kind), c.opts...)
					if err != nil {
						t.Fatal(err)
					}
					for range 10 {
						if err := stream.SendMsg(&testpb.Request{Text: strings.Repeat("x", 500)}); err != nil {
							t.Errorf("a message could not be sent: %v", err)
							break
						}
						time.Sleep(timeout / 3) //nolint:forbidigo // synctest: the clock is fake
					}
					_ = stream.CloseSend()
					wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.OK)
					wantCalls(t, b, 1)
					for kind == hauberk.Bidi && err == nil {
						err = stream.RecvMsg(new(testpb.Response))
					}
				})
			})
		}
	}
}

// TestPerAttemptTimeoutSparesStreamsWithAHeader: a stream lives on after its header has
// arrived, although the application waits for the first message.
func TestPerAttemptTimeoutSparesStreamsWithAHeader(t *testing.T) {
	const timeout = time.Second
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
					b.calls.Add(1)
					if err := s.SendHeader(nil); err != nil {
						return err
					}
					select {
					case <-time.After(5 * timeout):
						return s.Send(&testpb.Response{})
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				r := all(retry.Config{PerAttemptTimeout: timeout, MaxReplayBytes: 1 << 10})
				out := start(t, kind, b, r).Call(t.Context())
				if out.Err != nil || len(out.Responses) != 1 {
					t.Errorf("%d responses and %v", len(out.Responses), out.Err)
				}
				wantCalls(t, b, 1)
			})
		})
	}
}

// TestTimeoutAfterHeaderIsFinal: an attempt whose timeout expires after its header has
// arrived is not retried.
func TestTimeoutAfterHeaderIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
			b.calls.Add(1)
			if err := s.SendHeader(nil); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}
		out := start(t, hauberk.Unary, b, all(retry.Config{PerAttemptTimeout: time.Second})).Call(t.Context())
		wantCode(t, out.Err, codes.DeadlineExceeded)
		wantCalls(t, b, 1)
	})
}

// TestServersOwnDeadlineExceeded: a server's DEADLINE_EXCEEDED before PerAttemptTimeout is
// an outcome like others, which RetryableStatusCodes decides on.
func TestServersOwnDeadlineExceeded(t *testing.T) {
	for name, c := range map[string]struct {
		codes []codes.Code
		want  int64
	}{
		"not in the list": {nil, 1},
		"in the list":     {[]codes.Code{codes.DeadlineExceeded}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				b := failing(1<<10, codes.DeadlineExceeded)
				r := all(retry.Config{PerAttemptTimeout: time.Hour, MaxReplayBytes: 1 << 10, RetryableStatusCodes: c.codes},
					retry.WithSleep((&waits{}).sleep))
				err := start(t, kind, b, r).Call(t.Context()).Err
				wantCode(t, err, codes.DeadlineExceeded)
				if got := status.Convert(err).Message(); !strings.HasPrefix(got, "attempt ") {
					t.Errorf("the message is %q, want that of the server", got)
				}
				wantCalls(t, b, c.want)
			})
		})
	}
}

// hanging is a server whose calls last until their client ends them.
func hanging() *backend {
	b := &backend{}
	b.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
		b.calls.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}
	return b
}

// TestInnerInterceptorsSeeHowAnAttemptEnds: what ended an attempt is the code that inner
// interceptors see, and the error of their context.
func TestInnerInterceptorsSeeHowAnAttemptEnds(t *testing.T) {
	for name, c := range map[string]struct {
		caller   func(ctx context.Context) (context.Context, context.CancelFunc)
		code     codes.Code
		err      error
		attempts int
	}{
		"its timeout": {
			func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
			codes.DeadlineExceeded, context.DeadlineExceeded, 2,
		},
		"the caller's deadline": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Second/2)
			},
			codes.DeadlineExceeded, context.DeadlineExceeded, 1,
		},
		"the caller": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				timer := time.AfterFunc(time.Second/2, cancel)
				return ctx, func() { timer.Stop() }
			},
			codes.Canceled, context.Canceled, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				synctest.Test(t, func(t *testing.T) {
					var seen []error
					inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						err := next(ctx, call)
						<-ctx.Done() // the server may have noticed the deadline first
						if got := ctx.Err(); !errors.Is(got, c.err) {
							t.Errorf("the context ended with %v, want %v", got, c.err)
						}
						seen = append(seen, err)
						return err
					})
					r := all(retry.Config{PerAttemptTimeout: time.Second, MaxReplayBytes: 1 << 10, MaxAttempts: 2},
						retry.WithSleep((&waits{}).sleep))
					ctx, cancel := c.caller(t.Context())
					defer cancel()
					wantCode(t, start(t, kind, hanging(), r, inner).Call(ctx).Err, c.code)
					if len(seen) != c.attempts {
						t.Errorf("%d attempts, want %d", len(seen), c.attempts)
					}
					for _, err := range seen {
						wantCode(t, err, c.code)
					}
				})
			})
		})
	}
}

// TestTimeoutsOpenTheCircuit: attempts that exceed their timeout are failures of the server.
func TestTimeoutsOpenTheCircuit(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		synctest.Test(t, func(t *testing.T) {
			inner := breaker.New(breaker.Config{FailureThreshold: 2})
			r := all(retry.Config{PerAttemptTimeout: time.Second, MaxReplayBytes: 1 << 10}, retry.WithSleep((&waits{}).sleep))
			b := hanging()
			err := start(t, kind, b, r, inner).Call(t.Context()).Err
			if !errors.Is(err, breaker.ErrOpen) {
				t.Errorf("%v, want the rejection of an open circuit", err)
			}
			wantCalls(t, b, 2)
		})
	})
}

// TestRejectionAfterTheTimeout: the rejection of an inner interceptor stays the outcome,
// also when the timeout has expired.
func TestRejectionAfterTheTimeout(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		synctest.Test(t, func(t *testing.T) {
			inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				_ = next(ctx, call)
				return hauberk.Reject(codes.DeadlineExceeded, "TOO_LATE", "too late")
			})
			r := all(retry.Config{PerAttemptTimeout: time.Second, MaxReplayBytes: 1 << 10}, retry.WithSleep((&waits{}).sleep))
			b := hanging()
			if err := start(t, kind, b, r, inner).Call(t.Context()).Err; hauberk.Reason(err) != "TOO_LATE" {
				t.Errorf("%v, want the rejection", err)
			}
			wantCalls(t, b, 1)
		})
	})
}
