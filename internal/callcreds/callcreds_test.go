package callcreds_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk/internal/callcreds"
)

// plain are credentials that do not last.
type plain string

func (plain) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, nil
}

func (plain) RequireTransportSecurity() bool { return false }

// lasting are credentials that last.
type lasting struct {
	plain

	own credentials.PerRPCCredentials
}

func (l lasting) With(others credentials.PerRPCCredentials) credentials.PerRPCCredentials {
	l.own = others
	return l
}

// grpc-go uses the credentials of the last option. Final adds one if these have replaced a
// Lasting, and changes nothing else.
func TestFinal(t *testing.T) {
	a, b := plain("a"), plain("b")
	x, y := lasting{plain: "x"}, lasting{plain: "y"}
	for _, c := range []struct {
		name  string
		creds []credentials.PerRPCCredentials
		want  credentials.PerRPCCredentials
		added bool
	}{
		{"none", nil, nil, false},
		{"plain", []credentials.PerRPCCredentials{a, b}, b, false},
		{"lasting", []credentials.PerRPCCredentials{a, x}, x, false},
		{"replaced", []credentials.PerRPCCredentials{a, x, b}, lasting{"x", b}, true},
		{"replaced twice", []credentials.PerRPCCredentials{x, a, b}, lasting{"x", b}, true},
		{"two that last", []credentials.PerRPCCredentials{x, a, y}, y, false},
		{"the second is replaced", []credentials.PerRPCCredentials{x, y, a}, lasting{"y", a}, true},
	} {
		opts := make([]grpc.CallOption, 0, 16)
		for _, creds := range c.creds {
			opts = append(opts, grpc.PerRPCCredentials(creds), grpc.WaitForReady(true))
		}
		if got, replaced := callcreds.Effective(opts); got != c.want || replaced != c.added {
			t.Errorf("%s: %v, %t; want %v, %t", c.name, got, replaced, c.want, c.added)
		}
		final := callcreds.Final(opts)
		if got := len(final) - len(opts); got != 0 != c.added {
			t.Errorf("%s: %d more options", c.name, got)
		}
		if c.added {
			if last, _ := final[len(final)-1].(grpc.PerRPCCredsCallOption); last.Creds != c.want {
				t.Errorf("%s: the last option has %v, want %v", c.name, last.Creds, c.want)
			}
		}
		if spare := opts[:cap(opts)]; spare[len(opts)] != nil {
			t.Errorf("%s: the slice of the caller was written to", c.name)
		}
	}
}
