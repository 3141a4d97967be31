package idempotencyredis

// Config holds the settings of [New]. Name must be set.
type Config struct {
	// Name is part of every key. Services that share a server have different names; the nodes of
	// a service have the same.
	Name string
}
