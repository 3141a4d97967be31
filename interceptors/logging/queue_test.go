package logging_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// serveText serves a unary call whose record has a number.
func serveText(t testing.TB, chain *hauberk.Chain, n int) {
	t.Helper()
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	_, err := chain.UnaryServerInterceptor()(t.Context(), "request", info, func(ctx context.Context, _ any) (any, error) {
		logging.AddFields(ctx, slog.Int("n", n))
		return "response", nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The records are the same with and without a queue.
func TestQueue(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		config := logging.Config{Start: true, Messages: true, Queue: 100}
		x := logging.New(config, j.option())
		env := c.Start(t, x)
		if out := env.Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		if err := x.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []any{"call started", "message passed", "message passed", "call ended"}
		checkEqual(t, pluck(j.records(t), "msg"), want)
		if x.Dropped() != 0 {
			t.Errorf("%d records dropped", x.Dropped())
		}
	})
}

// While the writer blocks, calls continue. Records without room are dropped and counted.
// Those in the queue are written in their order when the writer continues.
func TestQueueDropsRatherThanBlocks(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	h := &held{j.logger().Handler(), make(chan struct{}), make(chan struct{}, 1000)}
	x := logging.New(logging.Config{Queue: 3}, logging.WithLogger(loggerOf(h)))
	chain := hauberk.Must(hauberk.New(x))
	serveText(t, chain, 0)
	<-h.entered // the handler blocks with the first record
	for n := 1; n < 10; n++ {
		serveText(t, chain, n)
	}
	if got := x.Dropped(); got != 6 {
		t.Errorf("%d records dropped, want 6", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, f := range map[string]func(context.Context) error{"Flush": x.Flush, "Close": x.Close} {
		if err := f(gone); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "3 records") {
			t.Errorf("%s in an ended context: %v", name, err)
		}
	}
	close(h.on)
	if err := x.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkEqual(t, pluck(j.records(t), "n"), []any{0.0, 1.0, 2.0, 3.0})
}

func TestFlush(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	x := logging.New(logging.Config{Queue: 100}, j.option())
	chain := hauberk.Must(hauberk.New(x))
	if err := x.Flush(t.Context()); err != nil { // before the goroutine starts
		t.Fatal(err)
	}
	for n := range 50 {
		serveText(t, chain, n)
		if n%10 != 9 {
			continue
		}
		if err := x.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(j.records(t)); got != n+1 {
			t.Errorf("%d records after a flush, want %d", got, n+1)
		}
	}
	_ = x.Close(t.Context())
	if err := errors.Join(x.Close(t.Context()), x.Flush(t.Context())); err != nil {
		t.Errorf("after Close: %v", err)
	}
	serveText(t, chain, 50)
	if got := len(j.records(t)); got != 50 || x.Dropped() != 1 {
		t.Errorf("%d records, %d dropped; want what comes after Close to be dropped", got, x.Dropped())
	}
}

// Flush waits for the records in the queue, in whichever order the writer receives both.
func TestFlushOfWaitingRecords(t *testing.T) {
	const records = 4
	for range 20 { // the writer selects at random
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			h := &held{j.logger().Handler(), make(chan struct{}), make(chan struct{}, 1000)}
			x := logging.New(logging.Config{Queue: records}, logging.WithLogger(loggerOf(h)))
			chain := hauberk.Must(hauberk.New(x))
			for n := range records {
				serveText(t, chain, n)
			}
			<-h.entered
			flushed := make(chan error, 1)
			go func() { flushed <- x.Flush(t.Context()) }()
			for n := range records {
				synctest.Wait()
				if len(flushed) > 0 {
					t.Fatalf("flushed with %d of %d records written", n, records)
				}
				h.on <- struct{}{}
			}
			if err := errors.Join(<-flushed, x.Close(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without a queue or without a record there is no goroutine, and Flush and Close return.
func TestFlushOfNothing(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, size := range []int{0, 5} {
		x := logging.New(logging.Config{Queue: size})
		if err := errors.Join(x.Flush(t.Context()), x.Close(t.Context()), x.Close(t.Context()), x.Flush(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// With concurrent records, flushes and Close each record is written or counted.
func TestQueueConcurrently(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	x := logging.New(logging.Config{Queue: 8}, j.option())
	chain := hauberk.Must(hauberk.New(x))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 100 {
				serveText(t, chain, n)
			}
		})
		wg.Go(func() { _ = x.Flush(t.Context()) })
	}
	wg.Go(func() { _ = x.Close(t.Context()) })
	wg.Wait()
	if got := int64(len(j.records(t))) + x.Dropped(); got != 400 {
		t.Errorf("%d records written and %d dropped, want 400 together", len(j.records(t)), x.Dropped())
	}
}

// A panic of the handler on the queue's goroutine costs one record and no more.
func TestQueueSurvivesPanics(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	h := panicking{j.logger().Handler(), new(atomic.Bool)}
	x := logging.New(logging.Config{Queue: 8}, logging.WithLogger(loggerOf(h)))
	chain := hauberk.Must(hauberk.New(x))
	for n := range 3 {
		serveText(t, chain, n)
	}
	if err := x.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkEqual(t, pluck(j.records(t), "n"), []any{1.0, 2.0})
	if x.Dropped() != 1 {
		t.Errorf("%d records dropped, want 1", x.Dropped())
	}
}

// lazy records when its value is read.
type lazy struct{ ready *atomic.Bool }

func (l lazy) LogValue() slog.Value { return slog.StringValue(strconv.FormatBool(l.ready.Load())) }

// LogValue methods run on the call's goroutine. A record in the queue does not change if
// the call changes its data later, and is not lost when its context ends.
func TestQueueHasSettledValues(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	h := &held{j.logger().Handler(), make(chan struct{}), make(chan struct{}, 1000)}
	x := logging.New(logging.Config{Queue: 3}, logging.WithLogger(loggerOf(h)))
	var ready atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	_, err := hauberk.Must(hauberk.New(x)).UnaryServerInterceptor()(ctx, "", info, func(ctx context.Context, _ any) (any, error) {
		logging.AddFields(ctx, slog.Any("plain", lazy{&ready}), slog.Group("group", slog.Any("inner", lazy{&ready})))
		return nil, status.Error(codes.NotFound, "")
	})
	if status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
	<-h.entered
	ready.Store(true)
	cancel()
	close(h.on)
	if err := x.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	record := j.only(t)
	check(t, record, map[string]any{"plain": "false"})
	if group, _ := record["group"].(map[string]any); group["inner"] != "false" {
		t.Errorf("the group holds %v", record["group"])
	}
}

// Calls that panic or end their goroutine have records in the queue.
func TestQueueHasUnwoundCalls(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	x := logging.New(logging.Config{Queue: 8}, j.option())
	chain := hauberk.Must(hauberk.New(x))
	for _, kind := range kinds {
		if got := panicOf(func() { serve(t.Context(), chain, kind, func() { panic(errNoRoom) }) }); got != any(errNoRoom) {
			t.Errorf("recovered %v", got)
		}
	}
	if err := x.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := pluck(j.records(t), logging.KeyStatusCode); !slices.Equal(got, []any{"INTERNAL", "INTERNAL", "INTERNAL", "INTERNAL"}) {
		t.Errorf("codes %v", got)
	}
}
