package contract_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// Every secret of a caller contains canary, and no output may contain it. The secrets of the server
// contain answered; only the caller may receive them.
const (
	canary   = "canary-7f3a91"
	answered = "answered-c4d802"
)

// The metadata keys of secrets, in addition to authorization.
var secretKeys = []string{"cookie", "x-api-key", "x-session-token", "x-credentials-bin"}

// outputs is the complete output of the observing interceptors of a process.
type outputs struct {
	mu    sync.Mutex
	logs  bytes.Buffer
	spans *tracetest.InMemoryExporter
	calls *metrics.Interceptor
}

// Write adds a log record.
func (o *outputs) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.logs.Write(p)
}

// observing returns the observing interceptors with all their optional output.
func (o *outputs) observing(format func(io.Writer, *slog.HandlerOptions) slog.Handler) (
	spans *tracing.Interceptor, interceptors []hauberk.Interceptor,
) {
	o.spans = tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(o.spans))
	o.calls = metrics.New(metrics.Config{Decisions: true, ExactMessages: true}, metrics.WithExemplars(tracing.Exemplar))
	spans = tracing.New(tracing.Config{MessageEvents: true, ClientPeer: true}, tracing.WithTracerProvider(provider))
	logger := slog.New(format(o, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return spans, []hauberk.Interceptor{
		requestid.New(requestid.Config{}),
		spans,
		o.calls,
		logging.New(logging.Config{
			Start: true, Messages: true, Decisions: true, ClientErrors: true, ClientPeer: true,
			Payloads: logging.Payloads{On: true},
			Metadata: logging.Metadata{Request: true, Response: true},
		}, logging.WithLogger(logger), logging.WithAttrs(tracing.LogAttrs),
			logging.State("request_id", requestid.Key), logging.State("identity", authn.Key),
			logging.State("user", authn.User)),
		recovery.New(recovery.Config{}, recovery.WithLogger(logger)),
	}
}

// text returns the complete output.
func (o *outputs) text(t *testing.T) string {
	t.Helper()
	spans, err := json.Marshal(o.spans.GetSpans().Snapshots())
	if err != nil {
		t.Fatal(err)
	}
	if len(o.spans.GetSpans()) == 0 {
		t.Error("there are no spans")
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metricsprom.NewServerCollector(o.calls), metricsprom.NewClientCollector(o.calls))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var exposed bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToOpenMetrics(&exposed, family); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := fmt.Sprintf("%+v", o.calls.Snapshot())
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join([]string{o.logs.String(), fmt.Sprintf("%+v", o.spans.GetSpans()), string(spans), exposed.String(), snapshot}, "\n")
}

// TestNoSecretInOutput sends secrets in metadata, tokens, claims, messages and panics through chains
// with all optional output, on both ends. It searches for them in logs, traces, metrics and the
// results of callers (ATTACKS G01).
func TestNoSecretInOutput(t *testing.T) {
	formats := map[string]func(io.Writer, *slog.HandlerOptions) slog.Handler{
		"json": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
		"text": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
	}
	for name, format := range formats {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var server, client outputs
				results := callWithSecrets(t, kind, &server, &client, format)
				for where, text := range map[string]string{
					"server": server.text(t), "client": client.text(t), "callers": results,
				} {
					for _, secret := range secretsAt(where) {
						if at := strings.Index(text, secret); at >= 0 {
							t.Errorf("%s contains a secret: …%s…", where, text[max(0, at-200):min(len(text), at+60)])
						}
					}
				}
				checkOutput(t, &server)
				checkOutput(t, &client)
			})
		}
	}
}

// secretsAt returns the texts that an output must not contain.
func secretsAt(where string) []string {
	secrets := append(encoded(canary), canary)
	if where != "callers" {
		secrets = append(append(secrets, encoded(answered)...), answered)
	}
	return secrets
}

// encoded returns the text in hexadecimal, and the middle of the text in base64, which depends on the
// number of bytes before it.
func encoded(text string) []string {
	forms := []string{hex.EncodeToString([]byte(text))}
	for before := range 3 {
		whole := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + text))
		forms = append(forms, whole[4:12])
	}
	return forms
}

// TestEncodedSecretsAreFound checks that the search of the test above finds secrets in every encoding.
func TestEncodedSecretsAreFound(t *testing.T) {
	for _, before := range []string{"", "a", "ab", "Bearer good-"} {
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString([]byte(before + canary + " and more"))
			if !slices.ContainsFunc(encoded(canary), func(form string) bool { return strings.Contains(text, form) }) {
				t.Errorf("the secret is not found in %s, after %q", text, before)
			}
		}
	}
}

// checkOutput checks that the output is not empty, since an empty output has no secrets either.
func checkOutput(t *testing.T, o *outputs) {
	t.Helper()
	text := o.text(t)
	for _, want := range []string{
		logging.MessageStarted, logging.MessageEnded, "[redacted]", "harmless", "request_id", "trace_id", "RATE_LIMITED",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the output does not contain %q, so the test proves nothing", want)
		}
	}
}

// callWithSecrets makes calls with all kinds of outcomes and returns the callers' results.
func callWithSecrets(
	t *testing.T, kind hauberk.Kind, server, client *outputs, format func(io.Writer, *slog.HandlerOptions) slog.Handler,
) string {
	t.Helper()
	_, in := server.observing(format)
	in = append(in,
		decisiontrace.New(decisiontrace.Config{Identities: []string{"operator"}}, decisiontrace.By(authn.User)),
		authn.New(authn.Config{}, authn.Bearer(claimsOf)),
		ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, Burst: 3, By: callkey.State(authn.User)}))
	spans, out := client.observing(format)
	var token string
	out = append(out,
		retry.New(retry.Config{AllMethods: true, MaxAttempts: 2, InitialBackoff: time.Microsecond}), spans.Attempts(),
		breaker.New(breaker.Config{FailureThreshold: 100}),
		authn.NewClient(authn.TokenFunc(func(context.Context) (string, error) { return token, nil }), authn.ClientConfig{AllowClearText: true}))
	env := hauberktest.Start(t, hauberktest.Setup{
		Backend: &hauberktest.Backend{Handle: misbehave}, Kind: kind,
		Server: hauberk.Must(hauberk.Config{CountBytes: true}.New(in...)),
		Client: hauberk.Must(hauberk.Config{CountBytes: true}.New(out...)),
	})
	var results strings.Builder
	for _, call := range []struct {
		token, text string
		want        codes.Code
	}{
		{"good-" + canary, "harmless", codes.OK},
		{"good-" + canary, "panic", codes.Internal},
		{"good-" + canary, "error", codes.NotFound},
		{"good-" + canary, "harmless", codes.ResourceExhausted},
		{"bad-" + canary, "harmless", codes.Unauthenticated},
		{"outage-" + canary, "harmless", codes.Unavailable},
	} {
		token = call.token
		ctx := decisiontrace.Ask(t.Context())
		for _, key := range secretKeys {
			ctx = metadata.AppendToOutgoingContext(ctx, key, canary)
		}
		got := env.Do(ctx, hauberktest.FullMethod(kind), []*testpb.Request{{Text: call.text, Secret: canary}})
		if status.Code(got.Err) != call.want {
			t.Errorf("%s with %s: %v; want %s", call.text, call.token, got.Err, call.want)
		}
		fmt.Fprintf(&results, "%v %v %v %v\n", got.Err, status.Convert(got.Err).Details(), texts(got.Header), texts(got.Trailer))
		if call.text == "error" && (got.Trailer.Get("x-session-token") == nil || got.Trailer.Get("x-receipt-bin") == nil) {
			t.Errorf("the caller did not receive the server's secrets: %v", texts(got.Trailer))
		}
		if (call.want != codes.Unauthenticated && call.want != codes.Unavailable) == (got.Trailer.Get(decisiontrace.DefaultTrailer) == nil) {
			t.Errorf("%s: the trailer %v", call.want, got.Trailer)
		}
	}
	env.Server.GracefulStop()
	return results.String()
}

// texts returns the keys and values of metadata. The String method of metadata redacts them.
func texts(md metadata.MD) map[string][]string { return md }

// claimsOf is a token validator.
func claimsOf(_ context.Context, token string) (*authn.Identity, error) {
	switch {
	case strings.HasPrefix(token, "good-"):
		return &authn.Identity{
			Subject: "operator", Scopes: []string{canary}, Claims: map[string]any{"card": canary},
		}, nil
	case strings.HasPrefix(token, "outage-"):
		return nil, errors.New("the issuer does not answer")
	default:
		return nil, authn.ErrInvalidToken
	}
}

// misbehave does what the request selects.
func misbehave(ctx context.Context, s hauberktest.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return err
	}
	switch req.GetText() {
	case "panic":
		panic(fmt.Errorf("no such card: %s", req.GetSecret()))
	case "error":
		if err := grpc.SetTrailer(ctx, metadata.Pairs("x-session-token", answered, "x-receipt-bin", answered)); err != nil {
			return err
		}
		return status.Error(codes.NotFound, "no such cart")
	default:
		if err := grpc.SetHeader(ctx, metadata.Pairs("set-cookie", answered)); err != nil {
			return err
		}
		logging.AddFields(ctx, slog.String("cart", req.GetText()))
		return s.Send(&testpb.Response{Text: req.GetText()})
	}
}
