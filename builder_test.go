package hauberk

import (
	"context"
	"testing"
)

// inRoot is an interceptor of this package.
type inRoot struct{}

func (*inRoot) Intercept(context.Context, *Call, Next) error { return nil }

func TestTypeName(t *testing.T) {
	for want, x := range map[string]Interceptor{
		"nil":                            nil,
		"func":                           Func(passOn),
		"hauberk":                        &inRoot{},
		`For("a.B/*")`:                   For("a.B/*"),
		"When":                           When(nil),
		"struct { hauberk.Interceptor }": struct{ Interceptor }{},
		"struct { *hauberk.inRoot }":     struct{ *inRoot }{},
	} {
		if got := typeName(x); got != want {
			t.Errorf("an interceptor of type %T is called %q, want %q", x, got, want)
		}
	}
}
