package composition_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// TestNamedStreams: interceptors for unary calls report a stream that their configuration names, and no stream that a
// pattern of several methods matches.
func TestNamedStreams(t *testing.T) {
	services := hauberktest.Start(t, hauberktest.Setup{}).Server.GetServiceInfo()
	for name, of := range map[string]func(methods ...string) hauberk.Interceptor{
		"cache": func(methods ...string) hauberk.Interceptor {
			return cache.New(cache.Config{TTL: time.Second, Methods: methods})
		},
		"coalesce": func(methods ...string) hauberk.Interceptor {
			return coalesce.New(coalesce.Config{Methods: methods})
		},
		"idempotency": func(methods ...string) hauberk.Interceptor {
			return idempotency.New(idempotency.Config{Methods: methods})
		},
	} {
		invalid := func(methods ...string) []string {
			return hauberk.Must(hauberk.New(of(methods...))).Coverage(services).Invalid
		}
		if got := invalid("*", service+"/*", service+"/Unary"); len(got) != 0 {
			t.Errorf("%s: %q; want nothing", name, got)
		}
		want := []string{name + ".Config.Methods has " + service + "/Bidi, which streams; want unary methods"}
		if got := invalid(service+"/Unary", service+"/Bidi"); !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
}
