package validate

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// The defaults of [Config].
const (
	DefaultMaxViolations = 16
	DefaultMaxTypes      = 4096
)

// maxMaxViolations violations are useful to no caller.
const maxMaxViolations = 1000

// Action is what becomes of a call with an invalid message.
type Action uint8

// The actions.
const (
	// End ends the call with the rejection.
	End Action = iota
	// Drop drops the message and continues: a received message is not delivered, a sent one is
	// not sent, and the sender does not learn of it. The decision is recorded. It applies to
	// messages of a direction that streams; the call of a single invalid request or response
	// ends, as with End. A call whose first request an outer interceptor such as authz has read
	// (hauberk.Call.ReadFirst) ends if that is invalid, with the reason of
	// hauberk.ReasonFirstDropped.
	Drop
	// Answer ends the call with the messages that the function of WithAnswer returns, and the
	// status OK, in place of the rejection. Messages that a stream has already delivered stay
	// delivered; the answer follows them.
	Answer
)

// String returns the name of the action: "End".
func (a Action) String() string {
	switch a {
	case End:
		return "End"
	case Drop:
		return "Drop"
	case Answer:
		return "Answer"
	default:
		return fmt.Sprintf("Action(%d)", uint8(a))
	}
}

// Config configures an [Interceptor]. The zero value validates the requests that a server
// receives.
type Config struct {
	// Responses validates the responses that a client receives. It changes nothing on a
	// server.
	Responses bool
	// Sent validates the messages that this side sends: requests on a client, responses on a
	// server.
	Sent bool
	// Except are patterns of methods whose messages are not validated, in the form that
	// hauberk.For takes, such as "shop.v1.Cart/Get" or "shop.v1.*". On a server a pattern that
	// matches no method is an error of hauberk.Server.Serve. The default is none.
	Except []string
	// ExceptMessages are the full names of message types that are not validated, such as
	// "shop.v1.Draft". They are validated as parts of other messages. The program must link the
	// type, or use it in a service of [WithServices]. The default is none.
	ExceptMessages []string
	// Invalid is what becomes of a call with an invalid message. The default is End.
	Invalid Action
	// Strict ends calls with messages that cannot be validated, since they are not messages of
	// protobuf, with INTERNAL and the reason NOT_PROTOBUF. By default they pass.
	Strict bool
	// FailFast stops at the first violation of a message. The default is to find all violations of
	// messages of at most 8 KiB, and the first one of larger messages: to find all takes several
	// hundred times the memory of the message.
	FailFast bool
	// MaxViolations is the greatest number of violations in a status, 1 to 1000. The default
	// is DefaultMaxViolations.
	MaxViolations int
	// MaxTypes is the greatest number of message types whose compiled rules are kept, at
	// least 1. The default is DefaultMaxTypes. The bound does not apply to a validator of
	// WithValidator, which has a cache of that kind without a bound.
	MaxTypes int
}

func (c Config) withDefaults() Config {
	if c.MaxViolations == 0 {
		c.MaxViolations = DefaultMaxViolations
	}
	if c.MaxTypes == 0 {
		c.MaxTypes = DefaultMaxTypes
	}
	return c
}

func (c Config) check() error {
	var errs []error
	if c.Invalid > Answer {
		errs = append(errs, fmt.Errorf("Config.Invalid is %d; want End, Drop or Answer", c.Invalid))
	}
	if c.MaxViolations < 1 || c.MaxViolations > maxMaxViolations {
		errs = append(errs, fmt.Errorf("Config.MaxViolations is %d; want 1 to %d, or 0 for %d",
			c.MaxViolations, maxMaxViolations, DefaultMaxViolations))
	}
	if c.MaxTypes < 1 {
		errs = append(errs, fmt.Errorf("Config.MaxTypes is %d; want at least 1, or 0 for %d",
			c.MaxTypes, DefaultMaxTypes))
	}
	for _, name := range c.ExceptMessages {
		if !protoreflect.FullName(name).IsValid() {
			errs = append(errs, fmt.Errorf(`Config.ExceptMessages has %q; want "package.Message"`, name))
		}
	}
	return errors.Join(errs...)
}

// except returns the parsed patterns of Except.
func (c Config) except() (pattern.Set, error) {
	set, bad := pattern.ParseAll(c.Except)
	errs := make([]error, len(bad))
	for i, text := range bad {
		errs[i] = fmt.Errorf("Config.Except has %q; %s", text, pattern.Want)
	}
	return set, errors.Join(errs...)
}
