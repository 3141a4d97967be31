package hauberk

// Plain reports whether messages pass between the handler and the transport without a hook or
// an interceptor of grpc-go in between, so that receiving one takes no longer than the
// transport does. It does not change while the handler runs. Package gateway asks for it before it uses
// the stream, on the goroutine of the handler.
func (s *serverStream) Plain() bool {
	for l := s.inmost; l != nil; l = l.outer {
		if len(l.send) > 0 || len(l.receive) > 0 || l.foreign != nil {
			return false
		}
	}
	return s.ahead == nil && s.readErr == nil && !s.awaited
}

// Await adds n to the number of receives that wait for a message. Package gateway uses it while it
// waits for one without a call of RecvMsg, so that [Call.Receiving] reports that.
func (s *serverStream) Await(n int32) {
	if s.call.counts {
		s.receiving.Add(n)
	}
}

// Forward sends messages to the transport with send, which returns their number. Package gateway
// uses it if Plain reports true.
func (s *serverStream) Forward(send func() (messages int, err error)) error {
	if s.returned.Load() {
		return errReturned()
	}
	return s.guarded(func() error {
		if s.method.unguarded {
			return s.call.errUnguarded()
		}
		if err := s.inmost.broken(); err != nil {
			return err
		}
		s.call.headerDue()
		s.startSending()
		defer s.stopSending()
		n, err := send()
		s.call.sent.Add(int64(n))
		return err
	})
}
