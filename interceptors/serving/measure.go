package serving

import (
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk"
)

// counts are the numbers of what happened in a state.
type counts struct{ changes, rejected, ended atomic.Uint64 }

// Measurements returns the state and what happened in each: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	now := x.current.Load()
	if now == nil {
		return nil
	}
	all := make([]hauberk.Measurement, 0, 4*len(x.states)+4)
	of := func(s *state, name, help string, counter bool, value float64) {
		all = append(all, hauberk.Measurement{
			Name: name, Help: help, Counter: counter, Value: value, LabelName: "state", LabelValue: string(s.name),
		})
	}
	for _, s := range x.states {
		current := 0.0
		if s == now {
			current = 1
		}
		of(s, "serving_state", "1 for the state of the server, and 0 for the others.", false, current)
		of(s, "serving_changes_total", "Changes to the state.", true, float64(s.counts.changes.Load()))
		of(s, "serving_rejected_total", "Calls that the state did not accept.", true, float64(s.counts.rejected.Load()))
		of(s, "serving_ended_total", "Streams that the state ended.", true, float64(s.counts.ended.Load()))
	}
	for _, m := range x.calls.All() {
		all = append(all, hauberk.Measurement{
			Name: "serving_running", LabelName: "method", LabelValue: m.Name, Value: float64(m.Running()),
			Help: "Calls that run, by method, without unary calls of exempt methods.",
		})
	}
	return append(all,
		hauberk.Measurement{
			Name: "serving_not_accepted", Value: float64(x.notAccepted(now)),
			Help: "Calls that run and that the state does not accept.",
		},
		hauberk.Measurement{
			Name: "serving_dropped_changes_total", Counter: true, Value: float64(x.news.Dropped.Load()),
			Help: "Changes that listeners did not receive.",
		},
		hauberk.Measurement{
			Name: "serving_listener_panics_total", Counter: true, Value: float64(x.news.Panics.Load()),
			Help: "Panics of listeners.",
		})
}

// ReadyHandler returns a handler for HTTP probes of readiness, such as /readyz: 200 if the state is ready, and
// otherwise 503. The body is the name of the state. With servers it is 503 as well once one of them shuts down
// (hauberk.Server.Shutdown), as their health service is NOT_SERVING then; the body is "shutting down".
func (x *Interceptor) ReadyHandler(servers ...*hauberk.Server) http.Handler {
	servers = slices.Clone(servers)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		code, text := http.StatusServiceUnavailable, string(x.State())
		switch {
		case slices.ContainsFunc(servers, shutsDown):
			text = "shutting down"
		case x.Ready():
			code = http.StatusOK
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text + "\n"))
	})
}

func shutsDown(srv *hauberk.Server) bool {
	select {
	case <-srv.ShuttingDown():
		return true
	default:
		return false
	}
}
