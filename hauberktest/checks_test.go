package hauberktest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// reports is a testing.TB that keeps what is reported.
type reports struct {
	testing.TB
	texts []string
}

func (r *reports) Helper() {}

func (r *reports) Errorf(format string, args ...any) {
	r.texts = append(r.texts, fmt.Sprintf(format, args...))
}

func pass(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) }

// authenticate declares that it authenticates the calls that reach it.
var authenticate = hauberk.Named("authenticate", hauberk.Declare(hauberk.Func(pass),
	hauberk.Declaration{Phase: hauberk.PhaseAuthn, Authenticates: true}))

func TestCovered(t *testing.T) {
	served := grpc.NewServer()
	testpb.RegisterTestServiceServer(served, testpb.UnimplementedTestServiceServer{})
	unary := testpb.TestService_Unary_FullMethodName[1:]
	for name, c := range map[string]struct {
		chain  *hauberk.Chain
		server *grpc.Server
		want   []string // key words of the report; none: no report
	}{
		"authenticated": {chain: hauberk.Must(hauberk.New(authenticate)), server: served},
		"one open": {
			chain:  hauberk.Must(hauberk.New(hauberk.Except(unary, authenticate))),
			server: served, want: []string{unary, "Config.Public"},
		},
		"one public": {
			chain: hauberk.Must(hauberk.Config{Public: []string{unary}}.New(hauberk.Except(unary, authenticate))), server: served,
		},
		"no authentication": {
			chain: hauberk.Must(hauberk.New()), server: served, want: []string{"no interceptor of the chain authenticates"},
		},
		"a pattern without method": {
			chain:  hauberk.Must(hauberk.New(authenticate, hauberk.For("shop.v1.Cart/*", hauberk.Named("x", hauberk.Func(pass))))),
			server: served, want: []string{"shop.v1.Cart/*"},
		},
		"no services": {
			chain: hauberk.Must(hauberk.New(authenticate)), server: grpc.NewServer(), want: []string{"no services"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reports{TB: t}
			hauberktest.Covered(r, c.chain, c.server)
			checkReports(t, r, c.want)
		})
	}
}

func TestOrdered(t *testing.T) {
	limit := hauberk.Named("limit", hauberk.Declare(hauberk.Func(pass), hauberk.Declaration{Phase: hauberk.PhaseLimit}))
	log := hauberk.Named("log", hauberk.Declare(hauberk.Func(pass), hauberk.Declaration{Phase: hauberk.PhaseLogging}))
	servers := hauberk.Named("servers", hauberk.Declare(hauberk.Func(pass), hauberk.Declaration{Sides: hauberk.OnlyServers}))
	for name, c := range map[string]struct {
		chain *hauberk.Chain
		side  hauberk.Side
		want  []string
	}{
		"in order":       {chain: hauberk.Must(hauberk.New(log, authenticate, limit)), side: hauberk.ServerSide},
		"inverted":       {chain: hauberk.Must(hauberk.New(limit, log)), side: hauberk.ServerSide, want: []string{"limit", "log", "on a server"}},
		"the other side": {chain: hauberk.Must(hauberk.New(servers)), side: hauberk.ClientSide, want: []string{"servers", "client"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reports{TB: t}
			hauberktest.Ordered(r, c.chain, c.side)
			checkReports(t, r, c.want)
		})
	}
}

// checkReports: there is one report with all key words, or none if there are no key words.
func checkReports(t *testing.T, r *reports, want []string) {
	t.Helper()
	if len(want) == 0 {
		if len(r.texts) > 0 {
			t.Errorf("it reported %q", r.texts)
		}
		return
	}
	if len(r.texts) != 1 {
		t.Fatalf("it reported %q; want one report", r.texts)
	}
	for _, word := range want {
		if !strings.Contains(r.texts[0], word) {
			t.Errorf("the report has no %q: %s", word, r.texts[0])
		}
	}
}
