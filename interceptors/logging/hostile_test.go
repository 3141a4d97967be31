package logging_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// forged is a text with which callers try to forge lines and attributes: line ends, a
// whole record, quotes, terminal sequences, bytes that are not UTF-8.
const forged = "a\r\n{\"msg\":\"call ended\",\"code\":\"OK\"}\n\x1b[31mred\x1b[0m\" code=OK x=\"\x00\u2028\xff\xfe"

// No line can be forged (ATTACKS G03): a text in the method's name, in an error or in
// state neither adds a line nor changes another attribute.
func TestForgery(t *testing.T) {
	for name, handler := range map[string]func(j *journal) slog.Handler{
		"JSON": func(j *journal) slog.Handler { return slog.NewJSONHandler(j, nil) },
		"text": func(j *journal) slog.Handler { return slog.NewTextHandler(j, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal()
			key := hauberk.NewKey[string]("tenant")
			interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				key.Set(call, forged)
				logging.AddFields(ctx, slog.String("agent", forged))
				call.Decide(hauberk.Decision{Interceptor: "authz", Rule: forged, Verdict: hauberk.Rejected, Reason: forged})
				_ = next(ctx, call)
				return &hauberk.Rejection{Code: codes.NotFound, Reason: forged, Message: forged, Cause: errors.New(forged + "!")}
			})
			chain := hauberk.Must(hauberk.New(logging.New(logging.Config{Start: true},
				logging.WithLogger(slog.New(handler(j))), logging.State("tenant", key)), interceptor))
			callOverHTTP(t, chain, "/"+forged+"/"+forged)

			lines := strings.Split(strings.TrimSuffix(j.String(), "\n"), "\n")
			if len(lines) != 2 {
				t.Fatalf("%d lines, want 2: %q", len(lines), lines)
			}
			for _, line := range lines {
				if strings.ContainsAny(line, "\r\x1b\x00\u2028") {
					t.Errorf("raw control characters in %q", line)
				}
			}
			if name == "JSON" {
				check(t, j.records(t)[1], map[string]any{"msg": "call ended", logging.KeyStatusCode: "NOT_FOUND", logging.KeyKind: "bidi_stream"})
				return
			}
			if got := strings.Count(unquoted(lines[1]), " "+logging.KeyStatusCode+"="); got != 1 {
				t.Errorf("%d attributes have the name of the code: %s", got, lines[1])
			}
		})
	}
}

// callOverHTTP calls a method of any name: a path of net/http may hold any byte, while
// gRPC's own transport rejects control characters.
func callOverHTTP(t *testing.T, chain *hauberk.Chain, path string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	r.URL.Path = path
	r.ProtoMajor, r.Header = 2, http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	srv := chain.NewServer()
	defer srv.Stop()
	srv.ServeHTTP(httptest.NewRecorder(), r)
}

// unquoted returns a line of slog's text handler without the quoted texts.
func unquoted(line string) string {
	var b strings.Builder
	inside := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && inside:
			i++
		case line[i] == '"':
			inside = !inside
		case !inside:
			b.WriteByte(line[i])
		}
	}
	return b.String()
}

// Neither metadata nor messages are logged, on either side (ATTACKS G01).
func TestSecretsAreNotLogged(t *testing.T) {
	const canary = "canary-90b1"
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			s.SetTrailer(metadata.Pairs("set-token", canary))
			return errors.Join(s.SetHeader(metadata.Pairs("cookie", canary)), hauberktest.Echo(ctx, s))
		}}
		env := c.StartWith(t, backend, logging.New(logging.Config{Start: true, ClientErrors: true}, j.option()))
		ctx := metadata.AppendToOutgoingContext(t.Context(),
			"authorization", "Bearer "+canary, "x-api-key", canary, "blob-bin", canary)
		requests := []*testpb.Request{{Text: canary, Payload: []byte(canary), Secret: canary}}
		if out := env.Do(ctx, hauberktest.FullMethod(c.Kind), requests); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		if got := j.String(); got == "" || strings.Contains(got, canary) {
			t.Errorf("logged %s", got)
		}
	})
}

// Texts that callers and servers influence are cut.
func TestBounds(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const megabyte = 1 << 20
	j := newJournal()
	key := hauberk.NewKey[string]("tenant")
	interceptor := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		key.Set(call, strings.Repeat("t", megabyte))
		long := strings.Repeat("e", megabyte)
		return &hauberk.Rejection{Code: codes.NotFound, Reason: long, Message: long, Cause: errors.New(long + "!")}
	})
	x := logging.New(logging.Config{}, j.option(), logging.State("tenant", key))
	callOverHTTP(t, hauberk.Must(hauberk.New(x, interceptor)), "/"+strings.Repeat("s", megabyte)+"/"+strings.Repeat("m", megabyte))
	if got := len(j.String()); got > 10_000 {
		t.Errorf("the record has %d bytes", got)
	}
	check(t, j.only(t), map[string]any{logging.KeyStatusCode: "NOT_FOUND"})
}

// hiding is an error whose text does not include that of the error in it.
type hiding struct{ inner error }

func (hiding) Error() string   { return "hidden" }
func (h hiding) Unwrap() error { return h.inner }

// rejected returns a rejection with a cause.
func rejected(message string, cause error) error {
	return &hauberk.Rejection{Code: codes.Aborted, Reason: "R", Message: message, Cause: cause}
}

// The texts of the causes follow the text of an error, unless it includes them. No part
// is there twice.
func TestErrorText(t *testing.T) {
	inner := errors.New("disk full")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"plain", inner, "disk full"},
		{"wrapped", wrap(inner, "save"), "save\ndisk full"},
		{"status", status.Error(codes.Aborted, "no"), "no"},
		{"wrapped once", fmt.Errorf("save: %w", inner), "save: disk full"},
		{"hidden", hiding{inner}, "hidden: disk full"},
		{"wrapped status", fmt.Errorf("save: %w", status.Error(codes.Aborted, "no")), "save: no"},
		{"status of another code", rejected("no", status.Error(codes.NotFound, "none")), "no: rpc error: code = NotFound desc = none"},
		{"sentinel with the same text", rejected("Limit exceeded", errors.New("limit: limit exceeded")), "limit: limit exceeded"},
		{"message that repeats its cause", rejected("cannot save: disk full", inner), "cannot save: disk full"},
		{"cause that contains the message", rejected("cannot save", fmt.Errorf("cannot save: %w", inner)), "cannot save: disk full"},
		{"message and cause with a common part", rejected("cannot save: disk full", errors.New("write /a: disk full")), "cannot save: disk full: write /a"},
		{"wrapped rejection with a cause", fmt.Errorf("save: %w", rejected("no", inner)), "save: no: disk full"},
		{
			"rejection", rejected("no", errors.Join(inner, wrap(inner, "again"))),
			"no: disk full: again",
		},
		{
			"rejection without a cause", hauberk.Reject(codes.Aborted, "R", "no"),
			"no",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			j := newJournal()
			c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
			env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
				return test.err
			}}, logging.New(logging.Config{}, j.option()))
			_ = env.Call(t.Context())
			env.Server.GracefulStop()
			check(t, j.only(t), map[string]any{logging.KeyError: test.want})
		})
	}
}

func wantIn(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("logged %s\nwant in it %s", text, want)
	}
}
