package callkey

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hauberk-rpc/hauberk"
)

// Request returns a value of the requests of calls. [FromRequest] makes a Key of it. Package field has
// one. Its methods must be safe for concurrent use.
type Request interface {
	// Of returns the value of the first request. It may wait for the request.
	Of(ctx context.Context, call *hauberk.Call) (value string, ok bool)
	// OfMessage returns the value of one request, for keys of messages. It must not change or keep the
	// request.
	OfMessage(msg any) (value string, ok bool)
	// Invalid returns what is wrong with it for methods, for [hauberk.Declaration.Invalid].
	Invalid(methods []*hauberk.Method) []string
}

// FromRequest puts the calls together whose first request has the same value. name is the kind of value, as
// for [Func]. Applications use package field.
//
// With perMessage the key is of messages: those with the same value are together, whichever calls they
// belong to. Interceptors that count calls only reject it.
//
// reads lists the state that request reads, for the order proof.
func FromRequest(name string, request Request, perMessage bool, reads ...hauberk.StateKey) Key {
	if request == nil {
		return Failed(name, fmt.Errorf("callkey.FromRequest %.100q was given a nil Request", name))
	}
	k := Func(name, request.Of, reads...)
	k.parts[0].request, k.parts[0].perMessage, k.perMessage = request, perMessage, perMessage
	return k
}

// PerMessage reports whether the key is of messages: see [FromRequest].
func (k *Key) PerMessage() bool { return k.perMessage }

// checkMix returns an error for a key of messages that has a value of the first request too, which cannot be
// read when messages are counted.
func (k *Key) checkMix() error {
	ofCalls := func(p part) bool { return p.request != nil && !p.perMessage }
	if k.perMessage && slices.ContainsFunc(k.parts, ofCalls) {
		return errors.New("callkey.All was given a key of messages and one of the first request; " +
			"want keys of messages for both")
	}
	return nil
}

// CheckCalls returns [Key.Err], or an error for a key of messages, for interceptors that count calls only.
func (k *Key) CheckCalls() error {
	if k.err == nil && k.perMessage {
		return fmt.Errorf("the key %q is of messages, and calls are counted; want one of calls", k.name)
	}
	return k.err
}

// Invalid returns what is wrong with the key for methods, each with the setting that the key is the value of,
// such as "ratelimit.Config.By". It is for [hauberk.Declaration.Invalid].
func (k *Key) Invalid(setting string, methods []*hauberk.Method) (all []string) {
	for i := range k.parts {
		if r := k.parts[i].request; r != nil {
			for _, text := range r.Invalid(methods) {
				all = append(all, setting+": "+text)
			}
		}
	}
	return all
}

// AppendMessageOrPeer is [Key.AppendOrPeer] for one request of a call: values of requests are those of msg.
func (k *Key) AppendMessageOrPeer(
	ctx context.Context, call *hauberk.Call, msg any, dst []byte,
) (key []byte, peer bool) {
	if key, ok := k.append(ctx, call, msg, dst); ok {
		return key, k.IsPeer()
	}
	return ofHost.append(call, dst), true
}
