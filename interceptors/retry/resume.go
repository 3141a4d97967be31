package retry

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
)

// ResumeFunc makes the request with which a broken response stream goes on. request is that of the
// attempt that has ended; it is a copy, which the function may change and return. last is the last
// message that the application receives of the attempts so far, or nil if there is none: the response
// to the new request must begin with the message after it. If the function returns an error, the
// stream is not resumed, and the call ends with the error of the last attempt, which then wraps the
// function's too. It runs on the goroutine of the chain, and must be safe for concurrent use.
type ResumeFunc func(method *hauberk.Method, request, last proto.Message) (proto.Message, error)

// WithResume resumes response streams that break: calls of methods with one request and server
// streaming that end with a retryable failure after messages were received. resume makes a new
// request from the last message, so that the application receives all messages, each once.
//
// Only methods that are retried at all are resumed: see the section Which calls of the package. After
// an attempt of which a message was received, the attempts count as for a new call. If it has run for
// [Config].MaxBackoff or longer, so do the backoff and the budget. Otherwise the backoff grows and the
// budget is used as for any retry: a server that fails after each first message is not called more
// often than one that fails before. The call is not resumed if an inner interceptor makes concurrent
// attempts, as in hedging, or if this interceptor runs inside of hauberk.FromClient.
// [Config].RetryAfterHeader has no effect on attempts that are resumed.
//
// Each message that is received costs a clone. The message must be protobuf.
//
// The application receives the trailer of the last attempt. It must not use the stream's context,
// which is that of one attempt.
func WithResume(resume ResumeFunc) Option {
	return option(func(r *Interceptor) {
		if resume == nil {
			r.err = errors.Join(r.err, errors.New("the function of WithResume is nil"))
		}
		r.resume = resume
	})
}

// resumption is what is known of a stream that may be resumed. Its hooks run while next does, so that
// they share it with the interceptor. A nil resumption is of a call that is not resumed.
type resumption struct {
	request any           // as it was sent last
	last    proto.Message // a clone of the last message
	first   proto.Message // what last was when the current request was first sent
	foreign bool          // a message was not protobuf
	got     bool          // the attempt has received a message
	began   time.Time     // the attempt
}

// newResumption registers the hooks for a call. Call it before next.
func newResumption(call *hauberk.Call) *resumption {
	p := &resumption{began: time.Now()}
	call.OnSend(func(msg any, emit func(any) error) error {
		p.request = msg
		return emit(msg)
	})
	call.OnReceive(func(msg any) (bool, error) {
		if m, ok := msg.(proto.Message); ok {
			p.last = proto.Clone(m)
		} else {
			p.foreign = true
		}
		p.got = true
		return true, nil
	})
	return p
}

// can reports whether the stream can be resumed after the attempt that has ended.
func (p *resumption) can(call *hauberk.Call) bool { return p != nil && !p.foreign && call.CanResume() }

// begin begins a further attempt. If the stream is not resumed with another request, what the last attempt has
// received was not delivered.
func (p *resumption) begin(resumed bool) {
	switch {
	case p == nil:
		return
	case resumed:
		p.first = p.last
	default:
		p.last = p.first
	}
	p.began = time.Now()
}

// progress reports whether the attempt that has ended has received a message that was delivered, which has
// committed the call, and whether it has also run for least: a server that sends one message and fails, each
// time, is one that fails.
func (p *resumption) progress(committed bool, least time.Duration) (got, long bool) {
	if p == nil || !p.got {
		return false, false
	}
	p.got = false
	return committed, committed && time.Since(p.began) >= least
}

// with resumes the stream with the request that f makes.
func (p *resumption) with(call *hauberk.Call, f ResumeFunc) error {
	request, ok := p.request.(proto.Message)
	if !ok {
		return fmt.Errorf("the request is of type %T; want protobuf", p.request)
	}
	made, err := f(call.Method(), proto.Clone(request), p.last)
	if err != nil {
		return err
	}
	switch {
	case made == nil || made.ProtoReflect().Descriptor() != request.ProtoReflect().Descriptor():
		return fmt.Errorf("the function has returned a request of type %T; want %T", made, request)
	case !made.ProtoReflect().IsValid():
		return fmt.Errorf("the function has returned a nil %T; want a request", made)
	}
	return call.Resume(made)
}
