package main

import (
	"reflect"
	"testing"

	"google.golang.org/grpc"
)

// TestSameServerOptions: the rivals' servers have the options of a chain's server, except
// for interceptors.
func TestSameServerOptions(t *testing.T) {
	own := optionsOf(t, grpc.NewServer(chainOf().ServerOptions()...))
	bare := optionsOf(t, grpc.NewServer(hauberkOptions()...))
	fields := 0
	for i := range own.NumField() {
		name := own.Type().Field(i).Name
		switch a, b := own.Field(i), bare.Field(i); {
		case a.CanInt(), a.CanUint(), a.Kind() == reflect.Bool:
			fields++
			if !a.Equal(b) {
				t.Errorf("%s is %v on a chain's server, %v on a rival's", name, a, b)
			}
		case name == "statsHandlers":
			if a.Len() != b.Len() {
				t.Errorf("%d stats handlers on a chain's server, %d on a rival's", a.Len(), b.Len())
			}
		}
	}
	if !own.FieldByName("numServerWorkers").IsValid() || fields < 5 {
		t.Errorf("%d options are compared; grpc-go keeps them elsewhere now", fields)
	}
}

// optionsOf reads the fields of grpc-go's server, since it has no method for them.
func optionsOf(t *testing.T, srv *grpc.Server) reflect.Value {
	t.Helper()
	options := reflect.ValueOf(srv).Elem().FieldByName("opts")
	if options.Kind() != reflect.Struct {
		t.Fatal("grpc-go's server has no options any more")
	}
	return options
}
