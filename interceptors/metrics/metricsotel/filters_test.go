package metricsotel_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

func TestFilters(t *testing.T) {
	notPut := func(method string) bool { return method != "/shop.v1.Cart/Put" }
	onlyGet := func(method string) bool { return method == "/shop.v1.Cart/Get" }
	tests := []struct {
		name            string
		option          metricsotel.Option
		static, generic string // attributes of calls of Get and Put
	}{
		{"none", metricsotel.WithMeterProvider(nil), "method=shop.v1.Cart/Get method=shop.v1.Cart/Put", "method=other"},
		{"method", metricsotel.WithMethodFilter(notPut), "method=other method=shop.v1.Cart/Get", "method=other"},
		{
			"generic", metricsotel.WithGenericMethods(onlyGet),
			"method=shop.v1.Cart/Get method=shop.v1.Cart/Put", "method=other method=shop.v1.Cart/Get",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for want, opts := range map[string][]grpc.CallOption{test.static: {grpc.StaticMethod()}, test.generic: nil} {
				provider := newRecorder(t)
				m := metricsotel.New(metricsotel.Config{}, test.option, metricsotel.WithMeterProvider(provider))
				call := called(chainOf(t, m), hauberktest.Conn{}, opts...)
				for range 3 {
					_ = errors.Join(call("/shop.v1.Cart/Get"), call("/shop.v1.Cart/Put"))
				}
				if got := attributesOf(provider.points(t, metricsotel.ClientAttemptStarted)); got != want {
					t.Errorf("%d options: %s, want %s", len(opts), got, want)
				}
			}
		})
	}
}

// attributesOf returns the attributes of data points, without the target Other.
func attributesOf(points map[string]string) string {
	keys := slices.Sorted(maps.Keys(points))
	return strings.ReplaceAll(strings.Join(keys, " "), " target=other", "")
}

// The names of unknown methods of a server are recorded if the filter permits them.
func TestGenericMethodsOfServers(t *testing.T) {
	hauberktest.CheckLeaks(t)
	provider := newRecorder(t)
	m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider),
		metricsotel.WithGenericMethods(func(method string) bool { return method == "/no.Such/Thing" }))
	env := hauberktest.Start(t, hauberktest.Setup{Server: chainOf(t, m)})
	for _, method := range []string{"/no.Such/Thing", "/no.Such/Other", "/no.Such/Thing"} {
		_ = env.Client.Invoke(t.Context(), method, request, request)
	}
	want := map[string]string{"method=no.Such/Thing": "2", "method=other": "1"}
	if diff := cmp.Diff(want, provider.points(t, metricsotel.ServerCallStarted)); diff != "" {
		t.Error(diff)
	}
}

// Targets are canonical, and Other if a filter hides them.
func TestTargets(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for target, want := range map[string]string{
		"passthrough:///a": "method=Unary target=passthrough:///a",
		"localhost:1":      "method=Unary target=dns:///localhost:1",
		"dns:///secret":    "method=Unary target=other",
	} {
		provider := newRecorder(t)
		m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider),
			metricsotel.WithTargetFilter(func(target string) bool { return !strings.Contains(target, "secret") }))
		client, err := grpc.NewClient(target, append(chainOf(t, m, reject).DialOptions(),
			grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Invoke(t.Context(), hauberktest.FullMethod(hauberk.Unary), request, request, grpc.StaticMethod())
		_ = client.Close()
		if points := provider.points(t, metricsotel.ClientAttemptStarted); len(points) != 1 || points[want] != "1" {
			t.Errorf("%s: %v", target, points)
		}
	}
}
