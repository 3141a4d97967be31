package ratelimitrls_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitrls"
)

// echo answers with the limits of the request.
func echo() *service {
	return &service{answer: func(_ context.Context, req *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
		resp := answer(ok)
		for _, d := range req.GetDescriptors() {
			s := state(ok, 5, time.Second)
			s.CurrentLimit.RequestsPerUnit = d.GetLimit().GetRequestsPerUnit()
			s.CurrentLimit.Unit = rlsv3.RateLimitResponse_RateLimit_Unit(d.GetLimit().GetUnit())
			s.CurrentLimit.UnitMultiplier = d.GetLimit().GetUnitMultiplier()
			resp.Statuses = append(resp.Statuses, s)
		}
		return resp, nil
	}}
}

// text describes a request in one line.
func text(req *rlsv3.RateLimitRequest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", req.GetDomain(), req.GetHitsAddend())
	for _, d := range req.GetDescriptors() {
		b.WriteString(" [")
		for i, e := range d.GetEntries() {
			if i > 0 {
				b.WriteString(" ")
			}
			fmt.Fprintf(&b, "%s=%s", e.GetKey(), e.GetValue())
		}
		b.WriteString("]")
		if h := d.GetHitsAddend(); h != nil {
			sign := ""
			if d.GetIsNegativeHits() {
				sign = "-"
			}
			fmt.Fprintf(&b, "(%s%d)", sign, h.GetValue())
		}
		if l := d.GetLimit(); l != nil {
			fmt.Fprintf(&b, "{%d/%d%v}", l.GetRequestsPerUnit(), max(l.GetUnitMultiplier().GetValue(), 1), l.GetUnit())
		}
	}
	return b.String()
}

// All demands are one request; hits are those of the request if they are equal.
func TestRequest(t *testing.T) {
	user, method := perMinute("user"), perMinute("method")
	method.Permits, method.Burst, method.Per = 7, 7, 2*time.Hour
	pay := perMinute("user")
	pay.ID = "shop.v1.Cart/Pay"
	demand := func(limit, permits int, key string) ratelimit.Demand {
		return ratelimit.Demand{Limit: limit, Permits: permits, Key: []byte(key)}
	}
	atPeer := demand(0, 1, "\x01\x00\x00\x00\x04unix")
	atPeer.Peer = true
	entries := ratelimitrls.Descriptor{Entries: []ratelimitrls.Entry{{Key: "env", Value: "test"}}, Key: "who", PeerKey: "where"}
	tests := []struct {
		name    string
		config  ratelimitrls.Config
		demands []ratelimit.Demand
		want    string
	}{
		{"one", ratelimitrls.Config{}, []ratelimit.Demand{demand(0, 1, "alice")}, "shop 1 [user=alice]{100/1MINUTE}"},
		{
			"two",
			ratelimitrls.Config{},
			[]ratelimit.Demand{demand(0, 3, "alice"), demand(1, 3, "list")},
			"shop 3 [user=alice]{100/1MINUTE} [method=list]{7/2HOUR}",
		},
		{
			"different hits",
			ratelimitrls.Config{},
			[]ratelimit.Demand{demand(0, 3, "alice"), demand(1, 9, "list")},
			"shop 9 [user=alice](3){100/1MINUTE} [method=list]{7/2HOUR}",
		},
		{"no hits", ratelimitrls.Config{}, []ratelimit.Demand{demand(0, 0, "alice")}, "shop 0 [user=alice](0){100/1MINUTE}"},
		{"a peer", ratelimitrls.Config{}, []ratelimit.Demand{atPeer}, "shop 1 [user_peer=text:unix]{100/1MINUTE}"},
		{
			"the same limit of a method",
			ratelimitrls.Config{},
			[]ratelimit.Demand{demand(2, 1, "alice"), demand(0, 1, "alice")},
			"shop 1 [limit=shop.v1.Cart/Pay user=alice]{100/1MINUTE} [user=alice]{100/1MINUTE}",
		},
		{
			"the limits of the server",
			ratelimitrls.Config{ServerLimits: true},
			[]ratelimit.Demand{demand(1, 1, "list")},
			"shop 1 [method=list]",
		},
		{
			"entries",
			ratelimitrls.Config{Descriptors: []ratelimitrls.Descriptor{entries, {}, entries}},
			[]ratelimit.Demand{demand(0, 1, "alice"), atPeer, demand(2, 1, "alice")},
			"shop 1 [env=test who=alice]{100/1MINUTE} [env=test where=text:unix]{100/1MINUTE} " +
				"[limit=shop.v1.Cart/Pay env=test who=alice]{100/1MINUTE}",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := echo()
			test.config.AdmitUnlimited = true
			q := open(t, s, test.config, user, method, pay)
			decisions := make([]ratelimit.Decision, len(test.demands))
			if err := q.Take(t.Context(), long, test.demands, decisions); err != nil {
				t.Fatal(err)
			}
			if got := text(s.last.Load()); got != test.want {
				t.Errorf("sent %s; want %s", got, test.want)
			}
			for _, d := range decisions {
				if d != (ratelimit.Decision{OK: true, Remaining: 5, ResetAfter: time.Second}) {
					t.Errorf("decision %+v", d)
				}
			}
		})
	}
}

// Charge sends what is above 0, and gives back what is below if the server can.
func TestCharge(t *testing.T) {
	demands := []ratelimit.Demand{{Permits: 3, Key: []byte("a")}, {Permits: -2, Key: []byte("b")}}
	for _, test := range []struct {
		negative bool
		demands  []ratelimit.Demand
		want     string
	}{
		{false, demands, "shop 3 [user=a]{100/1MINUTE}"},
		{true, demands, "shop 3 [user=a]{100/1MINUTE} [user=b](-2){100/1MINUTE}"},
		{true, demands[1:], "shop 0 [user=b](-2){100/1MINUTE}"},
		{false, demands[1:], "nothing"},
		{true, []ratelimit.Demand{{}}, "nothing"},
	} {
		s := echo()
		q := open(t, s, ratelimitrls.Config{NegativeHits: test.negative}, perMinute("user"))
		if err := q.Charge(t.Context(), long, test.demands); err != nil {
			t.Fatal(err)
		}
		got := "nothing"
		if req := s.last.Load(); req != nil {
			got = text(req)
		}
		if got != test.want {
			t.Errorf("sent %s; want %s", got, test.want)
		}
	}
}

// The metadata of an outgoing call does not reach the rate limit server.
func TestNoMetadata(t *testing.T) {
	seen := make(chan metadata.MD, 1)
	s := &service{answer: func(ctx context.Context, _ *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen <- md
		return answer(ok, state(ok, 1, 0)), nil
	}}
	q := open(t, s, ratelimitrls.Config{}, perMinute("user"))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "secret")
	if err := q.Take(ctx, long, make([]ratelimit.Demand, 1), make([]ratelimit.Decision, 1)); err != nil {
		t.Fatal(err)
	}
	if md := <-seen; len(md["authorization"]) != 0 {
		t.Errorf("the server received %v", md)
	}
}

// Periods are sent in the longest unit that they are a multiple of.
func TestPeriods(t *testing.T) {
	for per, want := range map[time.Duration]string{
		time.Second: "1SECOND", 90 * time.Second: "90SECOND", time.Minute: "1MINUTE", time.Hour: "1HOUR",
		48 * time.Hour: "2DAY", 61 * time.Minute: "61MINUTE", 200 * 365 * 24 * time.Hour: "73000DAY",
	} {
		l := perMinute("user")
		l.Per = per
		s := echo()
		if err := open(t, s, ratelimitrls.Config{}, l).Take(t.Context(), long, make([]ratelimit.Demand, 1), make([]ratelimit.Decision, 1)); err != nil {
			t.Errorf("%v: %v", per, err)
		}
		if got := text(s.last.Load()); !strings.HasSuffix(got, "{100/"+want+"}") {
			t.Errorf("%v: sent %s; want %s", per, got, want)
		}
	}
}

// Open reports what does not fit into the protocol.
func TestOpen(t *testing.T) {
	changed := func(change func(l *ratelimit.Limit)) []ratelimit.Limit {
		l := perMinute("user")
		change(&l)
		return []ratelimit.Limit{l}
	}
	one := []ratelimit.Limit{perMinute("user")}
	shop := ratelimitrls.Config{Domain: "shop"}
	describe := func(d ...ratelimitrls.Descriptor) ratelimitrls.Config {
		return ratelimitrls.Config{Domain: "shop", Descriptors: d}
	}
	tests := []struct {
		name   string
		config ratelimitrls.Config
		limits []ratelimit.Limit
		want   string
	}{
		{"domain", ratelimitrls.Config{}, one, `the Domain is ""; want that of the limits`},
		{"domain's text", ratelimitrls.Config{Domain: "\xff"}, one, `the Domain is "\xff"`},
		{"half a second", shop, changed(func(l *ratelimit.Limit) { l.Per = 500 * time.Millisecond }), "the period of 500ms does not fit into RLS; want whole seconds"},
		{"a long time", shop, changed(func(l *ratelimit.Limit) { l.Per = math.MaxUint32*time.Second + time.Second }), "does not fit into RLS"},
		{"many", shop, changed(func(l *ratelimit.Limit) { l.Permits, l.Burst = math.MaxUint32+1, math.MaxUint32+1 }), "want at most 4294967295"},
		{"burst", shop, changed(func(l *ratelimit.Limit) { l.Burst = 5 }), "the burst is 5, which RLS does not have"},
		{"descriptors", describe(ratelimitrls.Descriptor{}, ratelimitrls.Descriptor{}), one, "the Descriptors are 2; want one for each of the 1 limits"},
		{"twice", shop, []ratelimit.Limit{perMinute("user"), perMinute("user")}, `limit 2 (by "user"): the descriptor "user" is used twice`},
		{"key", describe(ratelimitrls.Descriptor{Key: "\xff"}), one, `the key "\xff" is not UTF-8`},
		{"keys", describe(ratelimitrls.Descriptor{Key: "a", PeerKey: "a"}), one, `the descriptor "a" is used twice`},
		{"entry", describe(ratelimitrls.Descriptor{Entries: []ratelimitrls.Entry{{Value: "x"}}}), one, `has no key or is not UTF-8`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ratelimitrls.New(dial(t, echo()), test.config).Open(test.limits)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want an error with %q", err, test.want)
			}
		})
	}
	if _, err := ratelimitrls.New(nil, shop).Open(one); err == nil || !strings.Contains(err.Error(), "nil connection") {
		t.Errorf("without a connection: %v", err)
	}
	for name, config := range map[string]ratelimitrls.Config{
		"different keys":    describe(ratelimitrls.Descriptor{}, ratelimitrls.Descriptor{Key: "user_hour", PeerKey: "peer_hour"}),
		"different entries": describe(ratelimitrls.Descriptor{}, ratelimitrls.Descriptor{Entries: []ratelimitrls.Entry{{Key: "a"}}}),
	} {
		if _, err := ratelimitrls.New(dial(t, echo()), config).Open([]ratelimit.Limit{perMinute("user"), perMinute("user")}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := changed(func(l *ratelimit.Limit) { l.Per, l.Burst, l.Permits = time.Millisecond, 5, math.MaxInt64 })
	if _, err := ratelimitrls.New(dial(t, echo()), ratelimitrls.Config{Domain: "shop", ServerLimits: true}).Open(l); err != nil {
		t.Errorf("with the limits of the server: %v", err)
	}
}
