package composition_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

var (
	errGone = errors.New("gone")

	goneTable = errs.NewTable("composition.test", errs.Sentinel(errGone, codes.NotFound, "GONE"))
)

// outcome is how a call has ended, for its client or in its record.
type outcome struct {
	code   codes.Code
	reason string
}

// book is a sink, with the records at the end by the ID of the call.
type book struct {
	mu  sync.Mutex
	all map[string][]outcome
}

func (b *book) Write(_ context.Context, r audit.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := r.State["id"]
	if r.Stage == audit.StageEnd {
		b.all[id] = append(b.all[id], outcome{r.Code, r.Reason})
	}
	return nil
}

// TestRecordsAgreeWithClients: while the state of a server changes, and while it shuts down, each call of every kind
// has one record at its end, with the code and the reason that its client has received. A shutdown may end a stream while
// an interceptor rejects it, or after its handler has begun to panic.
func TestRecordsAgreeWithClients(t *testing.T) {
	for round := range uint64(2) {
		randoms := make([]*rand.Rand, 8)
		for i := range randoms {
			randoms[i] = testseed.Rand(t, round*100+uint64(i))
		}
		t.Run(strconv.FormatUint(round, 10), func(t *testing.T) { recordsAgree(t, round, randoms) })
	}
}

func recordsAgree(t *testing.T, round uint64, randoms []*rand.Rand) {
	hauberktest.CheckLeaks(t)
	const each = 40
	id := hauberk.NewKey[string]("id")
	identify := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		id.Set(call, strings.Join(call.Metadata(ctx, "x-id"), ","))
		return next(ctx, call)
	})
	records, state := &book{all: make(map[string][]outcome)}, serving.New(serving.Config{Initial: serving.Serving})
	chain, err := hauberk.Config{Drain: hauberk.Drain{Grace: ms, RejectNew: round%2 == 0}}.New(
		identify, audit.New(audit.Config{}, records, audit.State("id", id)), recovery.New(recovery.Config{}), state,
		errs.New(errs.Config{}, goneTable),
	)
	if err != nil {
		t.Fatal(err)
	}
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: oddHandler})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()

	seen := make([]map[string]outcome, len(randoms))
	half, stop := make(chan struct{}, len(randoms)), make(chan struct{})
	var working, switching sync.WaitGroup
	for w, random := range randoms {
		seen[w] = make(map[string]outcome)
		working.Go(func() {
			callOddly(t, lis.Addr().String(), random, fmt.Sprintf("%d-%d-", round, w), each, half, seen[w])
		})
	}
	switching.Go(func() {
		states := []serving.State{serving.Maintenance, serving.Serving, serving.ReadOnly, serving.Serving}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := state.Set(states[i%len(states)]); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), ms)
			_ = state.Idle(ctx)
			cancel()
		}
	})
	for range randoms {
		<-half
	}
	close(stop)
	switching.Wait()
	_ = state.Set(serving.Serving)
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	working.Wait()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		t.Error(err)
	}
	compareOutcomes(t, seen, records.all)
}

// oddHandler does what the first request asks for.
func oddHandler(ctx context.Context, s hauberktest.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return err
	}
	switch req.GetText() {
	case "gone":
		return fmt.Errorf("load: %w", errGone)
	case "secret":
		return errors.New("secret")
	case "panic":
		panic("odd")
	case "wait":
		if hauberk.FromContext(ctx).Kind() != hauberk.Unary {
			<-ctx.Done()
			return nil // as if nothing had happened
		}
	}
	return s.Send(&testpb.Response{Text: req.GetText()})
}

// callOddly makes calls and notes what it receives of each.
func callOddly(
	t *testing.T, addr string, random *rand.Rand, prefix string, calls int, half chan<- struct{}, seen map[string]outcome,
) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Error(err)
	}
	defer conn.Close()
	for i := range calls {
		if i == calls/2 {
			half <- struct{}{}
		}
		kind := kinds[random.IntN(len(kinds))]
		text := []string{"ok", "gone", "secret", "panic", "wait"}[random.IntN(5)]
		name := prefix + strconv.Itoa(i)
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-id", name), time.Minute)
		err := callOnce(ctx, conn, kind, text)
		cancel()
		seen[name] = outcome{status.Code(err), hauberk.Reason(err)}
	}
}

// callOnce makes a call with one request.
func callOnce(ctx context.Context, conn *grpc.ClientConn, kind hauberk.Kind, text string) error {
	req, resp := &testpb.Request{Text: text}, new(testpb.Response)
	if kind == hauberk.Unary {
		return conn.Invoke(ctx, hauberktest.FullMethod(kind), req, resp)
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		return err
	}
	_ = stream.SendMsg(req) // RecvMsg has the status
	_ = stream.CloseSend()
	return drainResponses(stream, kind)
}

func compareOutcomes(t *testing.T, seen []map[string]outcome, records map[string][]outcome) {
	t.Helper()
	counts := make(map[outcome]int)
	calls := make(map[string]outcome)
	for _, of := range seen {
		for name, got := range of {
			calls[name] = got
			counts[got]++
			recorded := records[name]
			lost := got == outcome{codes.Unavailable, ""} // the connection
			ended := got == outcome{codes.Unavailable, hauberk.ReasonShuttingDown}
			if !lost && (len(recorded) != 1 || recorded[0] != got && (!ended || recorded[0].code == codes.OK)) ||
				len(recorded) > 1 {
				t.Errorf("call %s: the client has %v, and the records %v", name, got, recorded)
			}
		}
	}
	for name := range records {
		if _, ok := calls[name]; !ok {
			t.Errorf("a record of the call %q, which no client has made", name)
		}
	}
	for _, want := range []outcome{
		{codes.OK, ""}, {codes.NotFound, "GONE"}, {codes.Unavailable, serving.ReasonMaintenance},
	} {
		if counts[want] == 0 {
			t.Errorf("no call has ended with %v: %v", want, counts)
		}
	}
	t.Log(counts)
}

// drainResponses receives to the end of a stream and returns its status.
func drainResponses(stream grpc.ClientStream, kind hauberk.Kind) error {
	for {
		switch err := stream.RecvMsg(new(testpb.Response)); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil || !kind.ServerStreams():
			return err
		}
	}
}
