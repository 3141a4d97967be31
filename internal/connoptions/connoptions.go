// Package connoptions reads the default call options of a connection of grpc-go.
package connoptions

import (
	"reflect"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Credentials returns the call credentials that conn adds to each call by default, those
// of grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(…)); nil if there are none.
//
// grpc-go applies default options before a call's own, of which the last counts, and
// has no accessor for them. So credentials that an interceptor adds to a call replace
// them, unless it can find them here and pass them on. This reads the unexported field
// dopts.callOptions, which does not change after grpc.NewClient. If a release of
// grpc-go has no such field, the result is nil; TestCredentials fails then.
func Credentials(conn *grpc.ClientConn) credentials.PerRPCCredentials {
	if conn == nil {
		return nil
	}
	dial := reflect.ValueOf(conn).Elem().FieldByName("dopts")
	if dial.Kind() != reflect.Struct {
		return nil
	}
	field := dial.FieldByName("callOptions")
	if !field.IsValid() || field.Type() != reflect.TypeFor[[]grpc.CallOption]() {
		return nil
	}
	readable := reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
	options, _ := reflect.TypeAssert[[]grpc.CallOption](readable)
	var creds credentials.PerRPCCredentials
	for _, o := range options {
		if o, ok := o.(grpc.PerRPCCredsCallOption); ok {
			creds = o.Creds
		}
	}
	return creds
}
