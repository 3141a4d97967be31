package h2

// Left returns a channel that is closed when a client's connection can have no new streams any
// more: after GOAWAY, Drain or an error.
func (c *Conn) Left() <-chan struct{} { return c.gone }

// leave closes the channel. The caller holds the lock.
func (c *Conn) leave() {
	if !c.hasLeft {
		c.hasLeft = true
		close(c.gone)
	}
}
