package hauberktest

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
)

// Covered fails the test unless the chain decides, for every method of the server, who may call
// it: the method is authenticated, or it is in [hauberk.Config.Public]. It also reports the
// patterns of the chain that match no method ([hauberk.Coverage.Err]). Register the services
// first; the server need not serve:
//
//	func TestEveryMethodIsCovered(t *testing.T) {
//		hauberktest.Covered(t, newChain(), newServer())
//	}
//
// A server is a *grpc.Server or a [hauberk.Server]. All open methods are in one report.
func Covered(t testing.TB, chain *hauberk.Chain, server interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
},
) {
	t.Helper()
	services := server.GetServiceInfo()
	if len(services) == 0 {
		t.Errorf("hauberktest: Covered: the server has no services: register them before the check")
		return
	}
	coverage := chain.Coverage(services)
	if !coverage.Authenticates {
		t.Errorf("hauberktest: Covered: no interceptor of the chain authenticates calls, so every method is open to " +
			"everyone: add interceptors/authn, or an interceptor whose Declaration has Authenticates set")
	}
	if err := coverage.Err(); err != nil {
		t.Errorf("hauberktest: Covered: %v\n%s", err, coverage)
	}
}

// Ordered fails the test if [hauberk.Chain.Lint] has a finding about the chain on that side: an
// unusual order, an interceptor for the other side, or a warning of an interceptor such as
// interceptors/fault. All findings are in one report.
func Ordered(t testing.TB, chain *hauberk.Chain, side hauberk.Side) {
	t.Helper()
	findings := chain.Lint(side)
	if len(findings) == 0 {
		return
	}
	var text strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&text, "\n\t%s", f.Message)
	}
	t.Errorf("hauberktest: Ordered: the chain on a %s:%s", side, &text)
}
