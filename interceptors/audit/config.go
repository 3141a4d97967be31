package audit

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// The defaults of [Config].
const (
	DefaultTimeout   = 5 * time.Second
	DefaultQueue     = 4096
	DefaultMaxWrites = 1024
	DefaultMaxFields = 32
	DefaultMaxValue  = 256
	DefaultMaxBytes  = 16 << 10
)

// maxName bounds names in a record, such as those of the method and the subject, in bytes.
const maxName = 256

// maxDecisions bounds the decisions in a record.
const maxDecisions = 64

// Config holds the settings of [New]. The zero value fails closed and records no fields of requests.
type Config struct {
	// BestEffort lets calls go on whose records cannot be written. Records wait in a queue. By default a call
	// fails whose record is not written.
	BestEffort bool
	// Start selects the calls with a record before they run, in addition to the one at their end.
	Start Start
	// Timeout bounds the time to write a record. The default is DefaultTimeout.
	Timeout time.Duration
	// Queue is the number of records that may wait with BestEffort. Beyond it records are dropped and counted. Without
	// BestEffort it is an error. The default is DefaultQueue.
	Queue int
	// MaxWrites bounds the concurrent writes to a sink that is not a [File]. Further calls wait for at most
	// Timeout. A write that the sink does not end at the timeout counts until it ends. The default is
	// DefaultMaxWrites.
	MaxWrites int
	// Requests select fields of requests. The first element that names a method applies to it.
	Requests []Request
	// Redact names further fields whose values are not recorded, as logging.Payloads.Redact does: a full name
	// "shop.v1.Card.number", or a plain one "api_key" for fields and keys of maps in all messages.
	Redact []string
	// MaxFields bounds the fields of a request in a record. The default is DefaultMaxFields.
	MaxFields int
	// MaxValue bounds the value of a field, and a text of State, in bytes. The default is DefaultMaxValue.
	MaxValue int
	// MaxBytes bounds the texts of states, decisions and fields in a record, in bytes before JSON escapes
	// them. The default is DefaultMaxBytes.
	MaxBytes int
}

// Start selects the calls that have a record before they run.
type Start uint8

// The values of Start.
const (
	StartStreams Start = iota // calls with client or server streaming
	StartAll                  // calls of all kinds
	StartNone                 // none; it needs Config.BestEffort
)

// String returns "streams", "all calls" or "none".
func (s Start) String() string {
	switch s {
	case StartStreams:
		return "streams"
	case StartAll:
		return "all calls"
	case StartNone:
		return "none"
	default:
		return fmt.Sprintf("Start(%d)", uint8(s))
	}
}

// Request selects the fields of requests that are recorded. Of a stream that is the first request.
type Request struct {
	// Methods are patterns of methods, in the form that hauberk.For takes. At least one is required.
	Methods []string
	// Fields are paths from the request to a field: "order.customer_id". The fields before the last are
	// messages that are not repeated, and no google.protobuf.Any. Each path must exist in the request of at
	// least one of the methods, and lead through such messages in all that have its names; a server checks that
	// when it starts. The value of a field that is redacted, or that is in one that is, is
	// "[redacted]".
	Fields []string
	// All selects the fields of the request that are set, those that are redacted as "[redacted]".
	All bool
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Queue = cmp.Or(c.Queue, DefaultQueue)
	c.MaxWrites = cmp.Or(c.MaxWrites, DefaultMaxWrites)
	c.MaxFields = cmp.Or(c.MaxFields, DefaultMaxFields)
	c.MaxValue = cmp.Or(c.MaxValue, DefaultMaxValue)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	return c
}

// check returns everything that is wrong with the numbers of a configuration that has its defaults.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Timeout < 0 {
		fail("Timeout is %v; want more than 0, or 0 for %v", c.Timeout, DefaultTimeout)
	}
	for _, n := range []struct {
		setting           string
		value, most, none int
	}{
		{"Queue", c.Queue, 1 << 24, DefaultQueue},
		{"MaxWrites", c.MaxWrites, 1 << 20, DefaultMaxWrites},
		{"MaxFields", c.MaxFields, 1 << 10, DefaultMaxFields},
		{"MaxValue", c.MaxValue, 64 << 10, DefaultMaxValue},
		{"MaxBytes", c.MaxBytes, 64 << 10, DefaultMaxBytes},
	} {
		if n.value < 1 || n.value > n.most {
			fail("%s is %d; want 1 to %d, or 0 for %d", n.setting, n.value, n.most, n.none)
		}
	}
	if !c.BestEffort && c.Queue != DefaultQueue {
		fail("Queue is %d without BestEffort: calls wait for their records then; want BestEffort, or no Queue", c.Queue)
	}
	switch {
	case c.Start > StartNone:
		fail("Start is %v; want StartStreams, StartAll or StartNone", c.Start)
	case c.Start == StartNone && !c.BestEffort:
		fail("Start is StartNone without BestEffort: responses of streams would leave without a record; " +
			"want StartStreams, StartAll or BestEffort")
	}
	return errors.Join(errs...)
}
