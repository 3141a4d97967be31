package audit

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// record returns what is known about a call.
func (x *Interceptor) record(call *hauberk.Call, c *running) Record {
	r := Record{Call: c.id, Side: call.Side().String(), Kind: call.Kind().String()}
	b := budget{room: x.config.MaxBytes}
	r.Method = b.name(strings.TrimPrefix(call.Method().FullName(), "/"))
	if p := call.Peer(); p != nil && p.Addr != nil {
		r.Peer = b.name(p.Addr.String())
	}
	if client := call.ClientAddr(); client.IsValid() {
		r.Client = client.String()
	}
	if id, _ := hauberk.IdentityKey.Get(call); id != nil {
		r.Who = Who{b.name(id.Subject), b.name(id.Issuer), b.name(id.Tenant), b.name(id.Method)}
	}
	for _, s := range x.states {
		if text, ok := s.Of.Get(call); ok {
			b.put(&r.State, s.Name, text, x.config.MaxValue)
		}
	}
	x.describeRequest(&r, &b, c)
	r.Decisions = b.decisions(call.Decisions().All())
	r.Cut = b.cut
	return r
}

func (x *Interceptor) describeRequest(r *Record, b *budget, c *running) {
	seen := c.request.Load()
	if seen == nil {
		return
	}
	b.cut = b.cut || seen.cut
	for _, key := range slices.Sorted(maps.Keys(seen.values)) {
		b.put(&r.Request, key, seen.values[key], x.config.MaxValue+len("…"))
	}
}

// panicked is an error of a call that panicked. That of package recovery is one.
type panicked interface {
	error

	PanicAt() string
}

// outcome adds the outcome of a call.
func (*Interceptor) outcome(r *Record, call *hauberk.Call, err error) {
	r.Code, r.Sent, r.Received = hauberk.CodeOf(err), call.Sent(), call.Received()
	if err == nil {
		return
	}
	r.Reason = logtext.Cut(hauberk.Reason(err), maxName)
	_, r.Panic = errors.AsType[panicked](err)
	r.Panic = r.Panic || errors.Is(err, hauberk.ErrUnwound)
}

// budget bounds the texts of a record.
type budget struct {
	room int // in bytes
	cut  bool
}

// name returns a text for a member that every record has.
func (b *budget) name(text string) string { return b.bounded(text, maxName) }

// bounded returns at most limit bytes of a text, and "…" after what was cut.
func (b *budget) bounded(text string, limit int) string {
	b.cut = b.cut || len(text) > limit
	return strings.ToValidUTF8(logtext.Cut(text, limit), "\uFFFD")
}

// put adds a text to a map, if there is room for the name.
func (b *budget) put(to *map[string]string, name, text string, limit int) {
	if b.room < len(name) {
		b.cut = true
		return
	}
	if *to == nil {
		*to = make(map[string]string)
	}
	b.room -= len(name)
	text = b.bounded(text, min(limit, b.room))
	b.room = max(0, b.room-len(text))
	(*to)[name] = text
}

// decisions returns the decisions for which there is room.
func (b *budget) decisions(list []hauberk.Decision) []hauberk.Decision {
	for i := range list {
		d := &list[i]
		d.Interceptor, d.Reason, d.Rule = b.name(d.Interceptor), b.name(d.Reason), b.name(d.Rule)
		b.room -= len(d.Interceptor) + len(d.Reason) + len(d.Rule)
		if i == maxDecisions || b.room < 0 {
			b.cut, b.room = true, 0
			return list[:i]
		}
	}
	return list
}
