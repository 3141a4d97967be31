package metrics

import (
	"encoding/json"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
)

// Snapshot contains the numbers of an [Interceptor]. It can be marshaled as JSON.
type Snapshot struct {
	Server SideSnapshot `json:"server"`
	Client SideSnapshot `json:"client"`
}

// SideSnapshot contains the numbers of one side. Its maps are never nil.
type SideSnapshot struct {
	// Methods contains the methods by full name, such as "/shop.v1.Cart/Get", and Unknown
	// and Other.
	Methods map[string]MethodSnapshot `json:"methods"`
	// Rejections counts the rejections of the origin Enforced by reason.
	Rejections map[string]uint64 `json:"rejections"`
	// ShadowRejections counts the rejections of the origin Shadowed by reason.
	ShadowRejections map[string]uint64 `json:"shadow_rejections"`
	// RemoteRejections counts the rejections of the origin Remote by reason.
	RemoteRejections map[string]uint64 `json:"remote_rejections"`
}

// MethodSnapshot contains the numbers of one method. In JSON the durations are numbers of
// milliseconds, named mean_ms, p50_ms, p95_ms and p99_ms.
type MethodSnapshot struct {
	// Calls counts the calls that have started. Ended counts those that have ended, and
	// InFlight those in flight.
	Calls    uint64 `json:"calls"`
	Ended    uint64 `json:"ended"`
	InFlight uint64 `json:"in_flight"`
	// Errors counts the calls that have ended with another code than OK. Codes counts the
	// ended calls by code.
	Errors uint64 `json:"errors"`
	Codes  Codes  `json:"codes"`
	// Sent and Received count the messages that this side has sent and received.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	// Bytes is nil without Config.CountBytes.
	Bytes *Bytes `json:"bytes,omitempty"`
	// Mean, P50, P95 and P99 are the latency of the calls that have ended, streams included.
	// Mean is exact. P50, P95 and P99 are within 1.31 % of the latency of that rank, if it
	// is between 1 µs and 18 min 19 s. Longer latencies count as 18 min 19.5 s in them.
	Mean time.Duration `json:"-"`
	P50  time.Duration `json:"-"`
	P95  time.Duration `json:"-"`
	P99  time.Duration `json:"-"`
}

// MarshalJSON encodes the durations in milliseconds.
func (s MethodSnapshot) MarshalJSON() ([]byte, error) {
	type counts MethodSnapshot // without this method
	return json.Marshal(struct {
		counts

		Mean float64 `json:"mean_ms"`
		P50  float64 `json:"p50_ms"`
		P95  float64 `json:"p95_ms"`
		P99  float64 `json:"p99_ms"`
	}{counts(s), inMillis(s.Mean), inMillis(s.P50), inMillis(s.P95), inMillis(s.P99)})
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Codes counts calls by code. It contains the codes that occurred.
type Codes map[codes.Code]uint64

// MarshalJSON encodes the codes by their gRPC names: "OK", "NOT_FOUND".
func (c Codes) MarshalJSON() ([]byte, error) {
	named := make(map[string]uint64, len(c))
	for k, n := range c {
		named[code.Code(k).String()] += n
	}
	return json.Marshal(named)
}

// Snapshot returns the current numbers. It takes a few microseconds for each method. The caller
// may modify the result.
func (m *Interceptor) Snapshot() Snapshot {
	return Snapshot{Server: m.snapshotOf(hauberk.ServerSide), Client: m.snapshotOf(hauberk.ClientSide)}
}

func (m *Interceptor) snapshotOf(which hauberk.Side) SideSnapshot {
	s := &m.sides[which]
	byName := make(map[string][]*method) // a client may call one name as different kinds
	for _, of := range s.methods.all() {
		byName[of.name()] = append(byName[of.name()], of)
	}
	methods := make(map[string]MethodSnapshot, len(byName))
	for name, all := range byName {
		methods[name] = snapshotOf(all)
	}
	return SideSnapshot{
		Methods:          methods,
		Rejections:       s.byReason(Enforced),
		ShadowRejections: s.byReason(Shadowed),
		RemoteRejections: s.byReason(Remote),
	}
}

// name returns the method's full name, or Unknown, or Other.
func (l label) name() string {
	if l.service == l.method && (l.service == Unknown || l.service == Other) {
		return l.service
	}
	return "/" + l.service + "/" + l.method
}

// snapshotOf returns the sum of the numbers of methods with the same name.
func snapshotOf(all []*method) MethodSnapshot {
	s := MethodSnapshot{Codes: make(Codes)}
	for _, of := range all {
		of.addTo(&s) // zero if there are labels
		for _, c := range of.series(true) {
			c.addTo(&s)
		}
	}
	s.Errors = s.Ended - s.Codes[codes.OK]
	s.InFlight = s.Calls - s.Ended
	q := latencyOf(all)
	s.Mean, s.P50, s.P95, s.P99 = q.Mean(), q.Quantile(0.5), q.Quantile(0.95), q.Quantile(0.99)
	return s
}

// addTo adds the numbers of a series, except the latency, to s.
func (c *counters) addTo(s *MethodSnapshot) {
	for code, n := range c.ended() { // read before started, so that ended is not greater
		if n > 0 {
			s.Codes[codes.Code(code)] += n
		}
		s.Ended += n
	}
	s.Calls += c.started.Load()
	sent, received := c.messages()
	s.Sent += sent
	s.Received += received
	if c.bytes != nil {
		if s.Bytes == nil {
			s.Bytes = new(Bytes)
		}
		s.Bytes.add(c.bytes.load())
	}
}

// latencyOf returns the distribution of the latencies of methods with the same name.
func latencyOf(all []*method) quantile.Snapshot {
	latency := &all[0].latency
	if len(all) > 1 {
		latency = new(quantile.Histogram)
		for _, of := range all {
			latency.Merge(&of.latency)
		}
	}
	return latency.Snapshot()
}
