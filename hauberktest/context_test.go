package hauberktest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// cart is a handler that uses its context in the ways that handlers do.
type cart struct{ added []string }

var errSignIn = hauberk.Reject(codes.Unauthenticated, "SIGN_IN", "sign in to fill a cart")

func (c *cart) add(ctx context.Context, item string) error {
	user := authn.User.Or(ctx, "")
	if user == "" {
		return errSignIn
	}
	logging.AddFields(ctx, slog.String("item", item))
	tenant := "none"
	if md, ok := metadata.FromIncomingContext(ctx); ok && len(md.Get("x-tenant")) > 0 {
		tenant = md.Get("x-tenant")[0]
	}
	c.added = append(c.added, fmt.Sprintf("%s/%s: %s (%s)", tenant, user, item, requestid.FromContext(ctx)))
	if err := grpc.SetTrailer(ctx, metadata.Pairs("cart-size", fmt.Sprint(len(c.added)))); err != nil {
		return err
	}
	return grpc.SetHeader(ctx, metadata.Pairs("cart-owner", user))
}

// A handler reads state, request id and metadata, adds fields to a log record that no one
// writes, and sets header and trailer.
func TestContext(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var transport hauberktest.TransportStream
	ctx := hauberktest.Context(t,
		hauberktest.State(authn.User, "alice"),
		hauberktest.State(requestid.Key, "r-1"),
		hauberktest.Metadata("x-tenant", "acme", "other", "1"),
		hauberktest.Metadata("other", "2"),
		hauberktest.Transport(&transport),
	)
	var c cart
	for _, item := range []string{"helmet", "gauntlet"} {
		if err := c.add(ctx, item); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(c.added, ", "); got != "acme/alice: helmet (r-1), acme/alice: gauntlet (r-1)" {
		t.Errorf("added %s", got)
	}
	if got := fmt.Sprint(transport.Header["cart-owner"], transport.Trailer["cart-size"]); got != "[alice] [2]" {
		t.Errorf("header and trailer %s", got)
	}
	if got := hauberk.FromContext(ctx).Metadata(ctx, "other"); fmt.Sprint(got) != "[1 2]" {
		t.Errorf("metadata %q", got)
	}
}

// By default there is no state and no metadata, and the peer and the method have names.
func TestContextDefaults(t *testing.T) {
	ctx := hauberktest.Context(t)
	if err := new(cart).add(ctx, "helmet"); !errors.Is(err, errSignIn) {
		t.Errorf("error %v, want a rejection", err)
	}
	call := hauberk.FromContext(ctx)
	if call.Side() != hauberk.ServerSide || call.Kind() != hauberk.Unary {
		t.Errorf("a %v %v call", call.Side(), call.Kind())
	}
	if method, _ := grpc.Method(ctx); method != testpb.TestService_Unary_FullMethodName || call.Method().FullName() != method {
		t.Errorf("method %q, %q", method, call.Method().FullName())
	}
	if p, ok := peer.FromContext(ctx); !ok || p.Addr.String() != "192.0.2.1:1234" {
		t.Errorf("peer %v", p)
	}
	if err := grpc.SetHeader(ctx, metadata.Pairs("a", "b")); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Error("the context has ended before the test")
	}
}

func TestContextMethod(t *testing.T) {
	for method, want := range map[string]hauberk.Kind{
		"/shop.v1.Cart/Add":                            hauberk.Unary, // no generated code
		testpb.TestService_Unary_FullMethodName:        hauberk.Unary,
		testpb.TestService_ClientStream_FullMethodName: hauberk.ClientStream,
		testpb.TestService_ServerStream_FullMethodName: hauberk.ServerStream,
		testpb.TestService_Bidi_FullMethodName:         hauberk.Bidi,
	} {
		t.Run(method, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			key := hauberk.NewKey[int]("n")
			ctx := hauberktest.Context(t, hauberktest.Method(method), hauberktest.State(key, 7))
			call := hauberk.FromContext(ctx)
			if call.Kind() != want || call.Method().FullName() != method {
				t.Errorf("%v call of %s, want %v", call.Kind(), call.Method().FullName(), want)
			}
			if name, _ := grpc.Method(ctx); name != method {
				t.Errorf("grpc.Method is %q", name)
			}
			if n := key.Or(ctx, 0); n != 7 {
				t.Errorf("state %d, want 7", n)
			}
		})
	}
}

// A streaming handler gets the context from its stream.
func TestContextOfStream(t *testing.T) {
	ctx := hauberktest.Context(t,
		hauberktest.Method(testpb.TestService_Bidi_FullMethodName), hauberktest.State(authn.User, "alice"))
	stream := &hauberktest.ServerStream{Ctx: ctx, Requests: 2}
	if user := authn.User.Or(stream.Context(), ""); user != "alice" {
		t.Errorf("user %q", user)
	}
}

func TestContextPeer(t *testing.T) {
	addr := &net.UnixAddr{Name: "/run/shop.sock", Net: "unix"}
	for _, p := range []*peer.Peer{{Addr: addr}, nil} {
		got, _ := peer.FromContext(hauberktest.Context(t, hauberktest.Peer(p)))
		if got != p {
			t.Errorf("peer %v, want %v", got, p)
		}
	}
}

// The program's own interceptors run before the handler. State takes precedence, and the code
// after next runs when the test ends.
func TestContextBehind(t *testing.T) {
	var log bytes.Buffer
	key := hauberk.NewKey[string]("tenant")
	tenant := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		key.Set(call, "acme")
		authn.User.Set(call, "bob")
		return next(ctx, call)
	})
	t.Run("handler", func(t *testing.T) {
		ctx := hauberktest.Context(t,
			hauberktest.State(authn.User, "alice"),
			hauberktest.Behind(
				requestid.New(requestid.Config{}),
				logging.New(logging.Config{}, logging.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))),
				tenant,
			),
			hauberktest.Metadata("x-request-id", "r-2"),
		)
		if err := new(cart).add(ctx, "helmet"); err != nil {
			t.Fatal(err)
		}
		got := []string{key.Or(ctx, ""), authn.User.Or(ctx, ""), requestid.FromContext(ctx)}
		if strings.Join(got, " ") != "acme alice r-2" {
			t.Errorf("state %q", got)
		}
		if log.Len() > 0 {
			t.Error("the call has ended before the test")
		}
	})
	if !strings.Contains(log.String(), "item=helmet") {
		t.Errorf("the log record has no field of the handler: %q", log.String())
	}
}

// Handlers that wait can be tested in fake time.
func TestContextInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(hauberktest.Context(t), 1e9)
		defer cancel()
		<-ctx.Done()
	})
}

// exampleT is the testing.T of an example.
type exampleT struct {
	testing.TB

	cleanups []func()
}

func (*exampleT) Helper()                  {}
func (*exampleT) Context() context.Context { return context.Background() }
func (t *exampleT) Cleanup(f func())       { t.cleanups = append(t.cleanups, f) }

// runAsTest runs a test within an example.
func runAsTest(test func(t testing.TB)) {
	var t exampleT
	test(&t)
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

// fatalT records the failure of a test and ends its goroutine.
type fatalT struct {
	testing.TB

	text string
}

func (t *fatalT) Helper() {}

func (t *fatalT) Fatalf(format string, args ...any) {
	t.text = fmt.Sprintf(format, args...)
	panic(t)
}

// Mistakes fail the test with a text that names them.
func TestContextMistakes(t *testing.T) {
	var none hauberk.Key[string]
	reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(codes.PermissionDenied, "NOT_YOURS", "the cart of another user")
	})
	for _, test := range []struct {
		name string
		opts []hauberktest.ContextOption
		want []string
	}{
		{"nil option", []hauberktest.ContextOption{hauberktest.Metadata(), nil}, []string{"option 2", "nil"}},
		{"odd metadata", []hauberktest.ContextOption{hauberktest.Metadata("key")}, []string{"Metadata", "pairs"}},
		{"method without a slash", []hauberktest.ContextOption{hauberktest.Method("Cart/Add")}, []string{"Cart/Add", "/package.Service/Method"}},
		{"method of one part", []hauberktest.ContextOption{hauberktest.Method("/Cart")}, []string{"/Cart", "/package.Service/Method"}},
		{"wrong interceptor", []hauberktest.ContextOption{hauberktest.Behind(nil)}, []string{"nil"}},
		{"rejection", []hauberktest.ContextOption{hauberktest.Behind(reject)}, []string{"did not reach the handler", "another user"}},
		{"zero key", []hauberktest.ContextOption{hauberktest.State(none, "x")}, []string{"did not reach the handler", "panicked", "NewKey"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			failed := &fatalT{TB: t}
			defer func() {
				if r := recover(); r != failed {
					t.Fatalf("%v, want a failure", r)
				}
				for _, want := range test.want {
					if !strings.Contains(failed.text, want) {
						t.Errorf("failed with %q, want %q in it", failed.text, want)
					}
				}
			}()
			hauberktest.Context(failed, test.opts...)
		})
	}
}

// Calls of all kinds end with OK for the interceptors of Behind, although t.Context is done
// by then.
func TestContextEndsWithOK(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		outcome := errors.New("next has not returned")
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.Context(t, hauberktest.Method(hauberktest.FullMethod(kind)),
				hauberktest.Behind(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					outcome = next(ctx, call)
					return outcome
				})))
		})
		if outcome != nil {
			t.Errorf("%v: the outcome is %v", kind, outcome)
		}
	}
}

// double is a testing.TB that ends only the goroutine, and keeps its cleanups.
type double struct {
	testing.TB

	texts    []string
	cleanups []func()
}

func (d *double) Fatalf(format string, args ...any) {
	d.Errorf(format, args...)
	runtime.Goexit()
}

func (d *double) Errorf(format string, args ...any) {
	d.texts = append(d.texts, fmt.Sprintf(format, args...))
}
func (d *double) Cleanup(f func()) { d.cleanups = append(d.cleanups, f) }

// Context does not wait for an interceptor that has ended its goroutine, as t.FailNow does.
func TestContextGoexit(t *testing.T) {
	for _, after := range []bool{false, true} {
		d := &double{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			hauberktest.Context(d, hauberktest.Behind(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if after {
					_ = next(ctx, call)
				}
				runtime.Goexit()
				return nil
			})))
		}()
		<-done
		for _, f := range d.cleanups {
			f()
		}
		if len(d.texts) != 1 || !strings.Contains(d.texts[0], "runtime.Goexit") {
			t.Errorf("after next %t: the test fails with %q", after, d.texts)
		}
	}
}
