package fault

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Config holds the settings of [New]. It needs at least one rule.
type Config struct {
	// Rules are the faults and the calls that get them.
	Rules []Rule
	// Seed makes faults repeatable. The default 0 chooses one.
	Seed uint64
	// MaxActive is the number of calls that get faults at a time. A call counts from its first fault
	// until it can get no further one: if it has faults of messages or Abort.AfterMessages until its
	// end, otherwise until its delay is over. The default 0 is no bound.
	MaxActive int
}

// Rule is faults, and the calls that get them.
type Rule struct {
	// Methods are patterns in the form that hauberk.For takes. The default is all methods.
	Methods []string
	// Metadata is request metadata that a call must have: a value for each key. "*" is any
	// value. On a server, callers can thus ask for faults. The default is none.
	Metadata map[string]string
	// Percentage is how many of the calls that match get the faults: more than 0, up to 100.
	Percentage float64

	// Delay delays calls, by this time or, if MaxDelay is set, by a time between the two.
	Delay, MaxDelay time.Duration
	// Abort ends calls. nil is none.
	Abort *Abort
	// Messages are faults of the messages of calls. nil is none.
	Messages *Messages
}

// Abort ends a call with a status.
type Abort struct {
	// Code is the status code, that of an error.
	Code codes.Code
	// Message is the status message. The default is "Fault injected".
	Message string
	// Reason is the reason in the google.rpc.ErrorInfo, in UPPER_SNAKE_CASE. The default is
	// ReasonAborted.
	Reason string
	// AfterMessages ends the call only in place of the message after so many: of responses
	// if they stream, and otherwise of requests if they stream. A call with fewer messages is
	// not ended. In a unary call the abort replaces the response of the handler, which has run.
	// The default 0 ends the call before it begins.
	AfterMessages int
}

// Direction is the messages that get faults.
type Direction uint8

// The directions.
const (
	Both Direction = iota
	Requests
	Responses
)

// String returns the name: "Requests".
func (d Direction) String() string {
	switch d {
	case Both:
		return "Both"
	case Requests:
		return "Requests"
	case Responses:
		return "Responses"
	default:
		return fmt.Sprintf("Direction(%d)", uint8(d))
	}
}

// Messages are faults of messages. The percentages are of the messages of a call, 0 to 100.
type Messages struct {
	// Direction is which messages get faults. The default is Both.
	Direction Direction
	// Drop is how many messages are lost.
	Drop float64
	// Duplicate is how many messages are sent twice.
	Duplicate float64
	// Delay is how many messages are delayed, by DelayFor.
	Delay    float64
	DelayFor time.Duration
}

func (m *Messages) of(d Direction) bool { return m != nil && (m.Direction == Both || m.Direction == d) }

// check returns what is wrong with a configuration, except for patterns.
func (c *Config) check() error {
	var errs []error
	if len(c.Rules) == 0 {
		errs = append(errs, errors.New("there are no Rules, so it has no effect"))
	}
	if c.MaxActive < 0 {
		errs = append(errs, fmt.Errorf("MaxActive is %d; want at least 1, or 0 for no bound", c.MaxActive))
	}
	for i := range c.Rules {
		place := fmt.Sprintf("Rules[%d].", i)
		c.Rules[i].check(func(format string, args ...any) {
			errs = append(errs, fmt.Errorf(place+format, args...))
		})
	}
	return errors.Join(errs...)
}

func (r *Rule) check(fail func(format string, args ...any)) {
	if !(r.Percentage > 0 && r.Percentage <= 100) { // or NaN
		fail("Percentage is %v; want more than 0, and at most 100", r.Percentage)
	}
	if r.Delay < 0 {
		fail("Delay is %v; want more than 0, or 0 for none", r.Delay)
	}
	if r.MaxDelay < 0 || r.MaxDelay != 0 && r.MaxDelay < r.Delay {
		fail("MaxDelay is %v; want at least Delay, %v, or 0 for that", r.MaxDelay, r.Delay)
	}
	if r.Delay == 0 && r.MaxDelay == 0 && r.Abort == nil && r.Messages == nil {
		fail("Delay, MaxDelay, Abort and Messages are not set, so the rule has no effect")
	}
	if _, empty := r.Metadata[""]; empty {
		fail("Metadata has an empty key")
	}
	if r.Abort != nil {
		r.Abort.check(fail)
	}
	if r.Messages != nil {
		r.Messages.check(fail)
	}
}

// reasonForm is the form that google.rpc.ErrorInfo requires.
var reasonForm = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,61}[A-Z0-9]$`)

func (a *Abort) check(fail func(format string, args ...any)) {
	if a.Code == codes.OK || a.Code > codes.Unauthenticated {
		fail("Abort.Code is %v; want the code of an error", a.Code)
	}
	if a.Reason != "" && !reasonForm.MatchString(a.Reason) {
		fail("Abort.Reason is %.100q; want UPPER_SNAKE_CASE of at most 63 characters, or none", a.Reason)
	}
	if a.AfterMessages < 0 {
		fail("Abort.AfterMessages is %d; want at least 0", a.AfterMessages)
	}
}

func (m *Messages) check(fail func(format string, args ...any)) {
	for _, p := range []struct {
		name  string
		value float64
	}{{"Drop", m.Drop}, {"Duplicate", m.Duplicate}, {"Delay", m.Delay}} {
		if !(p.value >= 0 && p.value <= 100) { // or NaN
			fail("Messages.%s is %v; want 0 to 100", p.name, p.value)
		}
	}
	if m.Drop == 0 && m.Duplicate == 0 && m.Delay == 0 {
		fail("Messages has no Drop, Duplicate or Delay, so it has no effect")
	}
	if m.DelayFor < 0 || (m.DelayFor == 0) != (m.Delay == 0) {
		fail("Messages.Delay is %v, and DelayFor is %v; want both or none", m.Delay, m.DelayFor)
	}
	if m.Direction > Responses {
		fail("Messages.Direction is %v; want Both, Requests or Responses", m.Direction)
	}
}

// patterns returns the patterns of a rule; those of all methods if it names none.
func (r *Rule) patterns() (pattern.Set, []string) {
	if len(r.Methods) == 0 {
		return pattern.Set{{}}, nil
	}
	return pattern.ParseAll(r.Methods)
}

// String describes a rule to operators.
func (r *Rule) String() string {
	methods := "all methods"
	if len(r.Methods) > 0 {
		methods = strings.Join(r.Methods, ", ")
	}
	text := fmt.Sprintf("%v%% of the calls of %s", r.Percentage, methods)
	if len(r.Metadata) > 0 {
		text += " with " + strings.Join(slices.Sorted(maps.Keys(r.Metadata)), ", ")
	}
	var faults []string
	if d := max(r.Delay, r.MaxDelay); d > 0 {
		text := fmt.Sprintf("delay of %v", d)
		if d > r.Delay {
			text = fmt.Sprintf("delay of %v to %v", r.Delay, d)
		}
		faults = append(faults, text)
	}
	if a := r.Abort; a != nil {
		faults = append(faults, fmt.Sprintf("abort with %v after %d messages", a.Code, a.AfterMessages))
	}
	if m := r.Messages; m != nil {
		faults = append(faults, fmt.Sprintf("messages (%v): %v%% dropped, %v%% duplicated, %v%% delayed by %v",
			m.Direction, m.Drop, m.Duplicate, m.Delay, m.DelayFor))
	}
	return text + ": " + strings.Join(faults, "; ")
}
