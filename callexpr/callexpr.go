package callexpr

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"cel.dev/cel-go/common/types"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
)

// Limits of an expression. What is beyond them is an error at load.
const (
	// MaxExpression is the greatest length of an expression in bytes.
	MaxExpression = 8 << 10
	// MaxCost is the greatest cost of one evaluation, in CEL's units: one for each step, one for ten
	// bytes of compared text. The estimate at load assumes lists and maps of 100 entries and texts of
	// 1 KiB. An evaluation that does cost more fails.
	MaxCost = 100_000
)

// Key puts the calls together for which an expression has the same value. name is the kind of value,
// such as "plan", in rejections and decisions.
//
// The expression returns a string, an int, a uint or a bool. Other types are an error: convert them, as
// in string(identity.claims.account). A call for which it fails, or is an empty string, has no key and is
// counted by its peer.
//
// To combine values use [callkey.All], whose parts cannot be confused: identity.tenant + method is the
// same for "ab" with "c" and for "a" with "bc".
func Key(name, expression string, opts ...Option) callkey.Key {
	if name == "" {
		return callkey.Failed(name, errors.New(
			`callexpr.Key was given an empty name; want the kind of value, such as "plan"`))
	}
	e, err := compile(expression, keyResult, opts)
	if err != nil {
		return callkey.Failed(name, fmt.Errorf("callexpr.Key %.100q: %w", name, err))
	}
	if e.fields != nil {
		return callkey.FromRequest(name, request{e}, false, e.reads...)
	}
	return callkey.Func(name, e.key, e.reads...)
}

// key returns the key of a call.
func (e *expression) key(ctx context.Context, call *hauberk.Call) (key string, ok bool) {
	switch value := e.eval(ctx, call).(type) {
	case types.String:
		return string(value), value != ""
	case types.Int:
		return strconv.FormatInt(int64(value), 10), true
	case types.Uint:
		return strconv.FormatUint(uint64(value), 10), true
	case types.Bool:
		return strconv.FormatBool(bool(value)), true
	default:
		return "", false
	}
}

// CallCost is the cost of calls by an expression, a ratelimit.CallCost. Make it with [Cost]. It is
// immutable and safe for concurrent use.
type CallCost struct {
	expression *expression // nil if err is not
	err        error
}

// Cost returns the number of permits that a call takes, by an expression that returns an int, a uint or
// a double. Doubles are rounded up, and 0 makes a call free.
//
// A call for which the expression fails, or is negative, NaN or infinite, has no cost. It
// takes what ratelimit.Cost.Methods and Call say, which is 1 by default, so that no call is free by
// accident. If callers can make the expression fail, such as by leaving out a metadata key, set Call to
// the cost of an expensive call.
func Cost(expression string, opts ...Option) CallCost {
	e, err := compile(expression, costResult, opts)
	if err != nil {
		return CallCost{err: fmt.Errorf("callexpr.Cost: %w", err)}
	}
	return CallCost{expression: e}
}

// Of returns the cost of a call. ok is false if it has none.
func (c CallCost) Of(ctx context.Context, call *hauberk.Call) (permits int, ok bool) {
	if c.expression == nil {
		return 0, false
	}
	var n float64
	switch value := c.expression.eval(ctx, call).(type) {
	case types.Int:
		n = float64(value)
	case types.Uint:
		n = float64(value)
	case types.Double:
		n = math.Ceil(float64(value))
		if value < 0 {
			return 0, false // such as -0.5, which is rounded up to 0
		}
	default:
		return 0, false
	}
	if math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
		return 0, false
	}
	return int(min(n, math.MaxInt32)), true
}

// Reads returns the state that the expression reads: the identity, or none.
func (c CallCost) Reads() []hauberk.StateKey {
	if c.expression == nil {
		return nil
	}
	return c.expression.reads
}

// Invalid returns what is wrong with the fields that the expression uses, for methods. It is for
// [hauberk.Declaration.Invalid].
func (c CallCost) Invalid(methods []*hauberk.Method) []string {
	if c.expression == nil {
		return nil
	}
	return request{c.expression}.Invalid(methods)
}

// Err returns what is wrong with the expression.
func (c CallCost) Err() error {
	if c.expression == nil && c.err == nil {
		return errors.New("a zero CallCost has no expression; make one with callexpr.Cost")
	}
	return c.err
}
