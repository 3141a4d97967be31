package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// okError is an error whose status says OK, or, with none, nothing.
type okError struct{ st *status.Status }

func (okError) Error() string                { return "secret" }
func (e okError) GRPCStatus() *status.Status { return e.st }

// outcomes are errors of interceptors and handlers, and what becomes of them.
var outcomes = map[string]struct {
	err       error
	code      codes.Code
	inProcess string // the message that StatusOf has
	onTheWire string // the message that a chain sends
}{
	"status":         {status.Error(codes.NotFound, "gone"), codes.NotFound, "gone", "gone"},
	"status UNKNOWN": {status.Error(codes.Unknown, "odd"), codes.Unknown, "odd", "odd"},
	"wrapped status": {
		fmt.Errorf("secret: %w", status.Error(codes.NotFound, "gone")), codes.NotFound, "gone", "gone",
	},
	"twice wrapped status": {
		fmt.Errorf("a: %w", fmt.Errorf("b: %w", status.Error(codes.NotFound, "gone"))), codes.NotFound, "gone", "gone",
	},
	"cancelled":        {context.Canceled, codes.Canceled, "context canceled", "context canceled"},
	"deadline":         {context.DeadlineExceeded, codes.DeadlineExceeded, "context deadline exceeded", "context deadline exceeded"},
	"wrapped deadline": {fmt.Errorf("secret: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "secret: context deadline exceeded", "context deadline exceeded"},
	"wrapped cancelled": {
		fmt.Errorf("secret: %w", context.Canceled), codes.Canceled, "secret: context canceled", "context canceled",
	},
	"plain":              {errors.New("secret"), codes.Unknown, "secret", "unknown error"},
	"EOF":                {io.EOF, codes.Unknown, "EOF", "unknown error"},
	"status OK":          {okError{status.New(codes.OK, "fine")}, codes.Unknown, "secret", "unknown error"},
	"status nil":         {okError{}, codes.Unknown, "secret", "unknown error"},
	"joined":             {errors.Join(errors.New("secret"), status.Error(codes.NotFound, "gone")), codes.NotFound, "gone", "gone"},
	"joined, the first":  {errors.Join(status.Error(codes.NotFound, "gone"), status.Error(codes.Aborted, "no")), codes.NotFound, "gone", "gone"},
	"joined context":     {errors.Join(context.Canceled, status.Error(codes.NotFound, "gone")), codes.NotFound, "gone", "gone"},
	"joined plain":       {errors.Join(errors.New("secret"), errors.New("too")), codes.Unknown, "secret\ntoo", "unknown error"},
	"rejection":          {hauberk.Reject(codes.Unavailable, "OPEN", "open"), codes.Unavailable, "open", "open"},
	"superseded attempt": {hauberk.ErrSuperseded, codes.Canceled, "hauberk: another attempt's response was delivered", "hauberk: another attempt's response was delivered"},
}

func wantStatus(t *testing.T, st *status.Status, code codes.Code, message string) {
	t.Helper()
	if st.Code() != code || st.Message() != message {
		t.Errorf("status %s %q, want %s %q", st.Code(), st.Message(), code, message)
	}
}

func TestStatusOf(t *testing.T) {
	for name, o := range outcomes {
		t.Run(name, func(t *testing.T) {
			wantStatus(t, hauberk.StatusOf(o.err), o.code, o.inProcess)
			if got := hauberk.CodeOf(o.err); got != o.code {
				t.Errorf("CodeOf is %s, want %s", got, o.code)
			}
		})
	}
	if got := hauberk.CodeOf(nil); got != codes.OK {
		t.Errorf("CodeOf(nil) is %s", got)
	}
	if st := hauberk.StatusOf(nil); st.Code() != codes.OK || st.Err() != nil {
		t.Errorf("StatusOf(nil) is %v", st)
	}
}

// exposedText is the message that a chain with ExposeErrors sends: that of grpc-go,
// which has the text around a wrapped status.
func exposedText(err error, inProcess string) string {
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		return st.Message()
	}
	return inProcess
}

// TestErrorsOfServers returns each outcome from an interceptor and from a handler.
func TestErrorsOfServers(t *testing.T) {
	for name, o := range outcomes {
		t.Run(name, func(t *testing.T) {
			for _, kind := range allKinds {
				cell := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
				fails := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return o.err }}
				seen := make(chan error, 1)
				watch := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					err := next(ctx, call)
					seen <- err
					return err
				})
				for who, env := range map[string]*hauberktest.Env{
					"handler":     cell.StartWith(t, fails, watch),
					"interceptor": cell.Start(t, watch, rejectWith(o.err)),
				} {
					out := env.Call(t.Context())
					wantStatus(t, status.Convert(out.Err), o.code, o.onTheWire)
					if err := <-seen; !errors.Is(err, o.err) {
						t.Errorf("%s of %s: the outer interceptor saw %v, want %v", who, kind, err, o.err)
					}
				}
				exposed := cell.With(hauberk.Config{ExposeErrors: true}).StartWith(t, fails).Call(t.Context())
				wantStatus(t, status.Convert(exposed.Err), o.code, exposedText(o.err, o.inProcess))
			}
		})
	}
}

// TestErrorsOfClients returns each outcome from an interceptor of a client: the
// application gets the very error, with a status if the context has one.
func TestErrorsOfClients(t *testing.T) {
	for name, o := range outcomes {
		t.Run(name, func(t *testing.T) {
			for _, kind := range allKinds {
				cell := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
				out := cell.Start(t, rejectWith(o.err)).Call(t.Context())
				if isEOF := errors.Is(o.err, io.EOF); errors.Is(out.Err, o.err) == isEOF {
					t.Errorf("%s: the application got %v, want %v", kind, out.Err, o.err)
				}
				wantStatus(t, hauberk.StatusOf(out.Err), o.code, o.inProcess)
				wantCode(t, out.Err, o.code) // as grpc-go reads it
				if want := status.Error(o.code, o.inProcess).Error(); status.Code(o.err) != o.code && out.Err.Error() != want {
					t.Errorf("%s: the text is %q, want %q", kind, out.Err, want)
				}
			}
		})
	}
}

// TestFailedWithEOF fails client chains with errors that have io.EOF in them, which
// means a good end of a stream.
func TestFailedWithEOF(t *testing.T) {
	rejection := &hauberk.Rejection{
		Code: codes.Unavailable, Reason: "STORE_DOWN", Message: "try later", Cause: errors.Join(errLimited, io.EOF),
	}
	cases := map[string]struct {
		err     error
		code    codes.Code
		message string
	}{
		"bare":              {io.EOF, codes.Unknown, "EOF"},
		"wrapped":           {fmt.Errorf("store: %w", io.EOF), codes.Unknown, "store: EOF"},
		"context":           {errors.Join(io.EOF, context.Canceled), codes.Canceled, "EOF\ncontext canceled"},
		"rejection":         {rejection, codes.Unavailable, "try later"},
		"wrapped rejection": {fmt.Errorf("store: %w", rejection), codes.Unavailable, "try later"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, kind := range allKinds {
				cell := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
				after := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					_ = next(ctx, call)
					return c.err
				})
				for who, interceptor := range map[string]hauberk.Interceptor{"instead": rejectWith(c.err), "after": after} {
					out := cell.Start(t, interceptor).Call(t.Context())
					wantStatus(t, hauberk.StatusOf(out.Err), c.code, c.message)
					if errors.Is(out.Err, io.EOF) {
						t.Errorf("%s, %s: the application takes %v for a good end", kind, who, out.Err)
					}
					var rejection *hauberk.Rejection
					isRejection := errors.Is(c.err, errLimited)
					if errors.Is(out.Err, errLimited) != isRejection || errors.As(out.Err, &rejection) != isRejection ||
						(hauberk.Reason(out.Err) == "STORE_DOWN") != isRejection {
						t.Errorf("%s, %s: the rejection is not found in %v", kind, who, out.Err)
					}
				}
			}
		})
	}
}

// TestContextErrorsOfClients ends calls by their context while the server waits.
func TestContextErrorsOfClients(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
				<-ctx.Done()
				return ctx.Err()
			}}
			ctx, cancel := context.WithCancel(t.Context())
			seen := make(chan codes.Code, 1)
			interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				cancel()
				err := next(ctx, call)
				seen <- hauberk.StatusOf(err).Code()
				return err
			})
			cell := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			out := cell.StartWith(t, backend, interceptor).Call(ctx)
			wantCode(t, out.Err, codes.Canceled)
			if got := <-seen; got != codes.Canceled {
				t.Errorf("the interceptor saw %s", got)
			}
		})
	}
}

func TestMetadataIsChecked(t *testing.T) {
	key := `hauberk: illegal metadata key %q: want lower-case letters, digits, '-', '_' and '.'`
	value := `hauberk: illegal value under metadata key %q: want printable ASCII, or a key that ends in "-bin"`
	cases := map[string]struct {
		md   metadata.MD
		want string // "" if it is legal
	}{
		"nil":                   {nil, ""},
		"plain":                 {metadata.MD{"x-id": {"a b~!"}, "a_b.c-9": {""}}, ""},
		"no values":             {metadata.MD{"x-id": nil}, ""},
		"binary":                {metadata.MD{"trace-bin": {"\x00\xff\n"}}, ""},
		"only -bin":             {metadata.MD{"-bin": {"\x00"}}, ""},
		"empty key":             {metadata.MD{"": {"v"}}, "hauberk: illegal metadata key \"\": want lower-case letters, digits, '-', '_' and '.'"},
		"upper case":            {metadata.MD{"X-Id": {"v"}}, fmt.Sprintf(key, "X-Id")},
		"space":                 {metadata.MD{"x id": {"v"}}, fmt.Sprintf(key, "x id")},
		"colon":                 {metadata.MD{":path": {"v"}}, fmt.Sprintf(key, ":path")},
		"newline":               {metadata.MD{"x\r\ny": {"v"}}, fmt.Sprintf(key, "x\r\ny")},
		"not ASCII":             {metadata.MD{"größe": {"v"}}, fmt.Sprintf(key, "größe")},
		"binary under a text":   {metadata.MD{"x-id": {"ok", "\x00"}}, fmt.Sprintf(value, "x-id")},
		"newline in a value":    {metadata.MD{"x-id": {"a\r\nb: c"}}, fmt.Sprintf(value, "x-id")},
		"not ASCII in a value":  {metadata.MD{"x-id": {"größe"}}, fmt.Sprintf(value, "x-id")},
		"DEL in a value":        {metadata.MD{"x-id": {"\x7f"}}, fmt.Sprintf(value, "x-id")},
		"text under bin inside": {metadata.MD{"x-bin-y": {"\x00"}}, fmt.Sprintf(value, "x-bin-y")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, kind := range allKinds {
				errs := make(chan error, 2)
				interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					errs <- call.SetHeader(c.md)
					errs <- call.SetTrailer(c.md)
					return next(ctx, call)
				})
				cell := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
				out := cell.Start(t, interceptor).Call(t.Context())
				wantCode(t, out.Err, codes.OK) // what was rejected is not sent, and harms nothing
				for range 2 {
					err := <-errs
					if c.want == "" && err != nil {
						t.Errorf("%s: legal metadata is rejected: %v", kind, err)
					}
					if c.want != "" {
						wantStatus(t, hauberk.StatusOf(err), codes.Internal, c.want)
					}
				}
				for k, values := range c.md {
					for _, md := range []metadata.MD{out.Header, out.Trailer} {
						if got := md.Get(k); c.want == "" && len(got) != len(values) || c.want != "" && len(got) != 0 {
							t.Errorf("%s: key %q arrived as %q", kind, k, got)
						}
					}
				}
			}
		})
	}
}

// TestMetadataOfServersOnly sets response metadata on a client by mistake.
func TestMetadataOfServersOnly(t *testing.T) {
	for _, kind := range allKinds {
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			for name, err := range map[string]error{
				"SetHeader":  call.SetHeader(metadata.Pairs("x-id", "1")),
				"SetTrailer": call.SetTrailer(metadata.Pairs("x-id", "1")),
			} {
				wantStatus(t, hauberk.StatusOf(err), codes.Internal,
					"hauberk: Call."+name+" is for servers; a client's metadata travels in the context")
			}
			return next(ctx, call)
		})
		cell := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		wantCode(t, cell.Start(t, interceptor).Call(t.Context()).Err, codes.OK)
	}
}
