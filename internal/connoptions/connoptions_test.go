package connoptions_test

import (
	"context"
	"reflect"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk/internal/connoptions"
)

type creds string

func (creds) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, nil
}

func (creds) RequireTransportSecurity() bool { return false }

// TestDefaults finds the options that grpc-go applies, which are the last of their kinds among the defaults. The
// test fails if a release of grpc-go stores them in another field.
func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []grpc.DialOption
		want    []grpc.CallOption
	}{
		{"none", nil, nil},
		{"other options", []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.UseCompressor("x"))}, nil},
		{"of the connection", []grpc.DialOption{grpc.WithPerRPCCredentials(creds("a"))}, nil},
		{
			"credentials",
			[]grpc.DialOption{grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(creds("a")))},
			[]grpc.CallOption{grpc.PerRPCCredentials(creds("a"))},
		},
		{"several", []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(creds("a")), grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(1)),
			grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(creds("b")), grpc.MaxCallSendMsgSize(2), grpc.MaxCallRecvMsgSize(3)),
		}, []grpc.CallOption{
			grpc.WaitForReady(true), grpc.PerRPCCredentials(creds("b")), grpc.MaxCallSendMsgSize(2), grpc.MaxCallRecvMsgSize(3),
		}},
	} {
		c.options = append(c.options, grpc.WithTransportCredentials(insecure.NewCredentials()))
		conn, err := grpc.NewClient("passthrough:///nowhere", c.options...)
		if err != nil {
			t.Fatal(err)
		}
		if got := connoptions.Defaults(conn); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := connoptions.Defaults(nil); got != nil {
		t.Errorf("no connection: %v", got)
	}
}

// TestRetriesDisabled fails if a release of grpc-go stores the option in another field.
func TestRetriesDisabled(t *testing.T) {
	for _, c := range []struct {
		options []grpc.DialOption
		want    bool
	}{{nil, false}, {[]grpc.DialOption{grpc.WithDisableRetry()}, true}} {
		c.options = append(c.options, grpc.WithTransportCredentials(insecure.NewCredentials()))
		conn, err := grpc.NewClient("passthrough:///nowhere", c.options...)
		if err != nil {
			t.Fatal(err)
		}
		if got := connoptions.RetriesDisabled(conn); got != c.want {
			t.Errorf("%t, want %t", got, c.want)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}
