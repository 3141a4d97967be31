package hauberk

// partial is a message that the transport has not received completely, such as those of
// package gateway. It is forwarded as it is. What looks at messages needs all of it.
type partial interface {
	Partial() bool
	Load() error
}

// loadMessage receives the rest of a message.
func loadMessage(msg any) error {
	if m, ok := msg.(partial); ok && m.Partial() {
		return m.Load()
	}
	return nil
}
