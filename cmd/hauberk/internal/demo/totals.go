package demo

import (
	"encoding/json"
	"io"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// totals are the counts since the start, and the JSON object that --json prints. Calls
// that have not ended are not counted.
type totals struct {
	Seconds    float64                 `json:"seconds"`
	Calls      uint64                  `json:"calls"`
	OK         uint64                  `json:"ok"`
	Errors     map[string]uint64       `json:"errors"`     // by code
	Rejections map[string]uint64       `json:"rejections"` // by reason
	Methods    map[string]methodTotals `json:"methods"`    // by full name
	Retries    retryTotals             `json:"retries"`
	Breakers   map[string]string       `json:"breakers"` // the state of each circuit
}

// retryTotals counts the attempts after the first of each call.
type retryTotals struct {
	Attempts  uint64 `json:"attempts"`
	Succeeded uint64 `json:"succeeded"`
}

type methodTotals struct {
	Calls  uint64  `json:"calls"`
	Errors uint64  `json:"errors"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
}

// newTotals returns the totals of a client's metrics. It combines all methods that are not
// known.
func newTotals(side metrics.SideSnapshot, known map[string]bool, elapsed time.Duration) *totals {
	t := &totals{
		Seconds:    elapsed.Round(time.Millisecond).Seconds(),
		Errors:     make(map[string]uint64),
		Rejections: make(map[string]uint64),
		Methods:    make(map[string]methodTotals),
		Breakers:   make(map[string]string),
	}
	for name, m := range side.Methods {
		if !known[name] {
			name = metrics.Unknown
		}
		t.addCodes(m.Codes)
		t.Methods[name] = t.Methods[name].plus(m)
	}
	for _, rejections := range []map[string]uint64{side.Rejections, side.RemoteRejections} {
		for reason, n := range rejections {
			t.Rejections[reason] += n
		}
	}
	return t
}

func (t *totals) addCodes(counts metrics.Codes) {
	for c, n := range counts {
		t.Calls += n
		if c == codes.OK {
			t.OK += n
			continue
		}
		t.Errors[code.Code(c).String()] += n
	}
}

// plus adds the counts of a method. For the quantiles it takes the greatest, which is an
// upper bound of the combined quantile.
func (t methodTotals) plus(m metrics.MethodSnapshot) methodTotals {
	return methodTotals{
		Calls:  t.Calls + m.Ended,
		Errors: t.Errors + m.Errors,
		P50:    max(t.P50, inMillis(m.P50)),
		P99:    max(t.P99, inMillis(m.P99)),
	}
}

func inMillis(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

func (t *totals) failed() uint64 { return t.Calls - t.OK }

func (t *totals) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(t) }
