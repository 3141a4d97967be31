package web

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web/webtest"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// tested is a listener.
var tested = Listener{Flag: "telemetry", Serves: "metrics", Example: "127.0.0.1:9464", AnswerTime: time.Minute}

// fine answers each request.
var fine = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

func serve(t *testing.T) *Server {
	t.Helper()
	hauberktest.CheckLeaks(t)
	s, err := tested.Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, TLS{}, fine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Requests with too long a header list are rejected.
func TestHeadersAreBounded(t *testing.T) {
	s := serve(t)
	req := webtest.Request(t, http.MethodGet, s.URL("/"))
	req.Header.Set("X-Long", strings.Repeat("x", 2*MaxHeaderBytes))
	resp, err := http.DefaultClient.Do(req) // the body may be lost: the server does not read the rest of the request
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%s; want 431", resp.Status)
	}
	if s.http.ReadHeaderTimeout <= 0 || s.http.IdleTimeout <= 0 || s.http.WriteTimeout <= 0 {
		t.Errorf("the server has no timeout: %+v", s.http)
	}
}

// A connection without a request does not delay Close.
func TestCloseWithASilentConnection(t *testing.T) {
	s := serve(t)
	conn, err := net.Dial("tcp", s.lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	webtest.Do(t, http.DefaultClient, webtest.Request(t, http.MethodGet, s.URL("/"))) // the server has accepted the first connection now
}

func TestPortInUse(t *testing.T) {
	s := serve(t)
	addr, ok := s.lis.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal(s.lis.Addr())
	}
	if _, err := tested.Listen(addr, TLS{}, fine); err == nil || !strings.HasPrefix(err.Error(), "--telemetry: cannot serve metrics: listen tcp 127.0.0.1:") {
		t.Errorf("error %v; want that it cannot listen", err)
	}
}

func TestListenerFails(t *testing.T) {
	s := serve(t)
	_ = s.lis.Close()
	err := <-s.served
	s.served <- err
	if err := s.Close(); err == nil || !strings.HasPrefix(err.Error(), "the server of metrics failed: ") {
		t.Errorf("error %v; want that the server failed", err)
	}
	s.served <- http.ErrServerClosed // for the cleanup
}
