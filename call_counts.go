package hauberk

import "sync/atomic"

// counts are numbers of messages.
type counts struct{ sent, received atomic.Int64 }

// Sent returns how many messages this side has sent so far: on a client those of the
// current attempt, on a server all. Buffered responses count as sent. The request of a
// unary call on a client counts once the call is made, even if grpc-go does not send it.
// Safe for concurrent use if the sending side streams.
func (c *Call) Sent() int64 {
	if c.side == ServerSide && !c.kind.ServerStreams() {
		return oneIf(c.response != nil)
	}
	if c.side == ServerSide {
		return c.sent.Load() + c.replied()
	}
	return c.sent.Load()
}

// Received returns how many messages this side has received so far: on a client those of
// the current attempt, on a server all. In a unary call on a server the request counts if
// the call succeeded; the number is exact if an interceptor called [Call.CountMessages]
// before next. Safe for concurrent use if the receiving side streams.
func (c *Call) Received() int64 {
	if c.side == ClientSide && !c.kind.ServerStreams() {
		return max(c.received.Load(), oneIf(c.response != nil)) // a hook may have rejected it
	}
	if c.side == ClientSide {
		return c.received.Load() + c.replied()
	}
	return c.received.Load()
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// CountMessages makes [Call.Received] exact. Call it before next. It costs a unary call
// on a server one allocation, and other calls nothing.
func (c *Call) CountMessages() { c.counts = true }

// TotalSent returns how many messages this side has sent so far: on a client those of all attempts,
// also of concurrent ones that still run, and on a server [Call.Sent]. It never decreases. For the
// messages of an attempt, or of the call inside of an interceptor, subtract what it returned before
// next. Safe for concurrent use if the sending side streams.
func (c *Call) TotalSent() int64 {
	if c.side == ServerSide {
		return c.Sent()
	}
	c = c.counted()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Sent() + c.earlierCounts().sent.Load()
}

// TotalReceived is TotalSent for the messages that this side has received. In contrast to
// [Call.Received] an interceptor outside of a hedge or of a resumed stream sees each message when it
// is received. It decreases only if replies ([Call.Reply]) are discarded. Safe for concurrent use if
// the receiving side streams.
func (c *Call) TotalReceived() int64 {
	if c.side == ServerSide {
		return c.Received()
	}
	c = c.counted()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Received() + c.earlierCounts().received.Load()
}

// counted returns the call whose messages are counted: in a dry run the call itself.
func (c *Call) counted() *Call {
	if run := c.dryRun; run != nil {
		return run.call
	}
	return c
}

// earlierCounts returns the counts of attempts that have ended, or that run on copies.
func (c *Call) earlierCounts() *counts {
	if more := c.more.Load(); more != nil {
		return &more.earlier
	}
	return new(counts)
}

// countSent counts a message that an attempt on a client has sent. A call sees those of its copies;
// the stream inside of an adapter has separate attempts.
func (c *Call) countSent() {
	c.sent.Add(1)
	for p := c.copyOf; p != nil && p.end == c.end; p = p.copyOf {
		p.lazy().earlier.sent.Add(1)
	}
}

// countReceived is countSent for a message that was received.
func (c *Call) countReceived() {
	c.received.Add(1)
	for p := c.copyOf; p != nil && p.end == c.end; p = p.copyOf {
		p.lazy().earlier.received.Add(1)
	}
}

// countReplies takes the replies of a method with server streaming, and counts them as received.
func (c *Call) countReplies() []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	replies := c.takeReplies()
	c.received.Add(int64(len(replies)))
	return replies
}

// resetCounts begins the counts of another attempt.
func (c *Call) resetCounts() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setReplies(nil)
	c.setCounts(0, 0, 0, 0)
}

// adoptCounts makes the counts of an attempt those of the call.
func (c *Call) adoptCounts(attempt *Call) {
	sent, received := attempt.sent.Load(), attempt.received.Load()
	if c.side == ServerSide { // the request was received, also if no attempt was made
		received = max(received, c.received.Load())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if attempt.within(c) {
		c.setCounts(sent, received, sent, received)
		return
	}
	of := attempt.earlierCounts()
	c.setCounts(sent, received, -of.sent.Load(), -of.received.Load())
}

// setCounts sets the counts of the current attempt, of which the totals contain countedSent and
// countedReceived already. The lock is held.
func (c *Call) setCounts(sent, received, countedSent, countedReceived int64) {
	addSent, addReceived := c.sent.Load()-countedSent, c.received.Load()-countedReceived
	if addSent != 0 || addReceived != 0 {
		earlier := &c.lazy().earlier
		earlier.sent.Add(addSent)
		earlier.received.Add(addReceived)
	}
	c.sent.Store(sent)
	c.received.Store(received)
}
