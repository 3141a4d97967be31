// Package connoptions reads options of a connection of grpc-go that have no accessor.
package connoptions

import (
	"reflect"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Credentials returns the call credentials that conn adds to each call by default, those
// of grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(…)). It returns nil if there are none.
//
// grpc-go applies the default options before the call's own options, and the last
// credentials take effect. It has no accessor for the default options. So credentials that
// an interceptor adds to a call replace the default ones, unless the interceptor reads them
// here and passes them on. This function reads the unexported field
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

// RetriesDisabled reports whether conn was created with grpc.WithDisableRetry. It reads the
// unexported field dopts.disableRetry, which does not change after grpc.NewClient. If a release
// of grpc-go has no such field, the result is false; TestRetriesDisabled fails then.
func RetriesDisabled(conn *grpc.ClientConn) bool {
	dial := reflect.ValueOf(conn).Elem().FieldByName("dopts")
	if dial.Kind() != reflect.Struct {
		return false
	}
	field := dial.FieldByName("disableRetry")
	return field.Kind() == reflect.Bool && field.Bool()
}
