package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file have foreign code panic, or end its goroutine, while a client
// uses a stream. They run in child processes: a panic on a goroutine that no one can
// recover ends the process.

// foreignPlaces are where code of others runs for a client's stream.
var foreignPlaces = []string{
	"credentials", "TagRPC", "HandleRPC of a response", "Marshal", "Unmarshal", "OnFinish",
	"interceptor", "interceptor's SendMsg", "interceptor's RecvMsg", "interceptor's Header", "interceptor's CloseSend",
}

// foreignCode does something at one of foreignPlaces.
type foreignCode struct {
	place string
	do    func()
}

func (f foreignCode) at(place string) {
	if f.place == place {
		f.do()
	}
}

// foreignCreds are credentials of a call.
type foreignCreds struct{ foreignCode }

func (c foreignCreds) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	c.at("credentials")
	return nil, nil
}
func (foreignCreds) RequireTransportSecurity() bool { return false }

// foreignStats is a stats handler of a connection.
type foreignStats struct{ foreignCode }

func (foreignStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (foreignStats) HandleConn(context.Context, stats.ConnStats)                       {}

func (s foreignStats) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	s.at("TagRPC")
	return ctx
}

func (s foreignStats) HandleRPC(_ context.Context, rpc stats.RPCStats) {
	if _, ok := rpc.(*stats.InPayload); ok {
		s.at("HandleRPC of a response")
	}
}

// foreignCodec fails at nothing but its place.
type foreignCodec struct{ foreignCode }

func (foreignCodec) Name() string { return "proto" }

func (c foreignCodec) Marshal(any) ([]byte, error) {
	c.at("Marshal")
	return nil, nil
}

func (c foreignCodec) Unmarshal([]byte, any) error {
	c.at("Unmarshal")
	return nil
}

// foreignStream is a stream of an interceptor of grpc-go.
type foreignStream struct {
	grpc.ClientStream
	foreignCode
}

func (s foreignStream) SendMsg(msg any) error {
	s.at("interceptor's SendMsg")
	return s.ClientStream.SendMsg(msg)
}

func (s foreignStream) RecvMsg(msg any) error {
	s.at("interceptor's RecvMsg")
	return s.ClientStream.RecvMsg(msg)
}

func (s foreignStream) Header() (metadata.MD, error) {
	s.at("interceptor's Header")
	return s.ClientStream.Header()
}

func (s foreignStream) CloseSend() error {
	s.at("interceptor's CloseSend")
	return s.ClientStream.CloseSend()
}

// intercept is an interceptor of grpc-go.
func (f foreignCode) intercept(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	f.at("interceptor")
	stream, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	return foreignStream{stream, f}, nil
}

func (foreignCode) interceptUnary(
	ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	return invoke(ctx, method, req, resp, cc, opts...)
}

// foreignWorlds are who uses the foreign code.
var foreignWorlds = []string{"bare", "chain", "guarded chain"}

// connect returns a connection with the foreign code.
func (f foreignCode) connect(t *testing.T, who string) grpc.ClientConnInterface {
	t.Helper()
	opts := []grpc.DialOption{
		grpc.WithPerRPCCredentials(foreignCreds{f}), grpc.WithStatsHandler(foreignStats{f}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(foreignCodec{f})),
	}
	interceptors := []hauberk.Interceptor{hauberk.Func(idle), hauberk.FromClient(f.interceptUnary, f.intercept)}
	switch who {
	case "bare":
		opts = append(opts, grpc.WithStreamInterceptor(f.intercept))
		interceptors = nil
	case "guarded chain":
		interceptors = append([]hauberk.Interceptor{recoverer{}}, interceptors...)
	case "hedged chain":
		interceptors = append([]hauberk.Interceptor{hedge(nil)}, interceptors...)
	case "hedged chain without an adapter":
		interceptors = []hauberk.Interceptor{again(2), hedge(nil)}
	}
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for {
			if _, err := s.Recv(); err == io.EOF {
				return s.Send(response("done"))
			} else if err != nil {
				return err
			}
		}
	}}
	conn := bare(t, backend, opts...)
	if interceptors == nil {
		return conn
	}
	return hauberk.Must(hauberk.New(interceptors...)).ClientConn(conn)
}

// use makes a call on a goroutine that recovers, as those of net/http do, and returns
// how it ended and what the other operations do then.
func (f foreignCode) use(t *testing.T, conn grpc.ClientConnInterface, kind hauberk.Kind) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var stream grpc.ClientStream
	doing, outcome := "NewStream", "the goroutine ended"
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if value := recover(); value != nil {
				outcome = fmt.Sprint("panic ", value)
			}
		}()
		opened, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind), grpc.OnFinish(func(error) { f.at("OnFinish") }))
		stream = opened
		for _, doing = range []string{"SendMsg", "CloseSend", "Header", "RecvMsg", "RecvMsg"} {
			if err != nil {
				break
			}
			if err = operate(stream, doing); !kind.ServerStreams() && doing == "RecvMsg" {
				break
			}
		}
		outcome = "error " + show(err)
	}()
	<-done
	result := doing + ": " + outcome
	if stream == nil {
		return result
	}
	cancel() // now nothing may block
	for _, op := range operations {
		if !within(t, op, func() { _ = recovering(func() { _ = operate(stream, op) }) }) {
			return result + "; then " + op + " hangs"
		}
	}
	return result
}

// TestForeignCodeOfAClient: what panics while a client opens or uses a stream, even
// its first attempt, is the panic of bare grpc-go, on the application's goroutine;
// with a guard in the chain it is an INTERNAL error. What ends its goroutine ends no
// other. No operation blocks afterwards.
func TestForeignCodeOfAClient(t *testing.T) {
	const env = "HAUBERK_TEST_FOREIGN"
	if what := os.Getenv(env); what != "" {
		how, place, _ := strings.Cut(what, " ")
		do := func() { panic("foreign") }
		if how == "Goexit" {
			do = runtime.Goexit
		}
		f := foreignCode{place, do}
		for _, kind := range allKinds {
			for _, who := range foreignWorlds {
				fmt.Fprintf(os.Stdout, "RESULT %s|%s|%s\n", kind, who, f.use(t, f.connect(t, who), kind))
			}
		}
		return
	}
	for _, how := range []string{"panic", "Goexit"} {
		for _, place := range foreignPlaces {
			t.Run(how+"/"+place, func(t *testing.T) {
				got, output := foreignChild(t, "TestForeignCodeOfAClient", env+"="+how+" "+place)
				for _, kind := range allKinds {
					bare := got[kind.String()+"|bare"]
					for _, who := range foreignWorlds {
						result := got[kind.String()+"|"+who]
						if result == "" {
							t.Fatalf("%s, %s: the process ended:\n%s", kind, who, output)
						}
						if wrong := foreignWrong(how, place, who, bare, result); wrong {
							t.Errorf("%s, %s: %s; bare grpc-go: %s", kind, who, result, bare)
						}
					}
				}
			})
		}
	}
}

// foreignWrong reports whether a result is not what it has to be.
func foreignWrong(how, place, who, bare, result string) bool {
	op, outcome, _ := strings.Cut(result, ": ")
	bareOp, bareOutcome, _ := strings.Cut(bare, ": ")
	if strings.Contains(outcome, "hangs") {
		return true
	}
	switch {
	case how == "Goexit":
		return outcome != "the goroutine ended" && outcome != "error Internal"
	case who == "guarded chain":
		return outcome != "error Internal"
	case place == "OnFinish", place == "interceptor's CloseSend":
		return outcome != bareOutcome // the chain may end, or close, in another operation
	default:
		return outcome != bareOutcome || op != bareOp || outcome != "panic foreign"
	}
}

// TestForeignCodeOfConcurrentAttempts: what panics in a concurrent attempt, on a goroutine
// of an interceptor, is raised in an operation of the application.
func TestForeignCodeOfConcurrentAttempts(t *testing.T) {
	const env = "HAUBERK_TEST_FOREIGN_CONCURRENT"
	worlds := []string{"bare", "hedged chain", "hedged chain without an adapter"}
	if place := os.Getenv(env); place != "" {
		f := foreignCode{place, func() { panic("foreign") }}
		for _, who := range worlds {
			for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
				fmt.Fprintf(os.Stdout, "RESULT %s|%s|%s\n", kind, who, f.use(t, f.connect(t, who), kind))
			}
			value := recovering(func() { _ = complete(patient(t), f.connect(t, who), hauberk.Unary) })
			fmt.Fprintf(os.Stdout, "RESULT invoke|%s|Invoke: panic %v\n", who, value)
		}
		return
	}
	for _, place := range foreignPlaces {
		t.Run(place, func(t *testing.T) {
			got, output := foreignChild(t, "TestForeignCodeOfConcurrentAttempts", env+"="+place)
			for _, kind := range []string{hauberk.Unary.String(), hauberk.ServerStream.String(), "invoke"} {
				_, bare, _ := strings.Cut(got[kind+"|bare"], ": ")
				for _, who := range worlds {
					_, outcome, returned := strings.Cut(got[kind+"|"+who], ": ")
					if !returned {
						t.Fatalf("%s, %s: the process ended:\n%s", kind, who, output)
					}
					if outcome != bare && (who != worlds[2] || !strings.HasPrefix(place, "interceptor")) {
						t.Errorf("%s, %s: %s; bare grpc-go: %s", kind, who, outcome, bare)
					}
				}
			}
		})
	}
}

// foreignChild runs a test in a child process and returns its results.
func foreignChild(t *testing.T, test, env string) (got map[string]string, output string) {
	t.Helper()
	cmd := exec.CommandContext(patient(t), os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	got = map[string]string{}
	lines := strings.Split(string(out), "\n")
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "RESULT "); ok {
			at := strings.LastIndex(rest, "|")
			got[rest[:at]] = rest[at+1:]
		}
	}
	return got, strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "RESULT ") })[:min(len(lines)-len(got), 12)], "\n")
}

// TestPanicInNewStreamEndsTheCall: no attempt follows one that panicked in NewStream, or ended
// its goroutine: no one has the stream.
func TestPanicInNewStreamEndsTheCall(t *testing.T) {
	eager := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) (err error) {
		for range 3 {
			if err = next(ctx, call); err == nil {
				break
			}
		}
		return err
	})
	for how, do := range map[string]func(){"panic": func() { panic("bomb") }, "Goexit": runtime.Goexit} {
		for name, chain := range map[string][]hauberk.Interceptor{"eager": {eager}, "around an adapter": {eager, adapted()}, "inside an adapter": {adapted(), eager}} {
			for _, kind := range allKinds {
				t.Run(how+"/"+name+"/"+kind.String(), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
						if n == 1 {
							do()
						}
						return &script{}, nil
					}}
					ended := make(chan error, 1)
					seen := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						return hauberk.Observe(ctx, call, next, func(err error) { ended <- err })
					})
					wrapped := hauberk.Must(hauberk.New(append([]hauberk.Interceptor{seen}, chain...)...)).ClientConn(conn)
					left := make(chan struct{})
					go func() {
						defer close(left)
						_ = recovering(func() {
							_, _ = wrapped.NewStream(patient(t), descOf(kind), hauberktest.FullMethod(kind))
							t.Error("NewStream has returned")
						})
					}()
					<-left
					within(t, "the chain", func() { wantCode(t, <-ended, codes.Internal) })
				})
			}
		}
	}
}

// TestPanicOfALaterAttempt: a panic of foreign code in a later attempt, which no
// operation of the application makes, is raised in the operation that waits for the
// chain, or in the next one.
func TestPanicOfALaterAttempt(t *testing.T) {
	for _, guarded := range []bool{false, true} {
		for _, kind := range allKinds {
			t.Run(fmt.Sprintf("guarded=%t/%s", guarded, kind), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				bomb := errors.New("bomb")
				conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
					if n == 2 {
						panic(bomb)
					}
					return &script{receive: func(context.Context, any) error { return status.Error(codes.Unavailable, "restarting") }}, nil
				}}
				var interceptors []hauberk.Interceptor
				if guarded {
					interceptors = append(interceptors, recoverer{})
				}
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				chain := hauberk.Must(hauberk.New(append(interceptors, hauberk.Func(idle), retry(3))...))
				stream := start(ctx, t, chain.ClientConn(conn), kind)
				if err := stream.SendMsg(message("a")); err != nil {
					t.Error(err)
				}
				_ = stream.CloseSend()
				var err error
				var value any
				if !within(t, "RecvMsg", func() { value = recovering(func() { err = stream.RecvMsg(new(testpb.Response)) }) }) {
					return
				}
				if guarded {
					// The guard of these tests reports that the stack is not its own; the code is what counts.
					wantCode(t, err, codes.Internal)
				} else if value != any(bomb) {
					t.Errorf("RecvMsg: panic %v, error %v; want the panic", value, err)
				}
				for _, op := range operations {
					if !within(t, op, func() { _ = recovering(func() { _ = operate(stream, op) }) }) {
						return
					}
				}
			})
		}
	}
}
