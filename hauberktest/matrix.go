package hauberktest

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/hauberk-rpc/hauberk"
)

// Case is one of the eight combinations of a kind of method and the side on which the
// interceptors under test run.
type Case struct {
	Side hauberk.Side
	Kind hauberk.Kind

	config *hauberk.Config // of With
}

// With returns the case with settings for the chain of [Case.Start].
func (c Case) With(config hauberk.Config) Case {
	c.config = &config
	return c
}

// Cases returns the eight combinations.
func Cases() []Case {
	cases := make([]Case, 0, 8)
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			cases = append(cases, Case{Side: side, Kind: kind})
		}
	}
	return cases
}

// String returns the name of the case, such as "server/unary".
func (c Case) String() string { return c.Side.String() + "/" + c.Kind.String() }

// Matrix runs test once for each combination, as subtests. After each it checks that no
// goroutine is left, as [CheckLeaks] does.
func Matrix(t *testing.T, test func(t *testing.T, c Case)) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.String(), func(t *testing.T) {
			CheckLeaks(t)
			test(t, c)
		})
	}
}

// CheckLeaks fails the test if a goroutine that started after this call is still running when
// the test and its later cleanups have ended. Call it first.
func CheckLeaks(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}
