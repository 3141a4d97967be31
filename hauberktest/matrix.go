package hauberktest

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/hauberk-rpc/hauberk"
)

// Case is one of the eight cells: a kind of method, and the side that the
// interceptors under test run on.
type Case struct {
	Side hauberk.Side
	Kind hauberk.Kind

	config *hauberk.Config // of With
}

// With returns the cell with settings for the chain of [Case.Start].
func (c Case) With(config hauberk.Config) Case {
	c.config = &config
	return c
}

// Cases returns the eight cells.
func Cases() []Case {
	cases := make([]Case, 0, 8)
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			cases = append(cases, Case{Side: side, Kind: kind})
		}
	}
	return cases
}

// String names the cell: "server/unary".
func (c Case) String() string { return c.Side.String() + "/" + c.Kind.String() }

// Matrix runs a test once for each cell, as subtests, and checks after each that
// no goroutine is left.
func Matrix(t *testing.T, test func(t *testing.T, c Case)) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.String(), func(t *testing.T) {
			CheckLeaks(t)
			test(t, c)
		})
	}
}

// CheckLeaks fails the test if goroutines that started after this call are still
// running when the test and its other cleanups are over. Call it first.
func CheckLeaks(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}
