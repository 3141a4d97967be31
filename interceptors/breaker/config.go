package breaker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// The defaults of [Config].
const (
	DefaultFailureThreshold = 5
	DefaultOpenFor          = time.Minute
	DefaultHalfOpenMaxCalls = 3
	DefaultEstablishedAfter = time.Second
	DefaultMaxCircuits      = 4096
)

// DefaultFailureCodes returns the codes that indicate a failing server: UNKNOWN,
// DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE and DATA_LOSS. The caller owns the result.
func DefaultFailureCodes() []codes.Code {
	return []codes.Code{codes.Unknown, codes.DeadlineExceeded, codes.Internal, codes.Unavailable, codes.DataLoss}
}

// By selects which calls share a circuit.
type By uint8

// The values of By.
const (
	ByService By = iota // one circuit for each service
	ByMethod            // one circuit for each method
	ByTarget            // one circuit for each target of a connection, as hauberk.Call.Target returns it
)

// key returns the name of a call's circuit.
func (b By) key(call *hauberk.Call) string {
	switch b {
	case ByMethod:
		return call.Method().FullName()
	case ByTarget:
		return call.Target()
	default:
		return call.Method().Service()
	}
}

// Config configures an [Interceptor]. The zero value has the defaults.
type Config struct {
	// By selects which calls share a circuit. The default is ByService.
	By By
	// FailureThreshold is the number of consecutive failures that opens a circuit. The
	// default is DefaultFailureThreshold.
	FailureThreshold int
	// OpenFor is how long an open circuit rejects all calls. The default is
	// DefaultOpenFor.
	OpenFor time.Duration
	// HalfOpenMaxCalls is how many probes may run concurrently. The default is
	// DefaultHalfOpenMaxCalls.
	HalfOpenMaxCalls int
	// ProbeTimeout is how long a probe occupies its place. If it has neither ended by then
	// nor is an established stream, another probe is admitted, and the late probe's outcome
	// does not count. The default is OpenFor.
	ProbeTimeout time.Duration
	// EstablishedAfter is how long a stream of responses that has received a response header
	// or a message must run until it counts as a success, although it has not ended: see the
	// package's documentation. The default is DefaultEstablishedAfter.
	EstablishedAfter time.Duration
	// MinTimeout is the least time that a call must give its server for a
	// DEADLINE_EXCEEDED to count as a failure: from the time when the breaker admits the
	// call until the deadline of its context. A caller with little time left says nothing
	// about the server. Calls without a deadline always count. The default 0 counts all.
	MinTimeout time.Duration
	// FailureCodes are the codes that count as failures. nil is DefaultFailureCodes.
	FailureCodes []codes.Code
	// MaxCircuits bounds the number of circuits. Beyond it the least recently used
	// circuit is removed, with its state. The default is DefaultMaxCircuits.
	MaxCircuits int
}

func (c Config) withDefaults() Config {
	c.FailureThreshold = cmp.Or(c.FailureThreshold, DefaultFailureThreshold)
	c.OpenFor = cmp.Or(c.OpenFor, DefaultOpenFor)
	c.HalfOpenMaxCalls = cmp.Or(c.HalfOpenMaxCalls, DefaultHalfOpenMaxCalls)
	c.ProbeTimeout = cmp.Or(c.ProbeTimeout, c.OpenFor)
	c.EstablishedAfter = cmp.Or(c.EstablishedAfter, DefaultEstablishedAfter)
	c.MaxCircuits = cmp.Or(c.MaxCircuits, DefaultMaxCircuits)
	if c.FailureCodes == nil {
		c.FailureCodes = DefaultFailureCodes()
	}
	return c
}

// check returns everything that is wrong with a configuration as the caller has set it.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.By > ByTarget {
		fail("By is %d; want ByService, ByMethod or ByTarget", c.By)
	}
	if c.FailureThreshold < 0 {
		fail("FailureThreshold is %d; want at least 1, or 0 for %d", c.FailureThreshold, DefaultFailureThreshold)
	}
	if c.OpenFor < 0 {
		fail("OpenFor is %v; want more than 0, or 0 for %v", c.OpenFor, DefaultOpenFor)
	}
	if c.HalfOpenMaxCalls < 0 {
		fail("HalfOpenMaxCalls is %d; want at least 1, or 0 for %d", c.HalfOpenMaxCalls, DefaultHalfOpenMaxCalls)
	}
	if c.ProbeTimeout < 0 {
		fail("ProbeTimeout is %v; want more than 0, or 0 for OpenFor", c.ProbeTimeout)
	}
	if c.EstablishedAfter < 0 {
		fail("EstablishedAfter is %v; want more than 0, or 0 for %v", c.EstablishedAfter, DefaultEstablishedAfter)
	}
	if c.MinTimeout < 0 {
		fail("MinTimeout is %v; want more than 0, or 0 to count all", c.MinTimeout)
	}
	if c.MaxCircuits < 0 {
		fail("MaxCircuits is %d; want at least 1, or 0 for %d", c.MaxCircuits, DefaultMaxCircuits)
	}
	if i := slices.IndexFunc(c.FailureCodes, notAFailure); i >= 0 {
		fail("FailureCodes has %v; want codes of errors, except Canceled", c.FailureCodes[i])
	}
	return errors.Join(errs...)
}

func notAFailure(code codes.Code) bool {
	return code == codes.OK || code == codes.Canceled || code > codes.Unauthenticated
}
