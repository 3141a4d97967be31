package hauberk_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file compare streams behind chains that change nothing with those
// of bare grpc-go: rule e of client streams.

// diffBackends are what the server may do with a call.
func diffBackends() map[string]*hauberktest.Backend {
	marked := func(handle func(ctx context.Context, s hauberktest.Stream) error) *hauberktest.Backend {
		return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			_ = s.SetHeader(metadata.Pairs("h", "1"))
			s.SetTrailer(metadata.Pairs("t", "1"))
			return handle(ctx, s)
		}}
	}
	no := status.Error(codes.Aborted, "no")
	return map[string]*hauberktest.Backend{
		"echo":  marked(hauberktest.Echo),
		"error": marked(func(context.Context, hauberktest.Stream) error { return no }),
		"header, then error": marked(func(_ context.Context, s hauberktest.Stream) error {
			_ = s.SendHeader(nil)
			return no
		}),
		"one response, then error": marked(func(_ context.Context, s hauberktest.Stream) error {
			_ = s.Send(response("one"))
			return no
		}),
		"nothing": marked(wait),
	}
}

// The operations of a script, one letter each.
var diffOps = map[rune]string{
	's': "send", 'n': "send nil", 'l': "send too much", 'c': "close", 'r': "receive", 'h': "header", 't': "trailer", 'd': "done?", 'x': "cancel",
}

// diffScripts are orders of operations: those that programs write, and all of up to
// three.
func diffScripts() []string {
	scripts := []string{
		"scrrhts", "scsrrs", "sccrr", "scrrrrr", "shcrrh", "stcrrt", "crrht", "sxrrhtsc", "srxrrs", "scrrrsss", "ssscrrt", "shcrrt",
		"scsssrrtd", "ssrrtds", "cssrrtd", "scrrd", "nrrst", "snrrs", "lrrst", "slrrst", "sdcrrd", "xd", "hxhd", "trrd", "srrrxhtd",
	}
	letters := "scrhtdx"
	for _, a := range letters {
		for _, b := range letters {
			for _, c := range letters {
				scripts = append(scripts, string([]rune{a, b, c}))
			}
		}
	}
	return scripts
}

// play does what a script says on a stream and returns what the application sees. It
// waits after each operation until nothing moves any more. An operation that blocks
// ends the script: the call is cancelled.
func play(t *testing.T, conn grpc.ClientConnInterface, kind hauberk.Kind, script string) (log []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind), grpc.MaxCallSendMsgSize(1000))
	if err != nil {
		return []string{"open: " + show(err)}
	}
	synctest.Wait()
	ended := false // the application may look at the trailer
	for _, op := range script {
		var saw string
		done := starts(func() {
			saw = playOne(stream, op, cancel, ended)
			ended = ended || op == 'r' && (!kind.ServerStreams() || !strings.HasSuffix(saw, "<nil>"))
		})
		if finished(done) {
			log = append(log, diffOps[op]+": "+saw)
			continue
		}
		cancel()
		<-done
		synctest.Wait()
		return append(log, diffOps[op]+" blocks, and once cancelled: "+saw)
	}
	cancel()
	synctest.Wait()
	return log
}

func playOne(stream grpc.ClientStream, op rune, cancel context.CancelFunc, ended bool) string {
	values := func(md metadata.MD, key string) string {
		if md == nil {
			return "nil"
		}
		return fmt.Sprint(md.Get(key))
	}
	switch op {
	case 's':
		return show(stream.SendMsg(message("a")))
	case 'n':
		return show(stream.SendMsg(nil))
	case 'l':
		return show(stream.SendMsg(&testpb.Request{Payload: make([]byte, 2000)}))
	case 'c':
		return show(stream.CloseSend())
	case 'r':
		resp := new(testpb.Response)
		err := stream.RecvMsg(resp)
		if err != nil {
			return " " + show(err) // what the message holds then is no one's business
		}
		return resp.GetText() + " " + show(err)
	case 'h':
		md, err := stream.Header()
		return values(md, "h") + " " + show(err)
	case 't':
		md := stream.Trailer()
		if !ended && md != nil {
			return "too early"
		}
		return values(md, "t")
	case 'd':
		return show(stream.Context().Err())
	default:
		cancel()
		return ""
	}
}

// show is an error as tests compare it: the code of a status, the text of others.
func show(err error) string {
	if st, ok := status.FromError(err); ok && err != nil {
		return st.Code().String()
	}
	return fmt.Sprint(err)
}

// TestLikeBareGRPC: behind a chain that changes nothing, every order of operations
// shows the application what it shows behind bare grpc-go.
func TestLikeBareGRPC(t *testing.T) {
	for name, backend := range diffBackends() {
		t.Run(name, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				all, differences := worlds(t, backend), 0
				for i, script := range diffScripts() {
					want := play(t, all[0].conn, kind, script)
					compared := all[1:]
					if len(script) == 3 { // one of them is enough for each of the many
						compared = compared[i%len(compared):][:1]
					}
					for _, w := range compared {
						if strings.Contains(script, "n") && strings.Contains(w.name, "hooks") {
							continue // hooks do not emit nil
						}
						if strings.Contains(script, "d") && strings.Contains(w.name, "retry") {
							continue // a retry looks for the end of an attempt when a send meets it
						}
						got := play(t, w.conn, kind, script)
						for range 3 { // goroutines of grpc-go may have been in another order
							if !slices.Equal(got, want) {
								want, got = play(t, all[0].conn, kind, script), play(t, w.conn, kind, script)
							}
						}
						if !slices.Equal(got, want) {
							differences++
							if differences > 20 {
								t.Fatal("and so on")
							}
							t.Errorf("%s, %s:\n bare grpc-go\t%s\n here\t\t%s", script, w.name, strings.Join(want, "; "), strings.Join(got, "; "))
						}
					}
				}
			})
		})
	}
}

// TestWhatHasArrived: the application receives the messages and the status that had
// arrived before its context ended, and the outcome of the chain is that status; if
// none had arrived, both are the context's error.
func TestWhatHasArrived(t *testing.T) {
	for _, how := range []string{"deadline", "cancel"} {
		for _, server := range []string{"ends OK", "ends with an error", "goes on"} {
			t.Run(how+"/"+server, func(t *testing.T) {
				bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
					backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
						n := 1
						if kind.ServerStreams() {
							n = 10
						}
						for i := range n {
							if server == "ends with an error" && !kind.ServerStreams() {
								break
							}
							if err := s.Send(response(fmt.Sprint(i))); err != nil {
								return err
							}
						}
						switch server {
						case "ends OK":
							return nil
						case "ends with an error":
							return status.Error(codes.Aborted, "no")
						default:
							return wait(ctx, s)
						}
					}}
					var want []string
					for _, w := range append(worlds(t, backend), world{"outcome", nil}) {
						var outcomes endings
						if w.name == "outcome" { // for what next returns
							outcomes = make(endings, 1)
							w.conn = behind(t, backend, outcomes, passThrough())
						}
						got := receiveLate(t, w.conn, kind, how)
						if want == nil {
							want = got
						}
						equal(t, w.name, got, want)
						if outcomes == nil {
							continue
						}
						last := want[len(want)-1]
						if last == "EOF" || last == "<nil>" {
							last = "OK"
						}
						if outcome := hauberk.StatusOf(<-outcomes).Code().String(); outcome != last {
							t.Errorf("next returned %s, the application got %s", outcome, last)
						}
					}
				})
			})
		}
	}
}

// receiveLate makes a call whose context ends before the application receives, but
// for the first of several messages, and returns what it receives.
func receiveLate(t *testing.T, conn grpc.ClientConnInterface, kind hauberk.Kind, how string) (got []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream := start(ctx, t, conn, kind)
	if err := stream.SendMsg(message("a")); err != nil && err != io.EOF { // EOF: the server was faster
		t.Error(err)
	}
	_ = stream.CloseSend()
	synctest.Wait() // all of it has arrived
	for i := 0; ; i++ {
		if i == 1 || !kind.ServerStreams() {
			if how == "cancel" {
				cancel()
			}
			time.Sleep(time.Minute) //nolint:forbidigo // synctest: the clock is fake
			synctest.Wait()
		}
		resp := new(testpb.Response)
		err := stream.RecvMsg(resp)
		if err != nil {
			return append(got, show(err))
		}
		got = append(got, resp.GetText())
		if !kind.ServerStreams() {
			return append(got, "<nil>")
		}
	}
}
