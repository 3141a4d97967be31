package hauberk

// Receiving reports whether this side waits for the other to send: on a client the application
// is blocked on a stream for a message, the header or an attempt, and on a server the request is
// being read, or the handler is blocked in the Recv of its stream. A unary call on a client always
// waits. On a server it returns true only if an interceptor called [Call.CountMessages] before next.
// Safe for concurrent use.
func (c *Call) Receiving() bool {
	switch end := c.end.(type) {
	case *clientStream:
		return end.isReceiving()
	case *serverStream:
		return end.receiving.Load() > 0
	case *serverUnary:
		return end.receiving.Load()
	default:
		return c.side == ClientSide
	}
}

// Sending reports whether a stream is blocked in sending a message, or has only begun to: on a
// client that of the application, on a server that of the handler. It returns false for unary
// calls, and for the one response of a method without server streaming, which is sent once the chain
// has returned. Safe for concurrent use.
func (c *Call) Sending() bool {
	switch end := c.end.(type) {
	case *clientStream:
		return end.isSending()
	case *serverStream:
		return end.isSending()
	default:
		return false
	}
}

// isReceiving reports whether an operation of the application waits for the server.
func (s *clientStream) isReceiving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting > 0 || s.receiving
}

// isSending reports whether a message is being sent on the transport.
func (s *clientStream) isSending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.current.sending
}

// isSending reports whether a message is being sent on the transport.
func (s *serverStream) isSending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sending
}
