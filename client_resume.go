package hauberk

import "errors"

// CanResume reports whether [Call.Resume] can continue a response stream on a client, after next
// has returned an error.
func (c *Call) CanResume() bool {
	var rejection *Rejection
	s, ok := c.end.(*clientStream)
	return ok && c.kind == ServerStream && c.copyOf == nil && !c.nexts.over() && c.last != nil &&
		c.leg.broken() == nil && !errors.As(c.last, &rejection) && s.canResume(c.nexts.depth())
}

// Resume makes the following next continue a response stream that has ended with an error, also
// after the application has received messages of it. Call it between two calls of next, for a
// method with one request and server streaming. request is what the next attempt sends in place of
// the request: inner interceptors see it, outer ones do not. It must be of the same type, and must
// not be modified afterwards. It has to ask for the messages after those that the hooks of this
// interceptor have received: the application receives the messages of the next attempt after them.
// Those of an attempt after which next was called again without Resume do not count: they were not
// delivered.
//
// This interceptor and inner ones can make further attempts with request until the application has
// received a message or the header of one. Outer ones cannot. The header and the trailer of the call
// are those of the last attempt. The context of the stream that the application has asked for before
// is that of the attempt that ended.
//
// A call cannot be continued if concurrent attempts were made, and inside of FromClient, whose
// interceptor owns the stream.
//
// Resume returns INTERNAL if the stream cannot be continued: see [Call.CanResume].
func (c *Call) Resume(request any) error {
	if !c.CanResume() {
		return errInternal("Call.Resume: the call of %s cannot be continued", c.method.full)
	}
	if request == nil {
		return errInternal("Call.Resume: the request is nil")
	}
	s, _ := c.end.(*clientStream)
	s.resume(c, request)
	return nil
}

// resumedRequest returns the request of Resume that belongs to a leg, unless it was dropped. A leg that is not open
// has no host yet, and the goroutine of the chain owns it.
func (l *leg) resumedRequest() any {
	if l.host != nil {
		l.host.mu.Lock()
		defer l.host.mu.Unlock()
	}
	return l.resumed
}

// canResume reports whether nothing that the hooks at a place have seen is lost, and no attempt runs. Of concurrent
// attempts it is not known which one the messages are of.
func (s *clientStream) canResume(place int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requested && s.broken == nil && s.race == nil && s.current == nil && place >= s.lost && s.latest != nil
}

// resume lets the interceptor that runs attempt again with another request, also if the call is
// committed. The request belongs to its leg: what is outside keeps the one that it has seen.
func (s *clientStream) resume(c *Call, request any) {
	own := c.draft()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = false
	s.resumer = c.nexts.depth()
	own.resumed = request
}
