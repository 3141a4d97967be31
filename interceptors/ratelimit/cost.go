package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Cost is how many permits a call and its messages take. The zero Cost is 1 for each call.
type Cost struct {
	// Call is the number of permits that a call takes when it starts. The default is 1, or 0 if
	// Message, Byte or Charged is set and Of is not.
	Call int
	// Methods has the number for calls of the methods that a pattern matches, in place of Call, such
	// as {"shop.v1.Search/*": 10}; 0 makes them free. Of several patterns that match, the most
	// specific counts: a method, then a service, then the longest package. A server that has no method
	// of a pattern does not serve. Limits that servers with different methods share need Of.
	Methods map[string]int
	// Of returns the number for a call: a CostFunc, or an expression (package callexpr). Methods and
	// Call count for calls for which it returns none.
	Of CallCost
	// Message is the number of permits that each message takes.
	Message int
	// Byte is the number of permits that each byte of a message takes, as encoded and before
	// compression. Messages that are not of Protocol Buffers have no known size: they count as 0
	// bytes, unless they are a []byte, a *[]byte or have a method Len() int.
	Byte int
	// Messages says which messages Message and Byte count. The default is Requests.
	Messages Messages
	// Charged lets handlers take permits from the limit and give them back: see Interceptor.Charge.
	Charged bool
}

// CallCost returns how many permits calls take. [CostFunc] and callexpr.CallCost are ones.
type CallCost interface {
	// Of returns the number for a call. A negative number counts as 0. ok is false if it has none, and
	// [Cost.Methods] and [Cost.Call] count. Of runs before the request is read and must be safe for
	// concurrent use.
	Of(ctx context.Context, call *hauberk.Call) (permits int, ok bool)
	// Reads returns the state that Of reads, for [hauberk.Declaration.Reads].
	Reads() []hauberk.StateKey
	// Err returns what is wrong with it. hauberk.New reports it. A method Invalid, as that of
	// [hauberk.Declaration], is called as well.
	Err() error
}

// CostFunc is a function as a [CallCost]. It declares no state that it reads.
type CostFunc func(ctx context.Context, call *hauberk.Call) int

// Of calls f.
func (f CostFunc) Of(ctx context.Context, call *hauberk.Call) (permits int, ok bool) {
	return f(ctx, call), true
}

// Reads returns nil.
func (CostFunc) Reads() []hauberk.StateKey { return nil }

// Err reports a nil function.
func (f CostFunc) Err() error {
	if f == nil {
		return errors.New("it is a nil CostFunc")
	}
	return nil
}

// Messages says which messages count.
type Messages uint8

// The values of Messages.
const (
	Requests     Messages = iota // requests only
	Responses                    // responses only
	BothMessages                 // requests and responses
)

// maxCost bounds a cost, so that sums do not overflow.
const maxCost = math.MaxInt32

func (c Cost) withDefaults() Cost {
	if c.Call == 0 && (c.Of != nil || c.Message == 0 && c.Byte == 0 && !c.Charged) {
		c.Call = 1
	}
	return c
}

// check returns everything that is wrong with the costs of a limit with a burst. What costs more than the burst could
// never be admitted.
func (c Cost) check(burst int) (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	inRange := func(what string, n int) {
		if n < 0 || n > maxCost {
			fail("%s; want 0 to %d", what, maxCost)
		} else if burst > 0 && n > burst {
			fail("%s; want at most the burst, %d", what, burst)
		}
	}
	inRange(fmt.Sprintf("Cost.Call is %d", c.Call), c.Call)
	inRange(fmt.Sprintf("Cost.Message is %d", c.Message), c.Message)
	inRange(fmt.Sprintf("Cost.Byte is %d", c.Byte), c.Byte)
	for text, n := range c.Methods {
		if _, ok := pattern.Parse(text); !ok {
			fail("Cost.Methods has %.100q; %s", text, pattern.Want)
		}
		inRange(fmt.Sprintf("Cost.Methods has %d for %.100q", n, text), n)
	}
	if c.Of != nil {
		if err := c.Of.Err(); err != nil {
			fail("Cost.Of: %w", err)
		}
	}
	if c.Messages > BothMessages {
		fail("Cost.Messages is %d; want Requests, Responses or BothMessages", c.Messages)
	}
	if c.Messages != Requests && !c.counts() {
		fail("Cost.Messages is set without Message or Byte")
	}
	return errs
}

// unmatched lists the patterns of Methods that match no method of the index, in their order.
func (c Cost) unmatched(setting string, index *pattern.Index) []string {
	set, _ := pattern.ParseAll(slices.Sorted(maps.Keys(c.Methods)))
	return index.Unmatched(setting+"Cost.Methods", set)
}

// reads returns the state that the cost of a call depends on.
func (c Cost) reads() []hauberk.StateKey {
	if c.Of == nil {
		return nil
	}
	return c.Of.Reads()
}

// counts reports whether messages take permits.
func (c Cost) counts() bool { return c.Message > 0 || c.Byte > 0 }

// countsThese reports whether requests, or else responses, take permits.
func (c Cost) countsThese(requests bool) bool {
	if !c.counts() {
		return false
	}
	return c.Messages == BothMessages || requests == (c.Messages == Requests)
}

// ofMessage returns the cost of a message.
func (c Cost) ofMessage(size int) int {
	if c.Byte > 0 && size > (maxCost-c.Message)/c.Byte {
		return maxCost
	}
	return c.Message + c.Byte*size
}

// prices are the costs of calls.
type prices struct {
	call     int
	of       CallCost       // may be nil
	exact    map[string]int // by full name
	patterns []price        // the most specific first
}

type price struct {
	pattern pattern.Pattern
	permits int
}

// newPrices returns the costs of a valid Cost.
func newPrices(c Cost) prices {
	p := prices{call: c.Call, of: c.Of}
	for text, n := range c.Methods {
		parsed, ok := pattern.Parse(text)
		switch {
		case !ok:
		case parsed.Name == "":
			p.patterns = append(p.patterns, price{parsed, n})
		default:
			if p.exact == nil {
				p.exact = make(map[string]int)
			}
			p.exact["/"+parsed.Service+"/"+parsed.Name] = n
		}
	}
	slices.SortFunc(p.patterns, func(a, b price) int { return b.specificity() - a.specificity() })
	return p
}

// specificity is higher for a service than for a package, and for a longer package.
func (p price) specificity() int {
	if p.pattern.Service != "" {
		return math.MaxInt
	}
	return len(p.pattern.Package)
}

// ofCall returns the cost of a call.
func (p *prices) ofCall(ctx context.Context, call *hauberk.Call) int {
	if p.of != nil {
		if n, ok := p.of.Of(ctx, call); ok {
			return min(max(n, 0), maxCost)
		}
	}
	if p.exact == nil && p.patterns == nil {
		return p.call
	}
	m := call.Method()
	if n, ok := p.exact[m.FullName()]; ok {
		return n
	}
	for i := range p.patterns {
		if p.patterns[i].pattern.Matches(m.Service(), m.Name()) {
			return p.patterns[i].permits
		}
	}
	return p.call
}

// sizeOf returns the size of a message in bytes.
func sizeOf(msg any) int {
	switch m := msg.(type) {
	case proto.Message:
		return proto.Size(m)
	case []byte:
		return len(m)
	case *[]byte:
		return len(*m)
	case interface{ Len() int }:
		return m.Len()
	default:
		return 0
	}
}
