package serviceconfig_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

const ms = time.Millisecond

// step is what the backend does in one attempt.
type step struct {
	reads    int           // requests that it receives
	takes    time.Duration // then
	header   string        // "set" and "send" for a response header, "" for none
	messages int           // responses, of methods that stream them
	code     codes.Code
	pushback []string // of the trailer
	info     time.Duration
}

// scriptedCall is a call of an application, and what the backend does with its attempts. After the last step the
// backend answers with OK.
type scriptedCall struct {
	kind     hauberk.Kind
	sends    int           // requests, of methods that stream them
	asks     bool          // for the header before the first response
	deadline time.Duration // 0 for none
	previous string        // grpc-previous-rpc-attempts of the application, "" for none
	size     int           // of the payload of each request
	opts     []grpc.CallOption
	steps    []step
}

// seen is what the backend has seen of an attempt.
type seen struct {
	start    time.Duration // since the begin of the call
	previous string        // grpc-previous-rpc-attempts
	requests int           // that it has received
	deadline time.Duration // since the begin of the call, rounded; 0 for none
}

// result is the outcome of a call for its application, and what the backend has seen.
type result struct {
	code            codes.Code
	message         string
	responses       []string
	header, trailer string
	attempts        []seen
	took            time.Duration
	tokens          float64 // of the client's throttling after the call
}

// scripts is a backend that executes calls one after another.
type scripts struct {
	hauberktest.Backend

	mu       sync.Mutex
	call     scriptedCall
	began    time.Time
	attempts []seen
}

func newScripts() *scripts {
	s := new(scripts)
	s.Handle = s.handle
	return s
}

// begin begins a call.
func (s *scripts) begin(call scriptedCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call, s.began, s.attempts = call, time.Now(), nil
}

// attempt notes an attempt and returns its number and its step.
func (s *scripts) attempt(ctx context.Context) (int, step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := seen{start: time.Since(s.began), previous: strings.Join(metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts"), ",")}
	if deadline, ok := ctx.Deadline(); ok {
		a.deadline = deadline.Sub(s.began).Round(10 * ms)
	}
	s.attempts = append(s.attempts, a)
	n := len(s.attempts)
	if n > len(s.call.steps) {
		return n, step{reads: s.call.sends, messages: 1}
	}
	return n, s.call.steps[n-1]
}

func (s *scripts) handle(ctx context.Context, stream hauberktest.Stream) error {
	n, do := s.attempt(ctx)
	single := !strings.HasSuffix(stream.Method(), "/ServerStream") && !strings.HasSuffix(stream.Method(), "/Bidi")
	for range do.reads {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		s.mu.Lock()
		s.attempts[n-1].requests++
		s.mu.Unlock()
	}
	select {
	case <-time.After(do.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.respond(stream, n, do, single); err != nil {
		return err
	}
	st := status.New(do.code, "attempt "+strconv.Itoa(n))
	if do.info > 0 {
		var err error
		if st, err = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(do.info)}); err != nil {
			return err
		}
	}
	return st.Err()
}

// respond sends the metadata and the messages of an attempt.
func (s *scripts) respond(stream hauberktest.Stream, n int, do step, single bool) error {
	number := strconv.Itoa(n)
	trailer := metadata.Pairs("x-trailer", number)
	trailer.Append("grpc-retry-pushback-ms", do.pushback...)
	stream.SetTrailer(trailer)
	var err error
	switch header := metadata.Pairs("x-header", number); do.header {
	case "set":
		err = stream.SetHeader(header)
	case "send":
		err = stream.SendHeader(header)
	}
	messages := do.messages
	if single {
		messages = 0
		if do.code == codes.OK {
			messages = 1
		}
	}
	for i := range messages {
		err = errors.Join(err, stream.Send(&testpb.Response{Text: fmt.Sprintf("response %d of attempt %d", i, n)}))
	}
	return err
}

// run makes a call on a connection.
func (s *scripts) run(t *testing.T, conn grpc.ClientConnInterface, call scriptedCall) result {
	t.Helper()
	s.begin(call)
	ctx := t.Context()
	if call.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, call.deadline)
		defer cancel()
	}
	if call.previous != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "grpc-previous-rpc-attempts", call.previous)
	}
	r := new(result)
	var header, trailer metadata.MD
	var err error
	if call.kind == hauberk.Unary {
		resp := new(testpb.Response)
		err = conn.Invoke(ctx, hauberktest.FullMethod(call.kind), call.request(), resp,
			append(call.opts, grpc.Header(&header), grpc.Trailer(&trailer))...)
		if err == nil {
			r.responses = []string{resp.GetText()}
		}
	} else {
		header, trailer, err = r.stream(ctx, conn, call)
	}
	r.code, r.message = status.Code(err), status.Convert(err).Message()
	r.header, r.trailer = strings.Join(header["x-header"], ","), strings.Join(trailer["x-trailer"], ",")
	r.took = time.Since(s.began)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.attempts = slices.Clone(s.attempts)
	return *r
}

func (c scriptedCall) request() *testpb.Request {
	return &testpb.Request{Payload: make([]byte, c.size)}
}

// stream makes a call of a stream.
func (r *result) stream(ctx context.Context, conn grpc.ClientConnInterface, call scriptedCall) (header, trailer metadata.MD, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: call.kind.ClientStreams(), ServerStreams: call.kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(call.kind), call.opts...)
	if err != nil {
		return nil, nil, err
	}
	for range call.sends {
		if err = stream.SendMsg(call.request()); err != nil {
			break
		}
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if call.asks {
		_, _ = stream.Header()
	}
	for {
		resp := new(testpb.Response)
		if err = stream.RecvMsg(resp); err != nil {
			break
		}
		r.responses = append(r.responses, resp.GetText())
		if !desc.ServerStreams {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	header, _ = stream.Header()
	return header, stream.Trailer(), err
}

// randomCall returns a call with attempts that mostly fail.
func randomCall(random *rand.Rand) scriptedCall {
	pick := func(n int) bool { return random.IntN(n) == 0 }
	c := scriptedCall{kind: hauberk.Kind(random.IntN(4)), sends: 1, asks: pick(3)}
	if c.kind.ClientStreams() {
		c.sends = random.IntN(4)
	}
	for range random.IntN(9) {
		s := step{reads: c.sends, takes: time.Duration(random.IntN(3)) * 70 * ms}
		if pick(4) && c.kind.ClientStreams() {
			s.reads = random.IntN(c.sends + 1)
		}
		s.code = []codes.Code{
			codes.Unavailable, codes.Unavailable, codes.Unavailable, codes.Unavailable, codes.Unavailable, codes.Unavailable,
			codes.Unavailable, codes.Unavailable, codes.Unavailable, codes.ResourceExhausted, codes.Internal, codes.OK,
		}[random.IntN(12)]
		if pick(16) {
			s.header = []string{"set", "send"}[random.IntN(2)]
		}
		if pick(16) {
			s.messages = random.IntN(3)
		}
		if pick(5) {
			s.pushback = [][]string{{"0"}, {"250"}, {"1"}, {"+5"}, {"-0"}, {"-1"}, {"x"}, {""}, {"1", "1"}}[random.IntN(9)]
		}
		c.steps = append(c.steps, s)
	}
	return c
}

// randomConfig returns a service config.
func randomConfig(random *rand.Rand) string {
	of := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	entry := func(names string) string {
		fields := []string{`"name": ` + names}
		if random.IntN(6) > 0 {
			fields = append(fields, fmt.Sprintf(
				`"retryPolicy": {"maxAttempts": %d, "initialBackoff": %q, "maxBackoff": %q, "backoffMultiplier": %s, "retryableStatusCodes": %s}`,
				2+random.IntN(5), of("0.1s", "1s"), of("1s", "3s"), of("0.5", "1", "2", "10"), of(`["UNAVAILABLE"]`, `[14, 8]`, `["UNAVAILABLE", "INTERNAL"]`, `["INTERNAL"]`)))
		}
		if random.IntN(2) > 0 {
			fields = append(fields, `"timeout": "3600s"`)
		}
		if random.IntN(2) > 0 {
			fields = append(fields, `"waitForReady": true`)
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	const service = `"service": "hauberk.test.v1.TestService"`
	text := `{"methodConfig": [` + entry(`[{`+service+`}]`) + `, ` + entry(`[{`+service+`, "method": "Unary"}, {}]`) + `]`
	if random.IntN(2) > 0 {
		text += fmt.Sprintf(`, "retryThrottling": {"maxTokens": %d, "tokenRatio": %s}`, 1+random.IntN(40), of("0.125", "0.5", "1", "3")) // exact in binary: see TestRounding
	}
	return text + "}"
}
