package logging

// Limits of texts that callers influence, in bytes.
const (
	maxName = 256  // of a service, a method, a peer, a reason
	maxText = 4096 // of an error, and of state that is a string
)
