package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// hostile are texts that could break out of a line or an attribute.
var hostile = []string{
	"plain", "a\r\nlevel=INFO msg=forged", "a\nb", `x" code=OK y="`, `","code":"OK","x":"`, `{"msg":"call ended","code":"OK"}`,
	"\x1b[2J\x1b[31mred", "\u009b31mred", "\x7f\x08\x08\x08", "\u202egnp.exe", "\u2028level=INFO", "\xff\xfe\xc3", "a=b c=d", "[redacted]",
	"\\", "\\\"", "%0d%0a%22", "'", "`", strings.Repeat("é\n", 300),
}

// openLogging returns an interceptor that logs everything that a caller influences.
func openLogging(h slog.Handler) *logging.Interceptor {
	config := logging.Config{
		Start: true, Messages: true, ClientErrors: true, ClientPeer: true, Decisions: true,
		Payloads: logging.Payloads{On: true}, Metadata: logging.Metadata{Request: true, Response: true, MaxBytes: 1 << 16},
	}
	return logging.New(config, logging.WithLogger(slog.New(h)), logging.State("request_id", requestid.Key),
		logging.State("agent", agentKey))
}

var agentKey = hauberk.NewKey[string]("agent")

// agent puts the caller's user agent into the state.
var agent = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	agentKey.Set(call, strings.Join(call.Metadata(ctx, "user-agent"), ""))
	return next(ctx, call)
})

// checkLines checks that a log has one line for each event and no characters that
// control terminals.
func checkLines(t *testing.T, isJSON bool, text string, want int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		lines = nil
	}
	if want >= 0 && len(lines) != want {
		t.Errorf("%d lines, want %d: %q", len(lines), want, lines)
	}
	for _, line := range lines {
		if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) ||
			strings.ContainsAny(line, "\u2028\u2029") {
			t.Errorf("raw control characters in %q", line)
		}
		if isJSON {
			checkObject(t, line)
		} else {
			checkText(t, line)
		}
	}
}

// checkObject checks that a line is one JSON object without a repeated name.
func checkObject(t *testing.T, line string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(line))
	names := map[string]int{}
	for depth, isName := 0, false; ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		delim, isDelim := token.(json.Delim)
		switch {
		case isDelim && (delim == '{' || delim == '['):
			depth++
			isName = depth == 1
			continue
		case isDelim:
			depth--
		case depth == 1 && isName:
			names[token.(string)]++
		}
		if depth == 1 {
			isName = !isName
		}
	}
	for name, n := range names {
		if n > 1 || !attributeNames[name] {
			t.Errorf("%d attributes are called %q in %q", n, name, line)
		}
	}
}

// inGroup reports whether a name is in one of the record's groups. What follows the group, a
// metadata key, may have dots.
func inGroup(name string) bool {
	for i := range len(name) {
		if name[i] == '.' && attributeNames[name[:i]] {
			return true
		}
	}
	return false
}

// checkText checks that, outside of quotes, a line has the record's own attributes, each
// of them once.
func checkText(t *testing.T, line string) {
	t.Helper()
	names := map[string]int{}
	for field := range strings.FieldsSeq(unquoted(line)) {
		name, _, ok := strings.Cut(field, "=")
		if !ok || !attributeNames[name] && !inGroup(name) {
			t.Errorf("%q is no attribute in %q", field, line)
		}
		names[name]++
	}
	for name, n := range names {
		if n > 1 {
			t.Errorf("%d attributes are called %q in %q", n, name, line)
		}
	}
}

var attributeNames = map[string]bool{
	"time": true, "level": true, "msg": true, "request_id": true, "agent": true,
	logging.KeySystem: true, logging.KeySide: true, logging.KeyService: true, logging.KeyMethod: true,
	logging.KeyKind: true, logging.KeyStatusCode: true, logging.KeyError: true, logging.KeyReason: true,
	logging.KeyPeerAddress: true, logging.KeyPeerPort: true, logging.KeyDuration: true, logging.KeyDeadlineLeft: true,
	logging.KeySent: true, logging.KeyReceived: true, logging.KeyDecisions: true, logging.KeyRequestMetadata: true,
	logging.KeyResponseHeader: true, logging.KeyResponseTrailer: true, logging.KeyDirection: true,
	logging.KeySequence: true, logging.KeyType: true, logging.KeySize: true, logging.KeyPayload: true,
}

// rawCalls makes a call over HTTP/2 with headers of any bytes, and waits for its end.
func rawCalls(t *testing.T, dial func() (net.Conn, error), headers [][2]string) {
	t.Helper()
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	var block bytes.Buffer
	encode := hpack.NewEncoder(&block)
	for _, h := range headers {
		_ = encode.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	err = framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
	})
	for err == nil {
		var frame http2.Frame
		frame, err = framer.ReadFrame()
		if err == nil && frame.Header().StreamID == 1 &&
			(frame.Header().Flags.Has(http2.FlagHeadersEndStream) || frame.Header().Type == http2.FrameRSTStream) {
			return // the stream has ended
		}
	}
}

// A call has two lines, or none if grpc-go rejects it, for all bytes in the method's name,
// the user agent and other metadata (ATTACKS G03).
func TestForgeryInFrames(t *testing.T) {
	for name, isJSON := range map[string]bool{"JSON": true, "text": false} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			served := 0
			for _, text := range hostile {
				j := newJournal()
				chain := hauberk.Must(hauberk.New(agent, requestid.New(requestid.Config{}), openLogging(handlerTo(j, isJSON))))
				for _, headers := range [][2]string{{"/a.B/" + text, "x"}, {"/" + text + "/c", "x"}, {"/a.B/c", text}} {
					srv, dial := listen(t, chain)
					rawCalls(t, dial, [][2]string{
						{":method", "POST"},
						{":scheme", "http"},
						{":authority", "shop"},
						{":path", headers[0]},
						{"content-type", "application/grpc"},
						{"te", "trailers"},
						{"user-agent", headers[1]},
						{"x-request-id", headers[1]},
						{"x-note", headers[1]},
					})
					srv.GracefulStop()
				}
				n := strings.Count(j.String(), "\n")
				if n%2 != 0 {
					t.Errorf("%d lines of calls with %q", n, text)
				}
				served += n / 2
				checkLines(t, isJSON, j.String(), -1)
			}
			if served < 3*len(hostile)/2 {
				t.Errorf("only %d calls were served", served)
			}
		})
	}
}

func handlerTo(w io.Writer, isJSON bool) slog.Handler {
	if isJSON {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}

// listen starts a server with a chain.
func listen(t *testing.T, chain *hauberk.Chain) (srv *hauberk.Server, dial func() (net.Conn, error)) {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	srv = chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return srv, lis.Dial
}

// The texts of a server in status, metadata and messages forge nothing in the log of a
// client.
func TestForgeryByServers(t *testing.T) {
	for name, isJSON := range map[string]bool{"JSON": true, "text": false} {
		t.Run(name, func(t *testing.T) {
			for _, text := range hostile {
				hauberktest.CheckLeaks(t)
				j := newJournal()
				valid := strings.ToValidUTF8(text, "?")
				c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}
				env := c.StartWith(t, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					_ = s.Send(&testpb.Response{Text: valid})
					return hauberk.Reject(codes.Aborted, valid, valid)
				}}, openLogging(handlerTo(j, isJSON)))
				out := env.Call(t.Context(), valid)
				if status.Code(out.Err) != codes.Aborted {
					t.Fatal(out.Err)
				}
				env.Server.GracefulStop()
				checkLines(t, isJSON, j.String(), 4)
			}
		})
	}
}

// FuzzForgery puts any text into every place that callers, servers and interceptors
// influence.
func FuzzForgery(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		for _, isJSON := range []bool{true, false} {
			var log bytes.Buffer
			interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				agentKey.Set(call, text)
				call.Decide(hauberk.Decision{Interceptor: name, Rule: text, Verdict: hauberk.Rejected, Reason: name, Shadow: true})
				_ = next(ctx, call)
				return &hauberk.Rejection{Code: codes.NotFound, Reason: text, Message: text, Cause: fmt.Errorf("%s", name)}
			})
			chain := hauberk.Must(hauberk.New(openLogging(handlerTo(&log, isJSON)), interceptor))
			r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
			r.URL.Path = "/" + name + "/" + name
			r.ProtoMajor, r.Header = 2, http.Header{
				"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {text}, "X-Note": {name, text}, name: {text},
			}
			srv := chain.NewServer(grpc.MaxRecvMsgSize(1 << 20))
			srv.ServeHTTP(httptest.NewRecorder(), r)
			srv.Stop()
			checkLines(t, isJSON, log.String(), -1)
			if n := strings.Count(log.String(), "\n"); n != 0 && n != 2 {
				t.Errorf("%d lines of one call: %q", n, log.String())
			}
		}
	})
}
