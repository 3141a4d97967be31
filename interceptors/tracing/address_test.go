package tracing_test

import (
	"context"
	"net/netip"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

func TestServerAddresses(t *testing.T) {
	forwarded := metadata.NewIncomingContext(callerContext(""), metadata.Pairs("x-forwarded-for", "198.51.100.7"))
	for _, test := range []struct {
		name    string
		ctx     context.Context
		trusted []netip.Prefix
		want    map[string]any
	}{
		{"connection", callerContext(""), nil, map[string]any{
			"server.address": "192.0.2.9", "server.port": int64(50051), "network.peer.address": "192.0.2.1",
			"network.peer.port": int64(40001), "client.address": nil,
		}},
		{"no trusted proxy", forwarded, nil, map[string]any{"network.peer.address": "192.0.2.1", "client.address": nil}},
		{
			"trusted proxy", forwarded,
			[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			map[string]any{"network.peer.address": "192.0.2.1", "client.address": "198.51.100.7"},
		},
		{"no peer", t.Context(), nil, map[string]any{
			"server.address": nil, "server.port": nil, "network.peer.address": nil, "network.peer.port": nil,
		}},
		{"empty peer", peer.NewContext(t.Context(), &peer.Peer{}), nil, map[string]any{
			"server.address": nil, "network.peer.address": nil, "client.address": nil,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := record()
			chain := hauberk.Must(hauberk.Config{TrustedProxies: test.trusted}.New(tracing.New(tracing.Config{}, s.option())))
			if err := served(chain, test.ctx)(); err != nil {
				t.Fatal(err)
			}
			have(t, s.only(t).Attributes(), test.want)
		})
	}
}

// A client's span contains the server's address if Config.ClientPeer is set.
func TestClientPeer(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		for _, enabled := range []bool{false, true} {
			s := record()
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			env := c.Start(t, tracing.New(tracing.Config{ClientPeer: enabled}, s.option()))
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			var want any
			if enabled {
				want = "bufconn"
			}
			have(t, s.only(t).Attributes(), map[string]any{"network.peer.address": want})
		}
	}
}
