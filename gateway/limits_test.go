package gateway_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// A process without memory rejects calls with a status, a count and one log record.
func TestMaxMemory(t *testing.T) { eachTransport(t, maxMemory) }

func maxMemory(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	backend := serve(t, &hauberktest.Backend{})
	var log bytes.Buffer
	g, err := gateway.New(
		gateway.Config{Upstream: backend, Transport: transport, MaxMemory: 1 << 20}, // the process has more
		gateway.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
	)
	if err != nil {
		t.Fatal(err)
	}
	lis := listen(t)
	served := make(chan error, 1)
	go func() { served <- g.Serve(lis) }()
	_, err = testpb.NewTestServiceClient(dial(t, lis.Addr().String())).Unary(t.Context(), &testpb.Request{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the call: %v, want UNAVAILABLE", err)
	}
	// The transport of frames rejects the connection, that of grpc-go the call.
	if transport == gateway.TransportGRPC && hauberk.Reason(err) != gateway.ReasonMemory {
		t.Errorf("the reason is %q", hauberk.Reason(err))
	}
	var met, used float64
	for _, m := range g.Measurements() {
		switch {
		case m.LabelValue == "memory":
			met = m.Value
		case m.Name == "gateway_memory_bytes":
			used = m.Value
		case m.Value != 0:
			t.Errorf("%s was met", m.LabelValue)
		}
	}
	if met == 0 || used < 1<<20 {
		t.Errorf("the limit was met %v times, and %v bytes are in use", met, used)
	}
	if err := g.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "limit=memory"); n != 1 {
		t.Errorf("%d log records, want 1:\n%s", n, &log)
	}
}
