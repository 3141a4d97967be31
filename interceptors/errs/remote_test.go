package errs_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
)

// listen serves a backend behind a chain on a socket, and returns a client of it with another chain.
func listen(t *testing.T, backend *hauberktest.Backend, server, client *hauberk.Chain) testpb.TestServiceClient {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := server.NewServer()
	testpb.RegisterTestServiceServer(srv, backend)
	stop := hauberktest.Serve(t, srv, lis)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
	})
	return testpb.NewTestServiceClient(client.ClientConn(conn))
}

// invoke calls the method of a kind, and returns how the call ends.
func invoke(ctx context.Context, c testpb.TestServiceClient, kind hauberk.Kind) error {
	req := &testpb.Request{Text: "hat"}
	switch kind {
	case hauberk.ClientStream:
		stream, err := c.ClientStream(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(req); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_, err = stream.CloseAndRecv()
		return err
	case hauberk.ServerStream:
		stream, err := c.ServerStream(ctx, req)
		if err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	case hauberk.Bidi:
		stream, err := c.Bidi(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(stream.Send(req), stream.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_, err = stream.Recv()
		return err
	default:
		_, err := c.Unary(ctx, req)
		return err
	}
}

func chainOf(config errs.Config, table *errs.Table) *hauberk.Chain {
	return hauberk.Must(hauberk.New(errs.New(config, table)))
}

// Over a socket the application finds the errors of the handler, for calls of every kind.
func TestSocket(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for name, c := range finds {
		client := listen(t, failing(func() error { return c.handled }), chainOf(errs.Config{}, newTable()), chainOf(errs.Config{}, newTable()))
		for _, kind := range kinds {
			err := invoke(t.Context(), client, kind)
			if st, ok := status.FromError(err); !ok || st.Code() != c.code || !c.found(err) {
				t.Errorf("%s, %v: %v", name, kind, err)
			}
		}
	}
}

// A server that returns the error of another server does as it is configured. The handler decides for single errors.
func TestTwoHops(t *testing.T) {
	hauberktest.CheckLeaks(t)
	own := errs.NewTable("front.example", errs.Sentinel(errMissing, codes.NotFound, "FRONT_MISSING"))
	same := func(err error) error { return err }
	full := strings.Repeat("x", 2000)
	for name, c := range map[string]struct {
		config         errs.Config
		back           error
		handle         func(err error) error
		code           codes.Code
		reason, domain string
		text           string
		found          bool // errMissing
	}{
		"hidden":            {errs.Config{}, errMissing, same, codes.Internal, errs.ReasonDependency, "front.example", "internal error (reference R)", false},
		"hidden, wrapped":   {errs.Config{}, errMissing, wrap, codes.Internal, errs.ReasonDependency, "front.example", "internal error (reference R)", false},
		"hidden status":     {errs.Config{}, status.Error(codes.Aborted, "secret"), same, codes.Internal, errs.ReasonDependency, "front.example", "internal error (reference R)", false},
		"unavailable":       {errs.Config{}, errBusy, same, codes.Unavailable, errs.ReasonDependency, "front.example", "unavailable (reference R)", false},
		"deadline":          {errs.Config{}, context.DeadlineExceeded, same, codes.DeadlineExceeded, errs.ReasonDependency, "front.example", "context deadline exceeded (reference R)", false},
		"cancelled":         {errs.Config{}, context.Canceled, same, codes.Canceled, errs.ReasonDependency, "front.example", "context canceled (reference R)", false},
		"own error":         {errs.Config{}, errMissing, func(err error) error { return errors.Join(errMissing, err) }, codes.NotFound, "FRONT_MISSING", "front.example", "item not found", true},
		"own status":        {errs.Config{}, errMissing, func(error) error { return status.Error(codes.Aborted, "own") }, codes.Aborted, "", "", "own", false},
		"marked":            {errs.Config{}, errMissing, errs.Pass, codes.NotFound, "ITEM_NOT_FOUND", domain, "item not found", false},
		"marked, internal":  {errs.Config{}, status.Error(codes.Internal, "secret"), func(err error) error { return wrap(errs.Pass(err)) }, codes.Internal, errs.ReasonMasked, domain, "internal error (reference back)", false},
		"translated":        {errs.Config{Remote: errs.Translate}, wrap(errMissing), wrap, codes.NotFound, "FRONT_MISSING", "front.example", "item not found", true},
		"translated, outer": {errs.Config{Remote: errs.Translate}, errStale, same, codes.NotFound, "FRONT_MISSING", "front.example", "item not found", true},
		"not translated":    {errs.Config{Remote: errs.Translate}, &stockError{"hat", 2}, same, codes.Internal, errs.ReasonDependency, "front.example", "internal error (reference R)", false},
		"passed on":         {errs.Config{Remote: errs.PassOn}, &stockError{"hat", 2}, wrap, codes.FailedPrecondition, "OUT_OF_STOCK", domain, "2 of hat left", false},
		"passed on, long":   {errs.Config{Remote: errs.PassOn, MaxText: 16}, status.Error(codes.Aborted, full), same, codes.Aborted, "", "", full[:1021] + "…", false},
	} {
		back := listen(t, failing(func() error { return c.back }),
			hauberk.Must(hauberk.New(errs.New(errs.Config{}, newTable(), errs.WithReference(func(context.Context, *hauberk.Call, error) string { return "back" })))),
			chainOf(errs.Config{}, newTable()))
		for _, kind := range kinds {
			proxy := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
				err := invoke(ctx, back, kind)
				if !errs.IsRemote(err) {
					t.Errorf("%s, %v: %v is not remote", name, kind, err)
				}
				return c.handle(err)
			}}
			front := listen(t, proxy, hauberk.Must(hauberk.New(errs.New(c.config, own, errs.WithReference(fixedReference)))), chainOf(errs.Config{}, own))
			err := invoke(t.Context(), front, kind)
			st := status.Convert(err)
			if st.Code() != c.code || hauberk.Reason(err) != c.reason || hauberk.ReasonDomain(err) != c.domain || st.Message() != c.text {
				t.Errorf("%s, %v: %v, reason %s of %s, %q; want %v, %s of %s, %q", name, kind, st.Code(), hauberk.Reason(err), hauberk.ReasonDomain(err),
					st.Message(), c.code, c.reason, c.domain, c.text)
			}
			if errors.Is(err, errMissing) != c.found {
				t.Errorf("%s, %v: the error is found: %t; want %t", name, kind, !c.found, c.found)
			}
		}
	}
}

// The text of a transport that fails, which has addresses, does not reach the clients of the server that called.
func TestUnreachable(t *testing.T) {
	hauberktest.CheckLeaks(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := lis.Addr().String()
	_ = lis.Close()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	back := testpb.NewTestServiceClient(chainOf(errs.Config{}, newTable()).ClientConn(conn))
	for _, kind := range kinds {
		var seen error
		proxy := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			seen = invoke(ctx, back, kind)
			return wrap(seen)
		}}
		front := listen(t, proxy, chainOf(errs.Config{}, newTable()), chainOf(errs.Config{}, newTable()))
		err := invoke(t.Context(), front, kind)
		if status.Code(seen) != codes.Unavailable || !strings.Contains(seen.Error(), address) || !errs.IsRemote(seen) {
			t.Errorf("%v: the proxy sees %v; want UNAVAILABLE with the address", kind, seen)
		}
		if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "127.0.0.1") || errs.Reference(err) == "" {
			t.Errorf("%v: %v; want UNAVAILABLE with a reference and no address", kind, err)
		}
	}
}
