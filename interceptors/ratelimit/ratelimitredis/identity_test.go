package ratelimitredis_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// service is a rate limit service with its quotas in a server.
type service struct{ *rlsserver.Server }

func newService(t *testing.T, addr string, config rlsserver.Config) service {
	t.Helper()
	store := ratelimitredis.New(ratelimitredis.Config{Addresses: []string{addr}, Name: "rls"})
	t.Cleanup(func() { _ = store.Close() })
	s, err := rlsserver.New(config, rlsserver.WithStore(store),
		rlsserver.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		t.Fatal(err)
	}
	return service{s}
}

// hourly is the configuration of a domain "shop".
func hourly(descriptors ...rlsserver.Descriptor) rlsserver.Config {
	return rlsserver.Config{
		Domains:   []rlsserver.Domain{{Name: "shop", Descriptors: descriptors}},
		Overrides: true, Shared: ratelimit.Shared{Timeout: patient},
	}
}

func perHour(key string, permits int) rlsserver.Descriptor {
	return rlsserver.Descriptor{Key: key, Limit: &rlsserver.Limit{Permits: permits, Per: time.Hour}}
}

// of is a descriptor of a request.
func of(key, value string) *ratelimitv3.RateLimitDescriptor {
	return &ratelimitv3.RateLimitDescriptor{Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: key, Value: value}}}
}

// carrying is a descriptor with a limit per hour.
func carrying(key, value string, permits uint32) *ratelimitv3.RateLimitDescriptor {
	d := of(key, value)
	d.Limit = &ratelimitv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: permits, Unit: typev3.RateLimitUnit_HOUR}
	return d
}

// admits returns how many requests in a row are OK, at most 100.
func (s service) admits(t *testing.T, descriptors ...*ratelimitv3.RateLimitDescriptor) int {
	t.Helper()
	for n := range 100 {
		resp, err := s.ShouldRateLimit(context.Background(), &rlsv3.RateLimitRequest{Domain: "shop", Descriptors: descriptors})
		if err != nil {
			t.Fatal(err)
		}
		if resp.GetOverallCode() != rlsv3.RateLimitResponse_OK {
			return n
		}
	}
	return 100
}

// clusterOf returns an address of a server, and one of a cluster.
func clusterOf(t *testing.T) map[string]string {
	return map[string]string{"server": redistest.Start(t).Addr, "cluster": redistest.Cluster(t)[0].Addr}
}

// Limits keep their quotas when others come and go: by a reload, in a restarted service, and because requests carry
// new limits. One limit and several are the same.
func TestReloadsKeepQuotas(t *testing.T) {
	user, method, tenant := perHour("user", 5), perHour("method", 9), perHour("tenant", 50)
	for kind, addr := range clusterOf(t) {
		for name, configs := range map[string][2]rlsserver.Config{
			"one to two":    {hourly(user), hourly(user, method)},
			"two to one":    {hourly(user, method), hourly(user)},
			"insert above":  {hourly(tenant, user), hourly(method, tenant, user)},
			"append":        {hourly(tenant, user), hourly(tenant, user, method)},
			"another order": {hourly(tenant, user, method), hourly(method, user, tenant)},
			"no change":     {hourly(user), hourly(user)},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				s := newService(t, addr, configs[0])
				if n := s.admits(t, of("user", name)); n != 5 {
					t.Errorf("admitted %d of 5", n)
				}
				if err := s.Reload(configs[1]); err != nil {
					t.Fatal(err)
				}
				if n := s.admits(t, of("user", name)); n != 0 {
					t.Errorf("admitted %d more after a reload", n)
				}
				if n := newService(t, addr, configs[1]).admits(t, of("user", name)); n != 0 {
					t.Errorf("admitted %d more in another service", n)
				}
				s.admits(t, carrying("k", name, 7))
				if n := s.admits(t, of("user", name)); n != 0 {
					t.Errorf("admitted %d more after a request with a new limit", n)
				}
			})
		}
	}
}

// Services with one server share the limits that requests carry. The order of their arrival does not matter.
func TestOverridesShared(t *testing.T) {
	for kind, addr := range clusterOf(t) {
		config := hourly(perHour("user", 100))
		one, two := newService(t, addr, config), newService(t, addr, config)
		n := one.admits(t, carrying("k", "v", 5))
		one.admits(t, carrying("k", "w", 7))
		two.admits(t, carrying("k", "w", 7))
		if m := two.admits(t, carrying("k", "v", 5), of("user", "a")); n != 5 || m != 0 {
			t.Errorf("%s: admitted %d and %d; want 5 in all", kind, n, m)
		}
	}
}

// Limits of one Open that are equal have separate quotas; those with another ID do too.
func TestEqualLimits(t *testing.T) {
	l := limitOf(ratelimit.GCRA, 2, time.Hour)
	pay, refund := l, l
	pay.ID, refund.ID = "shop.v1.Cart/Pay", "shop.v1.Cart/Refund"
	addr := redistest.Start(t).Addr
	q, _ := open(t, at(addr), l, l, pay, refund)
	for i := range 4 {
		if d := take(t, q, ratelimit.Demand{Limit: i, Key: []byte("a"), Permits: 2}); !d.OK {
			t.Errorf("limit %d: %+v", i, d)
		}
	}
	again, _ := open(t, at(addr), refund, l, pay, l)
	for i := range 4 {
		if d := take(t, again, ratelimit.Demand{Limit: i, Key: []byte("a"), Permits: 1}); d.OK {
			t.Errorf("limit %d in another order: %+v", i, d)
		}
	}
}
