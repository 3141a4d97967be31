package contract_test

import (
	"context"
	"log/slog"
	"maps"
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

type requestIDConfig struct {
	head

	IDs            []string `json:"ids"`
	Header         string   `json:"header"`
	Echo           *bool    `json:"echo"`
	AcceptIncoming *bool    `json:"accept_incoming"`
}

// newRequestID creates requestid. It uses the ids of the list in order, and then generated ones.
func newRequestID(_ *world, c requestIDConfig) (part, error) {
	var mu sync.Mutex
	ids := c.IDs
	generate := func() string {
		mu.Lock()
		defer mu.Unlock()
		if len(ids) == 0 {
			return requestid.UUIDv7()
		}
		id := ids[0]
		ids = ids[1:]
		return id
	}
	config := requestid.Config{
		Header: c.Header, NoEcho: c.Echo != nil && !*c.Echo,
		IgnoreIncoming: c.AcceptIncoming != nil && !*c.AcceptIncoming,

		EchoErrorsInHeader: true, // D4
	}
	return stateless(requestid.New(config, requestid.WithGenerator(generate))), nil
}

// newLogging creates logging, whose records go to the journal.
func newLogging(w *world, _ head) (part, error) {
	return stateless(logging.New(logging.Config{Start: true},
		logging.WithLogger(slog.New(recorder{journal: w.journal})),
		logging.State("request_id", requestid.Key), logging.State("user_id", authn.User),
	)), nil
}

// recorder is a slog.Handler that converts the records of package logging into those of outcomes.
type recorder struct {
	journal *journal
	attrs   map[string]slog.Value
}

// Enabled returns true.
func (r recorder) Enabled(context.Context, slog.Level) bool { return true }

// WithGroup is not used: package logging has no groups.
func (r recorder) WithGroup(string) slog.Handler { return r }

// WithAttrs adds attributes to every record.
func (r recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := make(map[string]slog.Value, len(r.attrs)+len(attrs))
	maps.Copy(all, r.attrs)
	for _, a := range attrs {
		all[a.Key] = a.Value
	}
	return recorder{r.journal, all}
}

// Handle adds a record to the journal.
func (r recorder) Handle(ctx context.Context, said slog.Record) error {
	var own []slog.Attr
	said.Attrs(func(a slog.Attr) bool {
		own = append(own, a)
		return true
	})
	all := r.WithAttrs(own).(recorder).attrs
	call := hauberk.FromContext(ctx)
	body := map[string]any{
		"side":   all[logging.KeySide].String(),
		"event":  "start",
		"method": "/" + all[logging.KeyMethod].String(),
		"kind":   recordedKind(call, all[logging.KeyKind].String()),
	}
	if call.Side() == hauberk.ServerSide {
		body["request_id"] = textOr(all, "request_id", "unknown")
		body["user_id"] = textOr(all, "user_id", "anonymous")
	}
	if said.Message == logging.MessageEnded {
		body["event"] = "end"
		body["code"] = all[logging.KeyStatusCode].String()
		body["sent"], body["received"] = all[logging.KeySent].Int64(), all[logging.KeyReceived].Int64()
	}
	r.journal.record(idOf(ctx, call), call.Side(), body)
	return nil
}

func textOr(attrs map[string]slog.Value, key, otherwise string) string {
	if v, ok := attrs[key]; ok {
		return v.String()
	}
	return otherwise
}

// recordedKind converts "client_stream" to "stream_unary". grpcio does not know the kind of an unknown
// method.
func recordedKind(call *hauberk.Call, said string) string {
	if call.Side() == hauberk.ServerSide && !call.Method().Known() {
		return "unknown"
	}
	for _, k := range kindNames {
		if k.kind.String() == said {
			return k.name
		}
	}
	return said
}

// newMetrics creates metrics.
func newMetrics(_ *world, _ head) (part, error) {
	calls := metrics.New(metrics.Config{ExactMessages: true})
	p := stateless(calls)
	p.snapshot = func() any { return countsOf(calls.Snapshot().Server) }
	return p, nil
}

// methodCounts are the metrics of a method in outcomes.
type methodCounts struct {
	Requests     uint64        `json:"requests"`
	Errors       uint64        `json:"errors"`
	Codes        metrics.Codes `json:"codes"`
	Received     uint64        `json:"received"`
	Sent         uint64        `json:"sent"`
	LatencyCount uint64        `json:"latency_count"` // number of latencies: one for each ended call
	InFlight     uint64        `json:"in_flight"`
}

func countsOf(side metrics.SideSnapshot) map[string]methodCounts {
	all := make(map[string]methodCounts, len(side.Methods))
	for name, m := range side.Methods {
		all[name] = methodCounts{
			Requests: m.Calls, Errors: m.Errors, Codes: m.Codes, Received: m.Received, Sent: m.Sent,
			LatencyCount: m.Ended, InFlight: m.InFlight,
		}
	}
	return all
}
