package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// program is what both sides of a call do, step by step, and how the call ends.
type program struct {
	steps []step
	end   ending
}

// step is a message, a response header or the half-close.
type step struct {
	what int
	size int // of a message
}

const (
	request = iota
	response
	header
	halfClose
	steps
)

type ending int

const (
	succeeds   ending = iota
	fails             // with a status
	isCanceled        // by the client
	isLate            // the deadline passes
	unread            // the server does not read the last requests, and fails
	stalls            // the client does not read the last responses, and cancels
)

const endings = int(stalls) + 1

// callTime is the time of a call that ends at its deadline.
const callTime = 10 * time.Second

// programs reads calls from bytes: at most six, of at most nine steps.
func programs(data []byte) (all []program) {
	sizes := []int{0, 1, 100, 5000, 20_000, 70_000, 200_000}
	for len(data) > 0 && len(all) < 6 {
		p := program{end: ending(int(data[0]) % endings)}
		n := min(int(data[0])/endings%10, len(data)-1)
		closed := false
		for _, b := range data[1 : 1+n] {
			s := step{what: int(b) % steps, size: sizes[int(b)/steps%len(sizes)]}
			if closed && (s.what == request || s.what == halfClose) {
				s.what = response
			}
			closed = closed || s.what == halfClose
			p.steps = append(p.steps, s)
		}
		if closed && p.end == unread {
			p.end = fails
		}
		all, data = append(all, p), data[1+n:]
	}
	return all
}

// record is what the sides of a call have seen.
type record struct {
	mu             sync.Mutex
	client, server []string
}

func (r *record) sawf(side *[]string, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*side = append(*side, fmt.Sprintf(format, args...))
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("client:\n%s\nserver:\n%s\n", strings.Join(r.client, "\n"), strings.Join(r.server, "\n"))
}

func (p program) handle(ctx context.Context, s hauberktest.Stream, seen *record) error {
	for i, step := range p.steps {
		switch step.what {
		case request, halfClose:
			req, err := s.Recv()
			seen.sawf(&seen.server, "%d: %s %d %v", i, req.GetText(), len(req.GetPayload()), err)
		case response:
			_ = s.Send(&testpb.Response{Text: strconv.Itoa(i), Payload: make([]byte, step.size)})
		case header:
			_ = s.SendHeader(metadata.Pairs("x-step", strconv.Itoa(i)))
		}
	}
	s.SetTrailer(metadata.Pairs("x-end-bin", string([]byte{0, byte(p.end), 0xff})))
	switch p.end {
	case isCanceled, isLate:
		<-ctx.Done()
	case stalls:
		for s.Send(&testpb.Response{Payload: make([]byte, 100_000)}) == nil { //nolint:revive // until the call ends
		}
	case fails, unread:
		return status.Error(codes.Aborted, "at the end")
	case succeeds:
		return nil
	}
	seen.sawf(&seen.server, "ended: %t", ctx.Err() != nil)
	return ctx.Err()
}

func (p program) call(ctx context.Context, conn *grpc.ClientConn, id int, seen *record) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.end == isLate {
		ctx, cancel = context.WithTimeout(ctx, callTime)
		defer cancel()
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "x-program", strconv.Itoa(id))
	stream, err := testpb.NewTestServiceClient(conn).Bidi(ctx)
	if err != nil {
		seen.sawf(&seen.client, "open: %v", err)
		return
	}
	for i, step := range p.steps {
		switch step.what {
		case request:
			_ = stream.Send(&testpb.Request{Text: strconv.Itoa(i), Payload: make([]byte, step.size)})
		case response:
			resp, err := stream.Recv()
			seen.sawf(&seen.client, "%d: %s %d %v", i, resp.GetText(), len(resp.GetPayload()), err)
		case halfClose:
			_ = stream.CloseSend()
		}
	}
	switch p.end {
	case unread:
		for stream.Send(&testpb.Request{Payload: make([]byte, 100_000)}) == nil { //nolint:revive // until the call ends
		}
	case isCanceled, stalls:
		<-time.After(time.Second)
		cancel()
	case succeeds, fails, isLate:
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	md, _ := stream.Header()
	if p.end == isCanceled || p.end == stalls { // what arrived before is a matter of time
		seen.sawf(&seen.client, "status %s", status.Code(err))
		return
	}
	if p.end == isLate { // by the client's timer or by the server's
		seen.sawf(&seen.client, "status %s, header %q", status.Code(err), md.Get("x-step"))
		return
	}
	seen.sawf(&seen.client, "status %s %q, header %q, trailer %q", status.Code(err), status.Convert(err).Message(),
		md.Get("x-step"), stream.Trailer().Get("x-end-bin"))
}

// Calls that run concurrently on one connection have the same outcome through the gateway as
// directly, for both sides.
func FuzzSameAsDirect(f *testing.F) {
	f.Add([]byte{6, 0, 7, 1, 13, 0, 9, 2, 18, 5, 6, 3}, false)
	f.Add([]byte{54, 25, 26, 0, 1, 2, 30, 31, 3, 1, 55, 5, 6, 25, 26, 10, 11, 15, 16, 3}, true)
	for end := range ending(endings) {
		f.Add([]byte(strings.Repeat(string(rune(12+end))+"\x19\x1a", 6)), false)
		f.Add([]byte(strings.Repeat(string(rune(24+end))+"\x02\x00\x01\x03", 6)), true)
		f.Add([]byte{byte(end)}, false)
	}
	random := rand.New(rand.NewPCG(15, 7))
	for i := range 30 {
		data := make([]byte, 60)
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		f.Add(data, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, hooks bool) {
		calls := programs(data)
		b := bubble{transport: TransportFrames}
		if hooks {
			b.interceptors = []hauberk.Interceptor{hauberk.Func(
				func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					call.OnReceive(func(any) (bool, error) { return true, nil })
					call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
					return next(ctx, call)
				})}
		}
		var seen []*record // of the calls of one side
		b.backend.Handle = func(ctx context.Context, s hauberktest.Stream) error {
			md, _ := metadata.FromIncomingContext(ctx)
			id, err := strconv.Atoi(md.Get("x-program")[0])
			if err != nil {
				return err
			}
			return calls[id].handle(ctx, s, seen[id])
		}
		b.runOnce(t, func(t *testing.T, b *bubble) {
			outcomes := make(map[*grpc.ClientConn]string)
			for _, conn := range []*grpc.ClientConn{b.direct, b.through} {
				seen = make([]*record, len(calls))
				for i := range seen {
					seen[i] = new(record)
				}
				var running sync.WaitGroup
				for i, p := range calls {
					running.Go(func() { p.call(t.Context(), conn, i, seen[i]) })
				}
				running.Wait()
				<-time.After(2 * callTime) // for the handlers
				for i, r := range seen {
					outcomes[conn] += fmt.Sprintf("call %d\n%s", i, r)
				}
			}
			if diff := cmp.Diff(strings.Split(outcomes[b.direct], "\n"), strings.Split(outcomes[b.through], "\n")); diff != "" {
				t.Errorf("%+v\n(-direct +through):\n%.3000s", calls, diff)
			}
		})
	})
}
