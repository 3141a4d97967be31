package tracing

import (
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
)

// EventDecision is the name of the event for a decision of an interceptor. Its attributes are
// hauberk.interceptor, hauberk.verdict ("allowed" or "rejected"), hauberk.shadow and, if the decision
// has them, hauberk.reason and hauberk.rule.
const EventDecision = "hauberk.decision"

// EventMessage is the name of the event for a message. Its attributes are rpc.message.type ("SENT" or
// "RECEIVED") and rpc.message.id, which counts the messages of each type from 1. Newer semantic
// conventions have no such event.
const EventMessage = "rpc.message"

// addDecisions adds an event for each decision of inner interceptors, in their order.
func (s *span) addDecisions(call *hauberk.Call) {
	decisions := call.Decisions().All()
	if len(decisions) <= s.outer {
		return
	}
	earlier := slices.Clone(call.Decisions().Recorded()[:s.before])
	added := 0
	for i := s.outer; i < len(decisions) && added < maxDecisions; i++ {
		if at := slices.Index(earlier, decisions[i]); at >= 0 {
			earlier = slices.Delete(earlier, at, at+1) // of an earlier attempt
			continue
		}
		s.AddEvent(EventDecision, trace.WithAttributes(attributesOf(&decisions[i])...))
		added++
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

// watch registers hooks that add an event for each message.
func (s *span) watch(call *hauberk.Call) {
	var sent, received atomic.Int64
	call.OnSend(func(msg any, emit func(any) error) error {
		err := emit(msg)
		if err == nil {
			s.addMessage("SENT", sent.Add(1))
		}
		return err
	})
	call.OnReceive(func(any) (keep bool, err error) {
		s.addMessage("RECEIVED", received.Add(1))
		return true, nil
	})
}

func (s *span) addMessage(messageType string, n int64) {
	s.AddEvent(EventMessage, trace.WithAttributes(
		attribute.String("rpc.message.type", messageType), attribute.Int64("rpc.message.id", n)))
}
