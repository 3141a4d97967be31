// Package connoptions reads options of a connection of grpc-go that have no accessor.
package connoptions

import (
	"reflect"
	"slices"

	"google.golang.org/grpc"
)

// Defaults returns those options of grpc.WithDefaultCallOptions(…) that interceptors compare with, or replace:
// the last call credentials, limits of messages and whether calls wait for ready. It returns nil if there are none.
//
// grpc-go applies the default options before the call's own options, and the last of a kind
// takes effect. It has no accessor for the default options. So credentials that
// an interceptor adds to a call replace the default ones, unless the interceptor reads them
// here and passes them on. This function reads the unexported field
// dopts.callOptions, which does not change after grpc.NewClient. If a release of
// grpc-go has no such field, the result is nil; TestDefaults fails then.
func Defaults(conn *grpc.ClientConn) []grpc.CallOption {
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
	var defaults []grpc.CallOption
	for i, o := range options {
		if !isDefault(o) {
			continue
		}
		if !slices.ContainsFunc(options[i+1:], func(later grpc.CallOption) bool {
			return reflect.TypeOf(later) == reflect.TypeOf(o)
		}) {
			defaults = append(defaults, o)
		}
	}
	return defaults
}

func isDefault(o grpc.CallOption) bool {
	switch o.(type) {
	case grpc.PerRPCCredsCallOption, grpc.FailFastCallOption,
		grpc.MaxSendMsgSizeCallOption, grpc.MaxRecvMsgSizeCallOption:
		return true
	default:
		return false
	}
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
