package metricsprom_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// everything returns an interceptor with all optional numbers enabled.
func everything() *metrics.Interceptor {
	return metrics.New(metrics.Config{Decisions: true, CountBytes: true, ExactMessages: true},
		metrics.WithExemplars(byTrace),
		metrics.WithLabel("tenant", func(context.Context, *hauberk.Call) string { return "acme" }))
}

// All optional metrics are exported on both sides, with constant labels and a prefix.
func TestEverything(t *testing.T) {
	m := everything()
	chain := hauberk.Must(hauberk.Config{CountBytes: true}.New(m, hauberk.Shadow(limiter{}), passing{}))
	env := hauberktest.Start(t, hauberktest.Setup{Kind: hauberk.ServerStream, Server: chain, DialOptions: chain.DialOptions()})
	registry := prometheus.NewPedanticRegistry()
	registerer := prometheus.WrapRegistererWithPrefix("shop_", prometheus.WrapRegistererWith(prometheus.Labels{"cell": "eu1"}, registry))
	registerer.MustRegister(bothSides(m, metricsprom.WithNative(metricsprom.Native{}))...)
	if out := env.Call(t.Context()); out.Err != nil {
		t.Fatal(out.Err)
	}
	env.Server.GracefulStop()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := openMetrics(t, families)
	const method = `cell="eu1",grpc_method="ServerStream",grpc_service="hauberk.test.v1.TestService",grpc_type="server_stream",tenant="acme"`
	const exemplar = ` # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} `
	for _, side := range []string{"server", "client"} {
		sent, received := "12", "7" // the encoded messages of "echo:hello" and "hello"
		if side == "client" {
			sent, received = received, sent
		}
		for _, want := range []string{
			`shop_grpc_` + side + `_started_total{` + method + `} 1.0` + "\n",
			`shop_grpc_` + side + `_in_flight{` + method + `} 0.0` + "\n",
			`shop_grpc_` + side + `_msg_sent_total{` + method + `} 1.0` + "\n",
			`shop_grpc_` + side + `_handling_seconds_count{` + method + `} 1` + "\n",
			strings.Replace(`shop_grpc_`+side+`_handled_total{`+method+`} 1.0`+exemplar, `grpc_method`, `grpc_code="OK",grpc_method`, 1),
			`shop_hauberk_` + side + `_sent_bytes_total{` + method + `} ` + sent + `.0` + "\n",
			`shop_hauberk_` + side + `_sent_compressed_bytes_total{` + method + `} ` + sent + `.0` + "\n",
			`shop_hauberk_` + side + `_received_bytes_total{` + method + `} ` + received + `.0` + "\n",
			`shop_hauberk_` + side + `_received_compressed_bytes_total{` + method + `} ` + received + `.0` + "\n",
			`shop_hauberk_` + side + `_unmeasured_calls_total{` + method + `} 0.0` + "\n",
			`shop_hauberk_decisions_total{cell="eu1",interceptor="limits",mode="shadow",side="` + side + `",verdict="rejected"} 1.0` + "\n",
			`shop_hauberk_decisions_total{cell="eu1",interceptor="passing",mode="enforced",side="` + side + `",verdict="allowed"} 1.0` + "\n",
			`shop_hauberk_shadow_rejections_total{cell="eu1",interceptor="limits",reason="LIMITED",side="` + side + `"} 1.0` + "\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
	}
}

// passing is a deciding interceptor that allows every call.
type passing struct{}

func (passing) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "passing", Decides: true}
}

func (passing) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

// Calls without a byte count are exported.
func TestUnmeasured(t *testing.T) {
	m := metrics.New(metrics.Config{CountBytes: true})
	call(t, "/s/m", nil, m)
	const want = `hauberk_client_unmeasured_calls_total{grpc_method="m",grpc_service="s",grpc_type="unary"} 1` + "\n"
	if got := text(t, metricsOf(t, m)); !strings.Contains(got, want) {
		t.Errorf("no %s in\n%s", want, got)
	}
}

// The HELP texts of byte counters name the side and the encoding.
func TestHelpOfBytes(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		descs := make(chan *prometheus.Desc, 64)
		for _, c := range bothSides(metrics.New(metrics.Config{CountBytes: true})) {
			c.Describe(descs)
		}
		close(descs)
		var got strings.Builder
		for d := range descs {
			got.WriteString(d.String())
		}
		for name, help := range map[string]string{
			"sent_bytes_total":                "Message bytes sent by the SIDE, without compression.",
			"sent_compressed_bytes_total":     "Message bytes sent by the SIDE, as compressed.",
			"received_bytes_total":            "Message bytes received by the SIDE, without compression.",
			"received_compressed_bytes_total": "Message bytes received by the SIDE, as compressed.",
			"unmeasured_calls_total":          "Calls completed on the SIDE without a byte count.",
		} {
			want := fmt.Sprintf("fqName: %q, help: %q", "hauberk_"+side.String()+"_"+name, strings.ReplaceAll(help, "SIDE", side.String()))
			if !strings.Contains(got.String(), want) {
				t.Errorf("no %s in %s", want, &got)
			}
		}
	}
}

// Registered methods have their series of bytes at zero. With labels they have no series.
func TestChoicesAtZero(t *testing.T) {
	services := map[string]grpc.ServiceInfo{"s": {Methods: []grpc.MethodInfo{{Name: "m"}}}}
	m := metrics.New(metrics.Config{CountBytes: true, Decisions: true}, metrics.WithExemplars(byTrace))
	m.Register(services)
	got := text(t, metricsOf(t, m))
	for _, name := range []string{"sent", "sent_compressed", "received", "received_compressed"} {
		if want := "hauberk_server_" + name + `_bytes_total{grpc_method="m",grpc_service="s",grpc_type="unary"} 0` + "\n"; !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	labelled := everything()
	labelled.Register(services)
	if got := text(t, metricsOf(t, labelled)); got != "" {
		t.Error(got)
	}
}

// A collector works for an interceptor whose configuration hauberk.New rejects.
func TestWrongConfig(t *testing.T) {
	m := metrics.New(metrics.Config{}, metrics.WithLabel("no-name", func(context.Context, *hauberk.Call) string { return "" }))
	if got := text(t, metricsOf(t, m)); got != "" || m.Declare().Err == nil {
		t.Errorf("%q, %v", got, m.Declare().Err)
	}
}
