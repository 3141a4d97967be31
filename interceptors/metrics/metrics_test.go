package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// messages is the number of messages of a call to the server and to the client.
type messages struct{ up, down uint64 }

// at returns the number of messages that a side sends and receives.
func (m messages) at(side hauberk.Side) (sent, received uint64) {
	if side == hauberk.ClientSide {
		return m.up, m.down
	}
	return m.down, m.up
}

// kinds contains a value for each kind: unary, client stream, server stream, bidi.
type kinds[T any] [4]T

// readAll reads all requests.
func readAll(s hauberktest.Stream) error {
	for {
		if _, err := s.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func TestCountsCalls(t *testing.T) {
	notFound := status.Error(codes.NotFound, "no")
	tests := []struct {
		name   string
		handle func(context.Context, hauberktest.Stream) error
		code   codes.Code
		moved  kinds[messages]
	}{
		{
			"OK", hauberktest.Echo, codes.OK,
			kinds[messages]{{1, 1}, {2, 1}, {1, 1}, {2, 2}},
		},
		{
			"error", func(_ context.Context, s hauberktest.Stream) error {
				return errors.Join(readAll(s), notFound)
			}, codes.NotFound,
			kinds[messages]{{1, 0}, {2, 0}, {1, 0}, {2, 0}},
		},
		{
			// The one response of a method is buffered, and discarded with the error.
			"error after a response", func(_ context.Context, s hauberktest.Stream) error {
				return errors.Join(readAll(s), s.Send(&testpb.Response{}), status.Error(codes.DataLoss, "mid"))
			}, codes.DataLoss,
			kinds[messages]{{1, 0}, {2, 0}, {1, 1}, {2, 1}},
		},
	}
	for _, test := range tests {
		for _, exact := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/exact=%v", test.name, exact), func(t *testing.T) {
				hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
					m := metrics.New(metrics.Config{ExactMessages: exact})
					env := c.StartWith(t, &hauberktest.Backend{Handle: test.handle}, m)
					for range 3 {
						if out := env.Call(t.Context(), "a", "b"); status.Code(out.Err) != test.code {
							t.Fatalf("the call ended with %v, want %s", out.Err, test.code)
						}
					}
					checkCounts(t, count(t, m, c), 3, test.code)
					checkMoved(t, m, c, 3, test.moved[c.Kind])
				})
			})
		}
	}
}

// checkCounts checks that all calls have ended with one code.
func checkCounts(t *testing.T, s metrics.MethodSnapshot, calls uint64, code codes.Code) {
	t.Helper()
	errs := calls
	if code == codes.OK {
		errs = 0
	}
	if s.Calls != calls || s.Ended != calls || s.InFlight != 0 || s.Errors != errs {
		t.Errorf("calls %d, ended %d, in flight %d, errors %d; want %d, %[5]d, 0, %d",
			s.Calls, s.Ended, s.InFlight, s.Errors, calls, errs)
	}
	if want := (metrics.Codes{code: calls}); !maps.Equal(s.Codes, want) {
		t.Errorf("codes %v, want %v", s.Codes, want)
	}
}

func checkMoved(t *testing.T, m *metrics.Interceptor, c hauberktest.Case, calls uint64, each messages) {
	t.Helper()
	s := count(t, m, c)
	sent, received := each.at(c.Side)
	if s.Sent != calls*sent || s.Received != calls*received {
		t.Errorf("sent %d and received %d messages, want %d and %d", s.Sent, s.Received, calls*sent, calls*received)
	}
}

func TestInFlight(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		entered, release := make(chan struct{}), make(chan struct{})
		m := metrics.New(metrics.Config{})
		env := c.StartWith(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			close(entered)
			<-release
			return hauberktest.Echo(ctx, s)
		}}, m)
		ended := make(chan error)
		go func() { ended <- env.Call(context.Background()).Err }()
		<-entered
		s := count(t, m, c)
		if s.Calls != 1 || s.InFlight != 1 || s.Ended != 0 || len(s.Codes) != 0 {
			t.Errorf("while the call runs: %+v", s)
		}
		close(release)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		checkCounts(t, count(t, m, c), 1, codes.OK)
	})
}

// One interceptor serves both sides and many goroutines. Its numbers never decrease between two
// reads.
func TestConcurrentUse(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const workers, calls = 4, 50
	m := metrics.New(metrics.Config{})
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		chain := chainOf(t, m)
		env := hauberktest.Start(t, hauberktest.Setup{Server: chain, Client: chain, Kind: kind})
		stop := make(chan struct{})
		var read, wg sync.WaitGroup
		read.Go(func() { readUntil(t, m, stop) })
		for range workers {
			wg.Go(func() {
				for range calls {
					if out := env.Call(context.Background()); out.Err != nil {
						t.Error(out.Err)
					}
				}
			})
		}
		wg.Wait()
		close(stop)
		read.Wait()
		for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
			s := sideOf(m, side).Methods[hauberktest.FullMethod(kind)]
			checkCounts(t, s, workers*calls, codes.OK)
			if s.Sent != workers*calls || s.Received != workers*calls {
				t.Errorf("%s %s: sent %d, received %d", side, kind, s.Sent, s.Received)
			}
		}
	}
}

func readUntil(t *testing.T, m *metrics.Interceptor, stop <-chan struct{}) {
	last := make(map[string]metrics.Series)
	for {
		all := m.Series()
		for i := range all {
			s := &all[i]
			key := s.Side.String() + s.Method
			before := last[key]
			if s.Started < before.Started || s.Ended() < before.Ended() || s.Sent < before.Sent ||
				s.Received < before.Received || s.Sum < before.Sum || s.InFlight() > s.Started {
				t.Errorf("numbers decreased: %+v, before %+v", *s, before)
			}
			last[key] = *s
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}
