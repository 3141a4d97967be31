package logging

// Bounds of what callers have a hand in, in bytes.
const (
	maxName = 256  // of a service, a method, a peer, a reason
	maxText = 4096 // of an error, and of state that is a string
)
