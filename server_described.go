package hauberk

import "google.golang.org/protobuf/reflect/protoreflect"

// described is the implementation of a method whose messages are not those of generated code. Package gateway has one
// for the methods that the upstream is known to have, and for calls whose messages it decodes.
type described interface {
	// MethodDescriptor returns the descriptor of the method, or nil if it is not known.
	MethodDescriptor() protoreflect.MethodDescriptor
	// Known reports whether the server has the method. It is false for names that callers have invented.
	Known() bool
	// NewRequest returns a message to receive a request into, or the status of calls whose requests cannot be decoded.
	NewRequest() (any, error)
}

// methodName is how a stream interceptor knows a method.
type methodName struct {
	full string
	kind Kind
	desc protoreflect.MethodDescriptor // nil if it is that of generated code, or not known

	forwarded bool // see Method.forwarded
}

// isDescribed reports whether the implementation of a method is one of package gateway.
func isDescribed(srv any) bool {
	_, ok := srv.(described)
	return ok
}

// implemented reports whether there is an implementation of the method.
func implemented(srv any) bool {
	if d, ok := srv.(described); ok {
		return d.Known()
	}
	return srv != nil
}

// descriptorOf returns the descriptor that an implementation has, or nil.
func descriptorOf(srv any) protoreflect.MethodDescriptor {
	if d, ok := srv.(described); ok {
		return d.MethodDescriptor()
	}
	return nil
}
