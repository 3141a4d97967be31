package callcreds_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
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

// grpc-go uses the credentials of the last option, which are the effective ones. Those that a
// Lasting requires stay in force.
func TestEffective(t *testing.T) {
	a, b := plain("a"), plain("b")
	x, y := lasting{plain: "x"}, lasting{plain: "y"}
	for _, c := range []struct {
		name  string
		creds []credentials.PerRPCCredentials
		want  credentials.PerRPCCredentials
	}{
		{"none", nil, nil},
		{"plain", []credentials.PerRPCCredentials{a, b}, b},
		{"lasting", []credentials.PerRPCCredentials{a, x}, x},
		{"replaced", []credentials.PerRPCCredentials{a, x, b}, lasting{"x", b}},
		{"replaced twice", []credentials.PerRPCCredentials{x, a, b}, lasting{"x", b}},
		{"two that last", []credentials.PerRPCCredentials{x, a, y}, y},
		{"the second is replaced", []credentials.PerRPCCredentials{x, y, a}, lasting{"y", a}},
	} {
		opts := make([]grpc.CallOption, 0, 16)
		for _, creds := range c.creds {
			opts = append(opts, grpc.PerRPCCredentials(creds), grpc.WaitForReady(true))
		}
		if got := callcreds.Effective(opts); got != c.want {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
		final, watch := callcreds.Watched(opts)
		if c.want == nil {
			if len(final) != len(opts) || watch != nil {
				t.Errorf("%s: %d options, Watch %v", c.name, len(final), watch)
			}
			continue
		}
		last, _ := final[len(final)-1].(grpc.PerRPCCredsCallOption)
		if got := callcreds.Unwatched(last.Creds); got != c.want {
			t.Errorf("%s: the last option has %v, want %v", c.name, got, c.want)
		}
		_, lasts := c.want.(callcreds.Lasting)
		if _, ok := last.Creds.(callcreds.Lasting); ok != lasts {
			t.Errorf("%s: the last option has a Lasting: %t", c.name, ok)
		}
		if spare := opts[:cap(opts)]; spare[len(opts)] != nil {
			t.Errorf("%s: the slice of the caller was written to", c.name)
		}
	}
}

// Credentials of which grpc-go gets nothing have failed. It checks afterwards what it gets.
func TestFailed(t *testing.T) {
	bad := func(md map[string]string) bool { return md["bad"] != "" }
	for _, c := range []struct {
		name string
		of   fake
		code codes.Code
		want bool
	}{
		{"not asked", fake{}, codes.Unavailable, false},
		{"failed", fake{asked: true, err: errors.New("down")}, codes.Unavailable, true},
		{"got nothing", fake{asked: true}, codes.Internal, false},
		{"got something", fake{asked: true, md: map[string]string{"good": "1"}}, codes.Internal, false},
		{"got what is invalid", fake{asked: true, md: map[string]string{"bad": "1"}}, codes.Internal, true},
		{"ended otherwise", fake{asked: true, md: map[string]string{"bad": "1"}}, codes.Unavailable, false},
		{"insecure connection", fake{requires: true}, codes.Unauthenticated, true},
		{"secure connection", fake{requires: true, asked: true}, codes.Unauthenticated, false},
	} {
		opts, watch := callcreds.Watched([]grpc.CallOption{grpc.PerRPCCredentials(c.of)})
		last, _ := opts[len(opts)-1].(grpc.PerRPCCredsCallOption)
		if c.of.requires != last.Creds.RequireTransportSecurity() {
			t.Errorf("%s: RequireTransportSecurity is %t", c.name, !c.of.requires)
		}
		if c.of.asked {
			_, _ = last.Creds.GetRequestMetadata(t.Context())
		}
		if got := watch.Failed(c.code, bad); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// fake are credentials with fixed answers.
type fake struct {
	requires, asked bool
	md              map[string]string
	err             error
}

func (f fake) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return f.md, f.err
}
func (f fake) RequireTransportSecurity() bool { return f.requires }
