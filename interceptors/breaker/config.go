package breaker

import (
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
	DefaultMaxCircuits      = 4096
)

// DefaultFailureCodes are the codes that say that a server is not well: UNKNOWN,
// DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE and DATA_LOSS.
func DefaultFailureCodes() []codes.Code {
	return []codes.Code{codes.Unknown, codes.DeadlineExceeded, codes.Internal, codes.Unavailable, codes.DataLoss}
}

// By says what calls share a circuit.
type By uint8

// What calls can share a circuit by.
const (
	ByService By = iota // calls of a service: the default
	ByMethod            // calls of a method
	ByTarget            // calls of a connection, by what it was made for
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

// Config says when circuits open and close. The zero value has the defaults.
type Config struct {
	// By says what calls share a circuit.
	By By
	// FailureThreshold is how many failures in a row open a circuit. The default is
	// DefaultFailureThreshold.
	FailureThreshold int
	// OpenFor is how long an open circuit rejects all calls. The default is
	// DefaultOpenFor.
	OpenFor time.Duration
	// HalfOpenMaxCalls is how many probes may run at once. The default is
	// DefaultHalfOpenMaxCalls.
	HalfOpenMaxCalls int
	// ProbeTimeout is how long a probe keeps its place: one that has not ended by
	// then, such as a long stream, gives it to another and counts for nothing. The
	// default is OpenFor.
	ProbeTimeout time.Duration
	// FailureCodes are the codes that count as failures. The default is
	// DefaultFailureCodes.
	FailureCodes []codes.Code
	// MaxCircuits is how many circuits are kept; the one used least recently makes
	// room. The default is DefaultMaxCircuits.
	MaxCircuits int
}

func (c Config) withDefaults() Config {
	setDefault(&c.FailureThreshold, DefaultFailureThreshold)
	setDefault(&c.OpenFor, DefaultOpenFor)
	setDefault(&c.HalfOpenMaxCalls, DefaultHalfOpenMaxCalls)
	setDefault(&c.ProbeTimeout, c.OpenFor)
	setDefault(&c.MaxCircuits, DefaultMaxCircuits)
	if c.FailureCodes == nil {
		c.FailureCodes = DefaultFailureCodes()
	}
	return c
}

func setDefault[T ~int | ~int64](value *T, otherwise T) {
	if *value == 0 {
		*value = otherwise
	}
}

func (c Config) check() error {
	var errs []error
	if c.By > ByTarget {
		errs = append(errs, fmt.Errorf("By is %d; want ByService, ByMethod or ByTarget", c.By))
	}
	if i := slices.IndexFunc(c.FailureCodes, notAFailure); i >= 0 {
		errs = append(errs, fmt.Errorf("FailureCodes has %v; want codes of errors but Canceled", c.FailureCodes[i]))
	}
	return errors.Join(errs...)
}

func notAFailure(code codes.Code) bool {
	return code == codes.OK || code == codes.Canceled || code > codes.Unauthenticated
}
