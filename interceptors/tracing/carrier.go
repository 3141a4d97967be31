package tracing

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
)

const (
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
	headerBaggage     = "baggage"
)

// incoming is the carrier of a propagator for the request metadata of a call on a server. It applies
// the bounds of the configuration.
type incoming struct {
	ctx    context.Context //nolint:containedctx // the interface passes none; it is held while a propagator reads
	config *Config
}

// Get returns the value of a header, or "".
func (c *incoming) Get(key string) string {
	values := metadata.ValueFromIncomingContext(c.ctx, key)
	if len(values) == 0 {
		return ""
	}
	switch strings.ToLower(key) {
	case headerTraceParent:
		return single(values)
	case headerTraceState:
		return cutTraceState(join(values), c.config.MaxTraceState)
	case headerBaggage:
		return c.baggage(values)
	}
	if len(values[0]) > maxOtherHeader {
		return ""
	}
	return values[0]
}

// Values returns the value of Get. OpenTelemetry's propagator of baggage calls it.
func (c *incoming) Values(key string) []string {
	if value := c.Get(key); value != "" {
		return []string{value}
	}
	return nil
}

// Set does nothing: no propagator writes to incoming metadata.
func (*incoming) Set(string, string) {}

// Keys returns the names of all headers.
func (c *incoming) Keys() []string {
	md, _ := metadata.FromIncomingContext(c.ctx)
	return keys(md)
}

// single returns the value of a header that must occur once. Several values are ambiguous and count as
// none, as Trace Context specifies.
func single(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

func join(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ",")
}

func (c *incoming) baggage(values []string) string {
	if c.config.NoBaggage {
		return ""
	}
	text := join(values)
	if len(text) > c.config.MaxBaggageBytes {
		return ""
	}
	end := 0
	for range c.config.MaxBaggageMembers {
		at := strings.IndexByte(text[end:], ',')
		if at < 0 {
			return text
		}
		end += at + 1
	}
	return text[:end-1]
}

// Bounds of Trace Context for shortening a tracestate.
const (
	maxStateMember  = 128 // bytes; longer members are removed first
	maxStateMembers = 32
)

// cutTraceState shortens a tracestate to limit bytes and 32 members, according to section 3.3.1.5 of
// Trace Context: members of more than 128 bytes are removed first, then those at the end.
func cutTraceState(state string, limit int) string {
	if len(state) <= limit && strings.Count(state, ",") < maxStateMembers {
		return state
	}
	var kept strings.Builder
	members := 0
	for member := range strings.SplitSeq(state, ",") {
		if member = strings.Trim(member, " \t"); member == "" || len(member) > maxStateMember {
			continue
		}
		if members == maxStateMembers || kept.Len()+1+len(member) > limit && (members > 0 || len(member) > limit) {
			break
		}
		if members > 0 {
			kept.WriteByte(',')
		}
		kept.WriteString(member)
		members++
	}
	return kept.String()
}

// outgoing is the carrier of a propagator for the request metadata of a call on a client.
type outgoing metadata.MD

// Get returns the first value of a header, or "".
func (c outgoing) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set replaces all values of a header.
func (c outgoing) Set(key, value string) { c[strings.ToLower(key)] = []string{value} }

// Keys returns the names of all headers.
func (c outgoing) Keys() []string { return keys(metadata.MD(c)) }

func keys(md metadata.MD) []string {
	all := make([]string, 0, len(md))
	for key := range md {
		all = append(all, key)
	}
	return all
}
