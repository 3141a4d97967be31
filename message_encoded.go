package hauberk

import "google.golang.org/protobuf/proto"

// encoded is a message of protobuf that keeps the bytes that it was received as, so that it can be sent as those, such
// as one that package gateway has decoded.
type encoded interface {
	proto.Message
	// NewMessage returns an empty message of the same type.
	NewMessage() any
	// CloneMessage returns a copy with the bytes.
	CloneMessage() any
	// SetMessage makes the message that of another one, with its bytes. It returns false if that has another type.
	SetMessage(from any) bool
}
