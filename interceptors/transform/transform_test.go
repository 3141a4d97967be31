package transform_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// own returns the metadata of the test, whose keys start with "x-".
func own(md metadata.MD) metadata.MD {
	md = md.Copy()
	maps.DeleteFunc(md, func(key string, _ []string) bool { return !strings.HasPrefix(key, "x-") })
	return md
}

func equalMD(a, b metadata.MD) bool { return maps.EqualFunc(a, b, slices.Equal) }

// arriving is a backend that keeps the metadata that its handler received.
func arriving(md *metadata.MD) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		in, _ := metadata.FromIncomingContext(ctx)
		*md = own(in)
		return hauberktest.Echo(ctx, s)
	}}
}

// each runs a test for the cells for which where returns true, and checks after each that
// no goroutine is left.
func each(t *testing.T, where func(c hauberktest.Case) bool, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	for _, c := range hauberktest.Cases() {
		if where(c) {
			t.Run(c.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				test(t, c)
			})
		}
	}
}

func onServer(c hauberktest.Case) bool { return c.Side == hauberk.ServerSide }
func onClient(c hauberktest.Case) bool { return c.Side == hauberk.ClientSide }

func wantStatus(t *testing.T, err error, code codes.Code, message string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != code || st.Message() != message {
		t.Errorf("%s, %q; want %s, %q", st.Code(), st.Message(), code, message)
	}
}

func TestRequestMetadata(t *testing.T) {
	given := metadata.MD{"x-keep": {"1"}, "x-drop": {"1"}, "x-replace": {"old"}, "x-multi": {"a"}}
	tests := []struct {
		name   string
		change transform.Metadata
		want   metadata.MD
	}{
		{"nothing", transform.Metadata{}, given},
		{
			"added",
			transform.Metadata{Add: metadata.MD{"X-Multi": {"b", "c"}, "x-raw-bin": {"\x00\xff\x10"}, "x-new": {""}}},
			metadata.MD{
				"x-keep": {"1"}, "x-drop": {"1"}, "x-replace": {"old"},
				"x-multi": {"a", "b", "c"}, "x-raw-bin": {"\x00\xff\x10"}, "x-new": {""},
			},
		},
		{
			"all at once",
			transform.Metadata{
				Rename: map[string]string{"X-Keep": "x-kept", "x-none": "x-nothing"},
				Remove: []string{"X-Drop", "x-absent"},
				Set:    metadata.MD{"x-replace": {"new", "newer"}},
				Add:    metadata.MD{"x-replace": {"newest"}, "x-multi": {"b"}},
			},
			metadata.MD{"x-kept": {"1"}, "x-replace": {"new", "newer", "newest"}, "x-multi": {"a", "b"}},
		},
		{
			"swapped",
			transform.Metadata{Rename: map[string]string{"x-keep": "x-multi", "x-multi": "x-keep"}},
			metadata.MD{"x-keep": {"a"}, "x-multi": {"1"}, "x-drop": {"1"}, "x-replace": {"old"}},
		},
		{
			"joined",
			transform.Metadata{Rename: map[string]string{"x-replace": "x-multi", "x-keep": "x-multi"}},
			metadata.MD{"x-multi": {"a", "1", "old"}, "x-drop": {"1"}},
		},
		{
			"removed after a rename, set after a removal",
			transform.Metadata{
				Rename: map[string]string{"x-keep": "x-drop"},
				Remove: []string{"x-drop", "x-multi", "x-replace"}, Set: metadata.MD{"x-drop": {"2"}},
			},
			metadata.MD{"x-drop": {"2"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var found metadata.MD
				env := c.StartWith(t, arriving(&found), transform.New(transform.Config{Metadata: test.change}))
				for range 2 { // nothing of the first call is left in the second
					if out := env.Call(metadata.NewOutgoingContext(t.Context(), given)); out.Err != nil {
						t.Fatal(out.Err)
					}
					if !equalMD(found, test.want) {
						t.Errorf("the handler received %v; want %v", found, test.want)
					}
				}
			})
		})
	}
}

func TestRequestMetadataOfNone(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var found metadata.MD
		x := transform.New(transform.Config{Metadata: transform.Metadata{Set: metadata.MD{"x-a": {"1"}}}})
		if out := c.StartWith(t, arriving(&found), x).Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		if want := (metadata.MD{"x-a": {"1"}}); !equalMD(found, want) {
			t.Errorf("the handler received %v; want %v", found, want)
		}
	})
}

// The caller may modify the maps of a Config after New.
func TestConfigIsCopied(t *testing.T) {
	values := []string{"1"}
	config := transform.Config{Metadata: transform.Metadata{Set: metadata.MD{"x-a": values}, Remove: []string{"x-b"}}}
	x := transform.New(config)
	values[0], config.Metadata.Remove[0] = "2", "x-a"
	config.Metadata.Set["x-c"] = values
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var found metadata.MD
		out := c.StartWith(t, arriving(&found), x).Call(metadata.AppendToOutgoingContext(t.Context(), "x-b", "1"))
		if want := (metadata.MD{"x-a": {"1"}}); out.Err != nil || !equalMD(found, want) {
			t.Errorf("%v, the handler received %v; want %v", out.Err, found, want)
		}
	})
}

// Headers and trailers of interceptors and the handler are merged, outer first, also in
// failed calls.
func TestResponseMetadata(t *testing.T) {
	layer := func(value string) hauberk.Interceptor {
		return transform.New(transform.Config{
			Header: metadata.MD{"X-H": {value}}, Trailer: metadata.MD{"x-t": {value}, "x-t-bin": {"\x00" + value}},
		})
	}
	for _, fails := range []error{nil, status.Error(codes.Aborted, "e")} {
		each(t, onServer, func(t *testing.T, c hauberktest.Case) {
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				_ = s.SetHeader(metadata.Pairs("x-h", "handler"))
				s.SetTrailer(metadata.Pairs("x-t", "handler"))
				if fails != nil {
					return fails
				}
				return hauberktest.Echo(ctx, s)
			}}
			out := c.StartWith(t, backend, layer("outer"), layer("inner")).Call(t.Context())
			if status.Code(out.Err) != status.Code(fails) {
				t.Errorf("%v; want %v", out.Err, fails)
			}
			if got, want := own(out.Header), (metadata.MD{"x-h": {"outer", "inner", "handler"}}); !equalMD(got, want) {
				t.Errorf("header %v; want %v", got, want)
			}
			want := metadata.MD{"x-t": {"outer", "inner", "handler"}, "x-t-bin": {"\x00outer", "\x00inner"}}
			if got := own(out.Trailer); !equalMD(got, want) {
				t.Errorf("trailer %v; want %v", got, want)
			}
		})
	}
}

// The call fails if its header has been sent before.
func TestHeaderTooLate(t *testing.T) {
	sent := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := grpc.SendHeader(ctx, nil); err != nil {
			return err
		}
		return next(ctx, call)
	})
	each(t, onServer, func(t *testing.T, c hauberktest.Case) {
		x := transform.New(transform.Config{Header: metadata.MD{"x-h": {"1"}}})
		if out := c.Start(t, sent, x).Call(t.Context()); status.Code(out.Err) == codes.OK {
			t.Error("the call is OK; want an error")
		}
	})
}

// recorder keeps the compression of the headers that one end of a connection receives.
type recorder struct {
	mu          sync.Mutex
	compression string
}

func (r *recorder) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (r *recorder) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (r *recorder) HandleConn(context.Context, stats.ConnStats)                       {}

func (r *recorder) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InHeader); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.compression = in.Compression
	}
}

func TestCompressor(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var seen recorder
		chain := hauberk.Must(hauberk.New(transform.New(transform.Config{Compressor: gzip.Name})))
		setup := hauberktest.Setup{Kind: c.Kind}
		if c.Side == hauberk.ServerSide {
			setup.Server = chain
			setup.DialOptions = []grpc.DialOption{grpc.WithStatsHandler(&seen)}
		} else {
			setup.Client = chain
			setup.ServerOptions = []grpc.ServerOption{grpc.StatsHandler(&seen)}
		}
		if out := hauberktest.Start(t, setup).Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if seen.compression != gzip.Name {
			t.Errorf("the other end received compression %q; want %q", seen.compression, gzip.Name)
		}
	})
}

func TestMethod(t *testing.T) {
	each(t, onClient, func(t *testing.T, c hauberktest.Case) {
		var inner string
		x := transform.New(transform.Config{Method: hauberktest.FullMethod(c.Kind)})
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			inner = call.Method().FullName()
			return next(ctx, call)
		})
		out := c.Start(t, x, interceptor).Do(t.Context(), "/none.Such/Method", []*testpb.Request{{Text: "a"}})
		if out.Err != nil || !slices.Equal(out.Texts(), []string{"echo:a"}) {
			t.Errorf("%q, %v; want the answer of the other method", out.Texts(), out.Err)
		}
		if inner != hauberktest.FullMethod(c.Kind) {
			t.Errorf("an inner interceptor received the method %s; want %s", inner, hauberktest.FullMethod(c.Kind))
		}
	})
}

type apiKey string

func (k apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"x-api-key": string(k)}, nil
}

func (apiKey) RequireTransportSecurity() bool { return false }

func TestCredentials(t *testing.T) {
	each(t, onClient, func(t *testing.T, c hauberktest.Case) {
		var found metadata.MD
		env := c.StartWith(t, arriving(&found), transform.New(transform.Config{}, transform.WithCredentials(apiKey("k"))))
		out := env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{{}}, grpc.PerRPCCredentials(apiKey("mine")))
		if want := (metadata.MD{"x-api-key": {"k"}}); out.Err != nil || !equalMD(found, want) {
			t.Errorf("%v, the handler received %v; want %v", out.Err, found, want)
		}
	})
}

func TestCallOptions(t *testing.T) {
	each(t, onClient, func(t *testing.T, c hauberktest.Case) {
		x := transform.New(transform.Config{}, transform.WithCallOptions(grpc.MaxCallRecvMsgSize(1)))
		if out := c.Start(t, x).Call(t.Context()); status.Code(out.Err) != codes.ResourceExhausted {
			t.Errorf("%v; want %s", out.Err, codes.ResourceExhausted)
		}
	})
}

func TestStatuses(t *testing.T) {
	rejected := errors.New("why")
	failing := func(code codes.Code, message string) error {
		st, err := status.New(code, message).WithDetails(&errdetails.Help{})
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}
	x := transform.New(transform.Config{Statuses: []transform.Status{
		{From: codes.NotFound, To: codes.PermissionDenied, Message: "hidden"},
		{From: codes.Aborted, To: codes.FailedPrecondition, KeepMessage: true, KeepDetails: true},
		{From: codes.DataLoss, To: codes.Internal},
		{From: codes.PermissionDenied, To: codes.Unavailable, Message: "not reached from NOT_FOUND"},
		{From: codes.Canceled, To: codes.Unavailable, Message: "gone"},
	}})
	tests := []struct {
		err     error
		code    codes.Code
		message string
		details int
	}{
		{nil, codes.OK, "", 0},
		{failing(codes.NotFound, "user 42"), codes.PermissionDenied, "hidden", 0},
		{failing(codes.Aborted, "again"), codes.FailedPrecondition, "again", 1},
		{failing(codes.DataLoss, "disk"), codes.Internal, "", 0},
		{failing(codes.OutOfRange, "kept"), codes.OutOfRange, "kept", 1},
		{&hauberk.Rejection{Code: codes.NotFound, Reason: "NO", Message: "no", Cause: rejected}, codes.PermissionDenied, "hidden", 0},
		{context.Canceled, codes.Unavailable, "gone", 0},
	}
	for _, test := range tests {
		hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
			var seen error
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				seen = next(ctx, call)
				return seen
			})
			inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if test.err != nil {
					return test.err
				}
				return next(ctx, call)
			})
			out := c.Start(t, outer, x, inner).Call(t.Context())
			wantStatus(t, out.Err, test.code, test.message)
			if got := len(status.Convert(out.Err).Details()); got != test.details {
				t.Errorf("%d details; want %d", got, test.details)
			}
			if !errors.Is(seen, test.err) {
				t.Errorf("an outer interceptor received %v; want an error that wraps %v", seen, test.err)
			}
		})
	}
}

// On both sides the messages before an error are delivered if its status is replaced.
func TestStatusAfterMessages(t *testing.T) {
	x := transform.New(transform.Config{Statuses: []transform.Status{{From: codes.NotFound, To: codes.Aborted, Message: "m"}}})
	streams := func(c hauberktest.Case) bool { return c.Kind.ServerStreams() }
	each(t, streams, func(t *testing.T, c hauberktest.Case) {
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			_ = s.Send(&testpb.Response{Text: "first"})
			return status.Error(codes.NotFound, "x")
		}}
		out := c.StartWith(t, backend, x).Call(t.Context())
		wantStatus(t, out.Err, codes.Aborted, "m")
		if !slices.Equal(out.Texts(), []string{"first"}) {
			t.Errorf("responses %q; want the first", out.Texts())
		}
	})
}

// The zero value modifies nothing.
func TestZero(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var found metadata.MD
		out := c.StartWith(t, arriving(&found), transform.New(transform.Config{})).Call(t.Context(), "a")
		if out.Err != nil || !slices.Equal(out.Texts(), []string{"echo:a"}) || len(found) > 0 {
			t.Errorf("%q, %v, metadata %v; want an echo and none", out.Texts(), out.Err, found)
		}
	})
}
