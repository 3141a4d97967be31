package tracing

import (
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
)

// EventDecision is the name of the event for a verdict of a deciding interceptor.
// Its attributes are hauberk.interceptor, hauberk.verdict ("allowed" or "rejected"),
// hauberk.shadow, and if there are any hauberk.reason and hauberk.rule.
const EventDecision = "hauberk.decision"

// EventMessage is the name of the event for a message, with rpc.message.type
// ("SENT" or "RECEIVED") and rpc.message.id, which counts each from 1. The semantic
// conventions have dropped it since, with nothing in its place.
const EventMessage = "rpc.message"

// tellDecisions adds an event for each decision of inner interceptors, in their
// order.
func (s *span) tellDecisions(call *hauberk.Call) {
	decisions := call.Decisions().All()
	if len(decisions) <= s.outer {
		return
	}
	earlier := slices.Clone(call.Decisions().Recorded()[:s.before])
	told := 0
	for i := s.outer; i < len(decisions) && told < maxDecisions; i++ {
		if at := slices.Index(earlier, decisions[i]); at >= 0 {
			earlier = slices.Delete(earlier, at, at+1) // an earlier attempt's
			continue
		}
		s.AddEvent(EventDecision, trace.WithAttributes(attributesOf(&decisions[i])...))
		told++
	}
}

func attributesOf(d *hauberk.Decision) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("hauberk.interceptor", clean(d.Interceptor, maxName)),
		attribute.String("hauberk.verdict", d.Verdict.String()),
		attribute.Bool("hauberk.shadow", d.Shadow),
	}
	if d.Reason != "" {
		attrs = append(attrs, attribute.String("hauberk.reason", clean(d.Reason, maxReason)))
	}
	if d.Rule != "" {
		attrs = append(attrs, attribute.String("hauberk.rule", clean(d.Rule, maxName)))
	}
	return attrs
}

// watch adds an event for each message.
func (s *span) watch(call *hauberk.Call) {
	var sent, received atomic.Int64
	call.OnSend(func(msg any, emit func(any) error) error {
		err := emit(msg)
		if err == nil {
			s.tellMessage("SENT", sent.Add(1))
		}
		return err
	})
	call.OnReceive(func(any) (keep bool, err error) {
		s.tellMessage("RECEIVED", received.Add(1))
		return true, nil
	})
}

func (s *span) tellMessage(what string, n int64) {
	s.AddEvent(EventMessage, trace.WithAttributes(
		attribute.String("rpc.message.type", what), attribute.Int64("rpc.message.id", n)))
}
