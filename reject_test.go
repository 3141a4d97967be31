package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

var errLimited = errors.New("secret: key tenant-42 has no permits left")

// rejectWith is an interceptor that rejects every call with err.
func rejectWith(err error) hauberk.Interceptor {
	return hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return err })
}

func fullRejection() error {
	return &hauberk.Rejection{
		Code: codes.ResourceExhausted, Reason: "RATE_LIMITED", Message: "too many calls",
		RetryAfter:      1500 * time.Millisecond,
		QuotaViolations: []hauberk.QuotaViolation{{Subject: "user:alice", Description: "100 calls a minute"}},
		FieldViolations: []hauberk.FieldViolation{{Field: "cart.items[0]", Description: "is negative"}},
		Metadata:        map[string]string{"limit": "100", "window": "1m"},
		Details:         []proto.Message{&errdetails.RequestInfo{RequestId: "r-1"}},
		Cause:           errors.Join(errLimited, &fs.PathError{Op: "open", Path: "secret", Err: fs.ErrNotExist}),
	}
}

func wantDetails(t *testing.T, err error, want ...proto.Message) {
	t.Helper()
	got := status.Convert(err).Details()
	if len(got) != len(want) {
		t.Fatalf("details %v, want %v", got, want)
	}
	for i := range got {
		if m, ok := got[i].(proto.Message); !ok || !proto.Equal(m, want[i]) {
			t.Errorf("detail %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestReject(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		domain := testService // a client's rejection is not sent, and has none
		if c.Side == hauberk.ClientSide {
			domain = ""
		}
		out := c.Start(t, rejectWith(fullRejection())).Call(t.Context())
		st := status.Convert(out.Err)
		if st.Code() != codes.ResourceExhausted || st.Message() != "too many calls" {
			t.Errorf("status %v", st)
		}
		wantDetails(t, out.Err,
			&errdetails.ErrorInfo{
				Reason: "RATE_LIMITED", Domain: domain, Metadata: map[string]string{"limit": "100", "window": "1m"},
			},
			&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
			&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{
				{Subject: "user:alice", Description: "100 calls a minute"},
			}},
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
				{Field: "cart.items[0]", Description: "is negative"},
			}},
			&errdetails.RequestInfo{RequestId: "r-1"},
		)
		if got := hauberk.Reason(out.Err); got != "RATE_LIMITED" {
			t.Errorf("reason %q", got)
		}
		if got := hauberk.ReasonDomain(out.Err); got != domain {
			t.Errorf("domain %q", got)
		}
		inProcess := c.Side == hauberk.ClientSide
		if errors.Is(out.Err, errLimited) != inProcess || errors.Is(out.Err, fs.ErrNotExist) != inProcess {
			t.Errorf("causes are found: %t and %t, want %t",
				errors.Is(out.Err, errLimited), errors.Is(out.Err, fs.ErrNotExist), inProcess)
		}
		wire, err := proto.Marshal(st.Proto())
		if err != nil {
			t.Fatal(err)
		}
		if text := out.Err.Error() + string(wire); strings.Contains(text, "secret") {
			t.Errorf("a cause's text is in the status: %q", text)
		}
	})
}

// TestRejectInProcess reads a rejection in the outer interceptor.
func TestRejectInProcess(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(chan error, 1)
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			seen <- err
			return fmt.Errorf("wrapped secret: %w", err)
		})
		out := c.Start(t, outer, rejectWith(fullRejection())).Call(t.Context())
		err := <-seen
		var path *fs.PathError
		if !errors.Is(err, errLimited) || !errors.As(err, &path) || path.Path != "secret" {
			t.Errorf("causes are not found in %v", err)
		}
		var rejection *hauberk.Rejection
		if !errors.As(err, &rejection) || rejection.Reason != "RATE_LIMITED" || hauberk.Reason(err) != "RATE_LIMITED" {
			t.Fatalf("the reason is not found in %v", err)
		}
		if want := "rpc error: code = ResourceExhausted desc = too many calls"; err.Error() != want {
			t.Errorf("the text is %q, want %q", err, want)
		}
		// The wrapping stays in the process; the status's own message is sent.
		if c.Side == hauberk.ServerSide && status.Convert(out.Err).Message() != "too many calls" {
			t.Errorf("the client received %v", out.Err)
		}
		if hauberk.StatusOf(out.Err).Message() != "too many calls" || hauberk.Reason(out.Err) != "RATE_LIMITED" {
			t.Errorf("StatusOf is %v, Reason %q", hauberk.StatusOf(out.Err), hauberk.Reason(out.Err))
		}
	})
}

func TestErrorDomain(t *testing.T) {
	own := &hauberk.Rejection{Code: codes.NotFound, Reason: "GONE", Message: "gone", Domain: "other.example"}
	plain := hauberk.Reject(codes.NotFound, "GONE", "gone")
	foreign, err := status.New(codes.NotFound, "gone").WithDetails(&errdetails.ErrorInfo{Reason: "GONE", Domain: "theirs.example"})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		err    error
		domain string
		want   string
	}{
		"default: the service":   {plain, "", testService},
		"of the chain":           {plain, "shop.example", "shop.example"},
		"of the rejection":       {own, "", "other.example"},
		"the rejection's wins":   {own, "shop.example", "other.example"},
		"of a wrapped rejection": {fmt.Errorf("x: %w", plain), "shop.example", "shop.example"},
		"of a status":            {foreign.Err(), "shop.example", "theirs.example"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, kind := range allKinds {
				cell := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
				out := cell.With(hauberk.Config{ErrorDomain: c.domain}).Start(t, rejectWith(c.err)).Call(t.Context())
				wantDetails(t, out.Err, &errdetails.ErrorInfo{Reason: "GONE", Domain: c.want})
				if got := hauberk.ReasonDomain(out.Err); got != c.want {
					t.Errorf("%s: domain %q, want %q", kind, got, c.want)
				}
			}
		})
	}
	if got := hauberk.ReasonDomain(plain); got != "" {
		t.Errorf("a chain's domain stayed in the rejection: %q", got)
	}
}

func TestRejectEdges(t *testing.T) {
	cases := map[string]struct {
		err  error
		code codes.Code
		want []proto.Message
	}{
		"OK": {hauberk.Reject(codes.OK, "FINE", "fine"), codes.Internal, []proto.Message{
			&errdetails.ErrorInfo{Reason: "FINE"},
		}},
		"negative delay": {
			&hauberk.Rejection{Code: codes.Unavailable, Reason: "OPEN", RetryAfter: -time.Second}, codes.Unavailable,
			[]proto.Message{&errdetails.ErrorInfo{Reason: "OPEN"}},
		},
		"no reason": {hauberk.Reject(codes.Aborted, "", ""), codes.Aborted, []proto.Message{
			&errdetails.ErrorInfo{Reason: hauberk.ReasonMalformed, Metadata: map[string]string{"reason": ""}},
		}},
		// Such a detail cannot be encoded: protobuf strings are UTF-8. It costs no other.
		"bad details": {
			&hauberk.Rejection{
				Code: codes.Aborted, Reason: "BAD", RetryAfter: time.Second,
				Details: []proto.Message{
					&errdetails.DebugInfo{Detail: "\xff"}, nil, (*errdetails.Help)(nil), &errdetails.RequestInfo{RequestId: "r-1"},
				},
			},
			codes.Aborted,
			[]proto.Message{
				&errdetails.ErrorInfo{Reason: "BAD"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)},
				&errdetails.Help{}, &errdetails.RequestInfo{RequestId: "r-1"},
			},
		},
		// What a rejection repeats of a caller's text is made to be.
		"bad texts": {
			&hauberk.Rejection{
				Code: codes.Aborted, Reason: "BAD\xff", Message: "bad \xff", Domain: "d\xff",
				Metadata:        map[string]string{"k\xff": "\xff"},
				QuotaViolations: []hauberk.QuotaViolation{{Subject: "s\xff", Description: "\xff"}},
				FieldViolations: []hauberk.FieldViolation{{Field: "f\xff", Description: "\xff"}},
			},
			codes.Aborted,
			[]proto.Message{
				&errdetails.ErrorInfo{
					Reason: hauberk.ReasonMalformed, Domain: "d\ufffd",
					Metadata: map[string]string{"k\ufffd": "\ufffd", "reason": "BAD\ufffd"},
				},
				&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: "s\ufffd", Description: "\ufffd"}}},
				&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "f\ufffd", Description: "\ufffd"}}},
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			wantCode(t, c.err, c.code)
			wantDetails(t, c.err, c.want...)
			if text := status.Convert(c.err).Message(); !utf8.ValidString(text) {
				t.Errorf("the message %q", text)
			}
			if call := unaryHandler(hauberk.Must(hauberk.New(rejectWith(c.err)))); status.Code(call()) != c.code {
				t.Errorf("the client received %v", call())
			}
		})
	}
}

func TestReason(t *testing.T) {
	rejection := &hauberk.Rejection{Code: codes.NotFound, Reason: "GONE", Message: "gone", Domain: "d"}
	remote := status.FromProto(status.Convert(rejection).Proto()).Err()
	caused := &hauberk.Rejection{Code: codes.NotFound, Reason: "OUTER", Message: "outer", Domain: "d", Cause: rejection}
	bare := status.Error(codes.NotFound, "gone")
	cases := map[string]struct {
		err            error
		reason, domain string
	}{
		"nil":                             {nil, "", ""},
		"plain":                           {errLimited, "", ""},
		"context":                         {context.Canceled, "", ""},
		"status without details":          {bare, "", ""},
		"rejection":                       {rejection, "GONE", "d"},
		"wrapped rejection":               {fmt.Errorf("x: %w", rejection), "GONE", "d"},
		"received":                        {remote, "GONE", "d"},
		"received and wrapped":            {fmt.Errorf("x: %w", remote), "GONE", "d"},
		"rejection caused by a rejection": {caused, "OUTER", "d"},
		"joined after a plain error":      {errors.Join(errLimited, rejection), "GONE", "d"},
		"joined after another status":     {errors.Join(bare, rejection), "", ""},
		"joined before another status":    {errors.Join(rejection, bare), "GONE", "d"},
	}
	for name, c := range cases {
		if got := hauberk.Reason(c.err); got != c.reason {
			t.Errorf("%s: reason %q, want %q", name, got, c.reason)
		}
		if got := hauberk.ReasonDomain(c.err); got != c.domain {
			t.Errorf("%s: domain %q, want %q", name, got, c.domain)
		}
	}
}

// TestRejectionIsReusable rejects many calls with one error value.
func TestRejectionIsReusable(t *testing.T) {
	err := fullRejection()
	inShop := unaryHandler(hauberk.Must(hauberk.Config{ErrorDomain: "shop.example"}.New(rejectWith(err))))
	elsewhere := unaryHandler(hauberk.Must(hauberk.New(rejectWith(err))))
	for range 2 {
		if got := hauberk.ReasonDomain(inShop()); got != "shop.example" {
			t.Errorf("domain %q", got)
		}
		if got := hauberk.ReasonDomain(elsewhere()); got != testService {
			t.Errorf("domain %q", got)
		}
	}
}

// nilRejection returns a nil *Rejection as an error, as a function does that declares a
// *Rejection and returns it as an error.
func nilRejection() error {
	var r *hauberk.Rejection
	return r
}

// TestNilRejection: a nil *Rejection ends a call with INTERNAL and names what returned it,
// with and without a guard, and also if interceptors around it read it.
func TestNilRejection(t *testing.T) {
	reads := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if hauberk.RejectionOf(err) != nil || hauberk.Reason(err) != "" || hauberk.CodeOf(err) != codes.Internal {
			t.Errorf("read %v, %q, %v", hauberk.RejectionOf(err), hauberk.Reason(err), err)
		}
		return err
	})
	at := map[string]hauberk.Func{
		"before next": func(context.Context, *hauberk.Call, hauberk.Next) error { return nilRejection() },
		"after next": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return nilRejection()
		},
		"send hook": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(any, func(any) error) error { return nilRejection() })
			return next(ctx, call)
		},
		"receive hook": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(any) (bool, error) { return true, nilRejection() })
			return next(ctx, call)
		},
	}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for name, x := range at {
			for around, outer := range map[string][]hauberk.Interceptor{"bare": nil, "read": {reads}, "guarded": {reads, recoverer{}}} {
				t.Run(name+"/"+around, func(t *testing.T) {
					wantInternal(t, c.Start(t, append(outer, hauberk.Named("mine", x))...).Call(patient(t)).Err, "mine returned a nil *hauberk.Rejection")
				})
			}
		}
	})
	for _, kind := range allKinds {
		env := hauberktest.Start(t, hauberktest.Setup{
			Kind: kind, Server: idleChain(1),
			Backend: &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return nilRejection() }},
		})
		wantInternal(t, env.Call(patient(t)).Err, "the handler returned a nil *hauberk.Rejection")
	}
	var r *hauberk.Rejection
	if r.Unwrap() != nil || r.GRPCStatus().Code() != codes.Internal || !strings.Contains(r.Error(), "nil *hauberk.Rejection") {
		t.Errorf("a nil Rejection is %v", r)
	}
	if err := fmt.Errorf("wrapped: %w", r); hauberk.CodeOf(err) != codes.Internal {
		t.Errorf("a wrapped nil Rejection is %v", err)
	}
}

// bomb is an error with methods that panic, as those of a nil pointer do.
type bomb struct{ in string }

func (b *bomb) Error() string {
	if b.in == "Error" {
		panic(b.in)
	}
	return b.in
}

func (b *bomb) Unwrap() error {
	if b.in == "Unwrap" {
		panic(b.in)
	}
	return nil
}

// statusBombError is a bomb with a status.
type statusBombError struct{ bomb }

func (*statusBombError) GRPCStatus() *status.Status { panic("GRPCStatus") }

// TestErrorsThatPanic: a guard keeps the panics of an error's methods, at all places that an error
// comes from.
func TestErrorsThatPanic(t *testing.T) {
	for name, err := range map[string]error{"Error": &bomb{"Error"}, "Unwrap": &bomb{"Unwrap"}, "GRPCStatus": &statusBombError{}} {
		for _, outermost := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/outermost %t", name, outermost), func(t *testing.T) {
				hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
					chain := []hauberk.Interceptor{recoverer{}, rejectWith(err)}
					if outermost {
						chain = []hauberk.Interceptor{hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
							_ = next(ctx, call)
							return err
						}), recoverer{}}
					}
					if c.Side == hauberk.ServerSide {
						env := hauberktest.Start(t, hauberktest.Setup{
							Kind: c.Kind, Server: hauberk.Must(hauberk.Config{ExposeErrors: true}.New(chain...)),
						})
						wantCode(t, env.Call(patient(t)).Err, codes.Internal)
						return
					}
					call := hauberktest.Direct{Kind: c.Kind}.Client(hauberk.Must(hauberk.New(chain...)))
					_ = call(patient(t)) // the error is the application's to read
				})
			})
		}
	}
}

// TestDomainStays: the ErrorInfo of a rejection has its domain however interceptors and
// handlers make a status of the rejection.
func TestDomainStays(t *testing.T) {
	convert := func(err error) error { return status.Convert(err).Err() }
	reject := rejectWith(hauberk.Reject(codes.PermissionDenied, "NOT_ALLOWED", "no"))
	for name, chain := range map[string][]hauberk.Interceptor{
		"as it is": {reject},
		"StatusOf": {hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			return hauberk.StatusOf(next(ctx, call)).Err()
		}), reject},
		"wrapped": {hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			return convert(fmt.Errorf("cart: %w", next(ctx, call)))
		}), reject},
		"FromServer": {hauberk.FromServer(
			func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				resp, err := handler(ctx, req)
				return resp, convert(err)
			},
			func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				return convert(handler(srv, stream))
			}), reject},
		"after next": {hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			return hauberk.StatusOf(next(ctx, call)).Err()
		}), hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return hauberk.Reject(codes.PermissionDenied, "NOT_ALLOWED", "no")
		})},
	} {
		for configured, want := range map[string]string{"": testService, "shop.example": "shop.example"} {
			for _, kind := range allKinds {
				t.Run(name+"/"+want+"/"+kind.String(), func(t *testing.T) {
					env := hauberktest.Start(t, hauberktest.Setup{
						Kind: kind, Server: hauberk.Must(hauberk.Config{ErrorDomain: configured}.New(chain...)),
					})
					err := env.Call(patient(t)).Err
					wantCode(t, err, codes.PermissionDenied)
					if got := hauberk.ReasonDomain(err); got != want || hauberk.Reason(err) != "NOT_ALLOWED" {
						t.Errorf("domain %q with reason %q, want %q", got, hauberk.Reason(err), want)
					}
				})
			}
		}
	}
}

// TestRejectionFits: a status with violations leaves out the last ones, so that it fits into the
// header lists of clients, and keeps its code, reason and other details.
func TestRejectionFits(t *testing.T) {
	for _, c := range []struct {
		name                string
		quotas, fields      int
		size                int // of each text
		message             int
		all, quotaOnly, non bool
	}{
		{name: "few", quotas: 2, fields: 10, size: 20, all: true},
		{name: "many fields", quotas: 2, fields: 400, size: 70},
		{name: "many quotas", quotas: 400, fields: 4, size: 70, quotaOnly: true},
		{name: "one large", fields: 1, size: 9000, non: true},
		{name: "not UTF-8", fields: 400, size: -30},
		{name: "large message", fields: 40, size: 100, message: 3000},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Repeat("x", max(c.size, 0)) + strings.Repeat("\xff.", max(-c.size, 0))
			r := hauberk.Reject(codes.InvalidArgument, "BAD_REQUEST", "not valid"+strings.Repeat("m", c.message))
			r.RetryAfter = time.Second
			r.Details = []proto.Message{&errdetails.RequestInfo{RequestId: "r-1"}}
			for i := range c.quotas {
				r.QuotaViolations = append(r.QuotaViolations, hauberk.QuotaViolation{Subject: fmt.Sprint(i), Description: text})
			}
			for i := range c.fields {
				r.FieldViolations = append(r.FieldViolations, hauberk.FieldViolation{Field: fmt.Sprint(i), Description: text})
			}
			st := r.GRPCStatus()
			if size := proto.Size(st.Proto()); size > 4608 {
				t.Errorf("the status has %d bytes", size)
			}
			if st.Code() != codes.InvalidArgument || hauberk.Reason(st.Err()) != "BAD_REQUEST" {
				t.Errorf("the status is %v", st)
			}
			quotas, fields, others := 0, 0, 0
			for _, d := range st.Details() {
				switch d := d.(type) {
				case *errdetails.QuotaFailure:
					quotas = len(d.GetViolations())
				case *errdetails.BadRequest:
					fields = len(d.GetFieldViolations())
					if first := d.GetFieldViolations()[0].GetField(); first != "0" {
						t.Errorf("the first violation is %s", first)
					}
				default:
					others++
				}
			}
			got := fmt.Sprintf("all %t, quotas only %t, none %t", quotas == c.quotas && fields == c.fields,
				fields == 0 && quotas > 0, fields+quotas == 0)
			if want := fmt.Sprintf("all %t, quotas only %t, none %t", c.all, c.quotaOnly, c.non); got != want || others != 3 {
				t.Errorf("%d quotas, %d fields, %d other details: %s; want %s", quotas, fields, others, got, want)
			}
		})
	}
}
