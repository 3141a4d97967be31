package serving_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// Probes of readiness follow the state.
func TestReadyHandler(t *testing.T) {
	x := serving.New(serving.Config{})
	for state, want := range map[serving.State]int{serving.Serving: 200, serving.ReadOnly: 200, serving.Maintenance: 503, serving.Starting: 503} {
		set(t, x, state)
		w := httptest.NewRecorder()
		x.ReadyHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
		if w.Code != want || w.Body.String() != string(state)+"\n" {
			t.Errorf("%s: %d %q; want %d", state, w.Code, w.Body, want)
		}
	}
}

// With a server, probes fail from the begin of its shutdown.
func TestReadyHandlerOfServer(t *testing.T) {
	x := serving.New(serving.Config{Initial: serving.Serving})
	srv := hauberk.Must(hauberk.New(x)).NewServer()
	h := x.ReadyHandler(srv, nil)
	for _, want := range []string{"200 serving\n", "503 shutting down\n"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
		if got := fmt.Sprint(w.Code, " ", w.Body); got != want {
			t.Errorf("%q; want %q", got, want)
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
