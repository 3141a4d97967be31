package breaker

import (
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

// The defaults of [Config].
const (
	DefaultFailureThreshold = 5
	DefaultOpenFor          = time.Minute
	DefaultHalfOpenMaxCalls = 3
	DefaultEstablishedAfter = time.Second
	DefaultMaxCircuits      = 4096
	DefaultMinCalls         = 20               // as in Hystrix
	DefaultWindowTime       = 10 * time.Second // as in Hystrix
	DefaultSuccessThreshold = 1
)

// The greatest windows.
const (
	MaxWindowCalls = breaker.MaxWindowCalls // 65536: such a window takes 16 KiB of each circuit
	MaxWindowTime  = breaker.MaxWindowTime  // 24 hours
)

// minWindowTime is the least time of a window.
const minWindowTime = time.Millisecond

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
	// Key selects which calls share a circuit by any other value, such as a tenant or a key of
	// the request metadata. Calls that lack it have the circuits of By. The zero Key is none.
	Key callkey.Key

	// FailureThreshold is the number of consecutive failures that opens a circuit. The
	// default is DefaultFailureThreshold without ratios. With FailureRatio or SlowRatio it is
	// none: set it to open the circuit by either.
	FailureThreshold int
	// FailureRatio opens a circuit if this part of the calls in the window are failures: above 0
	// and at most 1. 0 is none. See the package's documentation for windows.
	FailureRatio float64
	// SlowRatio opens a circuit if this part of the calls in the window take SlowAfter or longer:
	// above 0 and at most 1. 0 is none.
	SlowRatio float64
	// SlowAfter is how long a slow call takes at least: from its admission until its end, or until
	// the application receives the first message of a stream of responses. It must be set with
	// SlowRatio, and only then.
	SlowAfter time.Duration
	// MinCalls is the least number of calls in the window for the ratios to count. The default is
	// DefaultMinCalls, or WindowCalls if that is less.
	MinCalls int
	// WindowCalls is the size of a count-based window: the ratios are those of the latest
	// WindowCalls calls, at most MaxWindowCalls. It excludes WindowTime.
	WindowCalls int
	// WindowTime is the size of a time-based window: the ratios are those of the calls in the latest
	// WindowTime, 1 ms to MaxWindowTime. The default is DefaultWindowTime, unless WindowCalls is
	// set.
	WindowTime time.Duration

	// OpenFor is how long an open circuit rejects all calls. The default is
	// DefaultOpenFor.
	OpenFor time.Duration
	// OpenForMultiplier makes the time grow: each time when a probe fails, the circuit opens for
	// so many times as long as before, until it closes. At least 1; the default is 1.
	OpenForMultiplier float64
	// MaxOpenFor is the greatest time with OpenForMultiplier, before OpenForJitter. It must not be
	// less than OpenFor. The default is ten times OpenFor.
	MaxOpenFor time.Duration
	// OpenForJitter randomizes each time by up to ± this fraction, from 0 to 1, so that many
	// clients do not probe at once.
	OpenForJitter float64

	// HalfOpenMaxCalls is how many probes may run concurrently. The default is
	// DefaultHalfOpenMaxCalls.
	HalfOpenMaxCalls int
	// SuccessThreshold is how many probes must succeed to close a circuit. Each probe that ends
	// is replaced by another, so it may exceed HalfOpenMaxCalls. The default is
	// DefaultSuccessThreshold.
	SuccessThreshold int
	// ProbeTimeout is how long a probe occupies its place. If it has neither ended by then
	// nor is an established stream, another probe is admitted, and the late probe's outcome
	// does not count. The default is OpenFor.
	ProbeTimeout time.Duration
	// EstablishedAfter is how long a stream of responses that has received a response header
	// or a message must run until it counts as a success, although it has not ended: see the
	// package's documentation. The default is DefaultEstablishedAfter.
	EstablishedAfter time.Duration
	// CountAtFirstResponse counts a stream of responses as a success when the application receives
	// its first message. Its end does not count then. Streams that end without a message count at
	// their end.
	CountAtFirstResponse bool

	// MinTimeout is the least time that a call must give its server for a
	// DEADLINE_EXCEEDED to count as a failure: from the time when the breaker admits the
	// call until the deadline of its context. A caller with little time left says nothing
	// about the server. Calls without a deadline always count. The default 0 counts all.
	MinTimeout time.Duration
	// FailureCodes are the codes that count as failures. nil is DefaultFailureCodes. See also
	// [WithOutcome].
	FailureCodes []codes.Code
	// MaxCircuits bounds the number of circuits. Beyond it the least recently used
	// circuit is removed, with its state. The default is DefaultMaxCircuits.
	MaxCircuits int
}
