package h2

import (
	"time"

	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// maxReplies is the largest number of replies that wait for the writer.
const maxReplies = 2000

// repliesTime is how long the reader waits for the writer when half of maxReplies wait.
const repliesTime = time.Second

// reply queues an answer to a frame of the peer. Only the reader calls it.
func (c *Conn) reply(f control) error {
	if c.replies >= maxReplies {
		return calm(limits.Replies, "too many frames that need an answer")
	}
	f.reply = true
	c.push(f)
	c.many = c.replies >= maxReplies/2
	return nil
}

// awaitReplies is called when many replies wait. It waits until the writer has encoded them, since the
// reader may be so much faster that a peer that reads would lose the connection. If the writer encodes
// none in time, since the peer does not read, the reader does not wait again until it has.
func (c *Conn) awaitReplies() {
	c.mu.Lock()
	c.many = c.replies >= maxReplies/2
	wait := c.many && !c.unread
	c.unread, c.crowded = c.many, wait
	c.mu.Unlock()
	if !wait {
		return
	}
	c.deliver() // what was read before
	timer := time.NewTimer(repliesTime)
	defer timer.Stop()
	select {
	case <-c.lessReplies:
	case <-timer.C:
		return
	case <-c.written:
	}
	c.unread = false
}

// encodedReplies wakes the reader if it waits and few replies are left. The caller holds the lock.
func (c *Conn) encodedReplies() {
	if c.crowded && c.replies < maxReplies/2 {
		c.crowded = false
		wake(c.lessReplies)
	}
}
