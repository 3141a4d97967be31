// Package unknownhandler finds the grpc.UnknownServiceHandler of a server of grpc-go.
package unknownhandler

import (
	"reflect"

	"google.golang.org/grpc"
)

// Of returns the code pointer of the handler of unknown services that a server has, or 0 if
// it has none.
//
// grpc-go has no accessor for its options. This function reads the unexported field
// opts.unknownStreamDesc, which does not change after grpc.NewServer. If a release of
// grpc-go has no such field, the result is 0; TestOf fails then.
func Of(srv *grpc.Server) uintptr {
	if srv == nil {
		return 0
	}
	opts := reflect.ValueOf(srv).Elem().FieldByName("opts")
	if opts.Kind() != reflect.Struct {
		return 0
	}
	desc := opts.FieldByName("unknownStreamDesc")
	if desc.Kind() != reflect.Pointer || desc.Type() != reflect.TypeFor[*grpc.StreamDesc]() || desc.IsNil() {
		return 0
	}
	return desc.Elem().FieldByName("Handler").Pointer()
}

// Pointer returns the code pointer of a handler, which is the same for all values of a
// method.
func Pointer(handler grpc.StreamHandler) uintptr { return reflect.ValueOf(handler).Pointer() }
