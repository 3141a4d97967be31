package hedge_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// plan is a call: its settings, what its attempts do, and when its caller gives up.
type plan struct {
	max              int
	delay            time.Duration // 0 starts all at once
	steps            []step        // one for each attempt
	deadline, cancel time.Duration // 0 for none
}

// drawPlan draws a plan in which no two events are at the same time: the µs of each are the sum of
// different powers of 2.
func drawPlan(r *rapid.T) (p plan) {
	tens := func(least int, name string) time.Duration {
		return time.Duration(rapid.IntRange(least, 40).Draw(r, name)) * 10 * ms
	}
	p.max = rapid.IntRange(1, 5).Draw(r, "attempts")
	p.delay = tens(0, "delay")
	for i := range p.max {
		s := step{after: tens(0, "after") + time.Microsecond<<i}
		switch rapid.IntRange(0, 9).Draw(r, "outcome") {
		case 0, 1:
		case 2:
			s.code = codes.NotFound
		case 3, 4:
			s = never
		default:
			s.code = codes.Unavailable
			switch rapid.IntRange(0, 5).Draw(r, "pushback") {
			case 0:
				s.pushback = []string{rapid.SampledFrom([]string{"-1", "x", "", "999999999"}).Draw(r, "value")}
			case 1, 2:
				s.pushback = []string{strconv.Itoa(int(tens(0, "wait") / ms))}
			}
		}
		p.steps = append(p.steps, s)
	}
	switch rapid.IntRange(0, 3).Draw(r, "caller") {
	case 0:
		p.deadline = tens(0, "deadline") + time.Microsecond<<10
	case 1:
		p.cancel = tens(0, "cancel") + time.Microsecond<<11
	}
	return p
}

// result is what can be seen of a call.
type result struct {
	starts []time.Duration
	end    time.Duration
	code   codes.Code
	by     int // the attempt whose outcome it is; 0 if the caller gave up
}

func (r result) String() string {
	return fmt.Sprintf("starts %v; %v at %v by attempt %d", r.starts, r.code, r.end, r.by)
}

// forever is later than any event.
const forever = time.Hour

// predict is the rules of hedging in the plainest form: one event after the other.
func (p plan) predict() (r result) {
	ends := make(map[int]time.Duration) // of attempts that run
	next, more := time.Duration(0), true
	for {
		first, at := 0, cmp.Or(p.deadline, p.cancel, forever)
		for n, end := range ends {
			if end < at {
				first, at = n, end
			}
		}
		if more && len(r.starts) < p.max && next <= at {
			r.starts = append(r.starts, next)
			n := len(r.starts)
			ends[n] = forever
			if s := p.steps[n-1]; s.after >= 0 {
				ends[n] = next + s.after
			}
			next += p.delay
			continue
		}
		r.end, r.by = at, first
		if first == 0 {
			r.code = codes.DeadlineExceeded
			if p.deadline == 0 {
				r.code = codes.Canceled
			}
			return r
		}
		delete(ends, first)
		r.code = p.steps[first-1].code
		if r.code != codes.Unavailable {
			return r
		}
		wait, good := p.steps[first-1].wait()
		if next = at + wait; !good || p.deadline > 0 && next >= p.deadline {
			more = false
		}
		if len(ends) == 0 && (!more || len(r.starts) == p.max) {
			return r
		}
	}
}

// wait returns how long the server asks to wait, and whether another attempt may start.
func (s step) wait() (time.Duration, bool) {
	if len(s.pushback) == 0 {
		return 0, true
	}
	n, err := strconv.Atoi(s.pushback[0])
	return time.Duration(n) * ms, err == nil && n >= 0 && n <= 60_000
}

// TestModel: attempts start at the times that the model says, and the caller gets the outcome that
// it says when it says.
func TestModel(t *testing.T) {
	for _, kind := range hedged {
		t.Run(kind.String(), func(t *testing.T) {
			testseed.Check(t, func(r *rapid.T) {
				p := drawPlan(r)
				want := p.predict()
				if want.end == forever {
					r.Skip("a call that does not end")
				}
				var got result
				synctest.Test(t, func(t *testing.T) { got = p.run(t, kind) })
				if got.String() != want.String() {
					r.Fatalf("%+v\n got %v\nwant %v", p, got, want)
				}
			})
		})
	}
}

// run makes the call in simulated time.
func (p plan) run(t *testing.T, kind hauberk.Kind) (r result) {
	t.Helper()
	ctx := t.Context()
	began := time.Now()
	if p.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.deadline)
		defer cancel()
	}
	if p.cancel > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer time.AfterFunc(p.cancel, cancel).Stop()
	}
	transport := &planned{plan: p, began: began}
	config := hedge.Config{MaxAttempts: p.max, Delay: p.delay, NoDelay: p.delay == 0, NoBudget: true}
	conn := hauberk.Must(hauberk.New(all(config))).ClientConn(transport)
	resp := new(testpb.Response)
	var err error
	if kind == hauberk.Unary {
		err = conn.Invoke(ctx, hauberktest.FullMethod(kind), &testpb.Request{}, resp)
	} else {
		err = receiveOne(ctx, conn, resp)
	}
	r.end, r.code, r.starts = time.Since(began), status.Code(err), transport.starts
	slices.Sort(r.starts)
	text := resp.GetText()
	if err != nil {
		text = status.Convert(err).Message()
	}
	r.by, _ = strconv.Atoi(text)
	if len(transport.running) > 0 {
		t.Errorf("attempts %v run after the call", transport.running)
	}
	return r
}

func receiveOne(ctx context.Context, conn grpc.ClientConnInterface, resp *testpb.Response) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, hauberktest.FullMethod(hauberk.ServerStream))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&testpb.Request{}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(resp); err != nil {
		return err
	}
	if err := stream.RecvMsg(new(testpb.Response)); err != io.EOF {
		return fmt.Errorf("after the message: %w", err)
	}
	return nil
}

// planned is a connection whose attempts follow a plan.
type planned struct {
	plan

	began   time.Time
	mu      sync.Mutex
	starts  []time.Duration
	running []int
}

// start starts an attempt.
func (c *planned) start(ctx context.Context) *plannedStream {
	md, _ := metadata.FromOutgoingContext(ctx)
	n := 1
	if values := md.Get("grpc-previous-rpc-attempts"); len(values) == 1 {
		before, _ := strconv.Atoi(values[0])
		n += before
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts = append(c.starts, time.Since(c.began))
	c.running = append(c.running, n)
	s := &plannedStream{conn: c, ctx: ctx, number: n, step: c.steps[n-1]}
	if s.step.after >= 0 {
		s.due = time.After(s.step.after)
	}
	return s
}

func (c *planned) Invoke(ctx context.Context, _ string, _, reply any, opts ...grpc.CallOption) error {
	s := c.start(ctx)
	err := s.RecvMsg(reply)
	for _, o := range opts {
		if trailer, ok := o.(grpc.TrailerCallOption); ok {
			*trailer.TrailerAddr = s.Trailer()
		}
	}
	if err == nil {
		s.end()
	}
	return err
}

func (c *planned) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.start(ctx), nil
}

// plannedStream is an attempt.
type plannedStream struct {
	conn     *planned
	ctx      context.Context
	number   int
	step     step
	due      <-chan time.Time
	answered bool
}

// end notes that an attempt has ended.
func (s *plannedStream) end() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.running = slices.DeleteFunc(s.conn.running, func(n int) bool { return n == s.number })
}

func (s *plannedStream) RecvMsg(msg any) error {
	if s.answered {
		s.end()
		return io.EOF
	}
	select {
	case <-s.due:
	case <-s.ctx.Done():
		s.end()
		return status.FromContextError(s.ctx.Err()).Err()
	}
	if s.step.code != codes.OK {
		s.end()
		return status.Error(s.step.code, strconv.Itoa(s.number))
	}
	s.answered = true
	msg.(*testpb.Response).Text = strconv.Itoa(s.number)
	return nil
}

func (s *plannedStream) Trailer() metadata.MD {
	md := metadata.MD{}
	md.Append("grpc-retry-pushback-ms", s.step.pushback...)
	return md
}

func (s *plannedStream) Header() (metadata.MD, error) { return nil, nil }
func (s *plannedStream) CloseSend() error             { return nil }
func (s *plannedStream) Context() context.Context     { return s.ctx }
func (s *plannedStream) SendMsg(any) error            { return nil }
