package connectgo_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

var errMissing = errors.New("item “12” not found\n100 %") // characters that a grpc-message encodes

// stockError has its fields in a detail.
type stockError struct {
	Item string
	Left int32
}

func (e *stockError) Error() string { return fmt.Sprintf("%d of %s left", e.Left, e.Item) }

// quotaError has its fields in the metadata.
type quotaError struct{ Plan string }

func (e quotaError) Error() string { return "the quota of " + e.Plan + " is used up" }

var table = errs.NewTable("shop.example",
	errs.Sentinel(errMissing, codes.NotFound, "ITEM_NOT_FOUND"),
	errs.TypeWithDetail(codes.FailedPrecondition, "OUT_OF_STOCK",
		func(e *stockError) *testpb.Request { return &testpb.Request{Text: e.Item, Count: e.Left} },
		func(d *testpb.Request) (*stockError, error) { return &stockError{d.GetText(), d.GetCount()}, nil }),
	errs.TypeWithMetadata(codes.ResourceExhausted, "QUOTA",
		func(e quotaError) map[string]string { return map[string]string{"plan": e.Plan} },
		func(md map[string]string) (quotaError, error) { return quotaError{md["plan"]}, nil },
		errs.WithRetryAfter(time.Minute)),
)

// fail returns the error that the first request names.
func fail(_ context.Context, s hauberktest.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return err
	}
	switch req.GetText() {
	case "missing":
		return fmt.Errorf("secret: %w", errMissing)
	case "stock":
		return fmt.Errorf("secret: %w", &stockError{"tea", 2})
	case "quota":
		return quotaError{"basic"}
	case "secret":
		return errors.New("secret")
	case "deadline":
		return fmt.Errorf("secret: %w", context.DeadlineExceeded)
	case "late":
		if err := s.Send(&testpb.Response{}); err != nil {
			return err
		}
		return errMissing
	}
	return s.Send(&testpb.Response{})
}

// TestErrors: clients of connect-go receive the statuses of package errs with text and details as those of grpc-go do,
// and find the errors of the table in them.
func TestErrors(t *testing.T) {
	fixed := errs.WithReference(func(context.Context, *hauberk.Call, error) string { return "r1" })
	chain := hauberk.Must(hauberk.New(errs.New(errs.Config{}, table, fixed)))
	for _, web := range []bool{false, true} {
		srv, client := serve(t, chain, fail, web), h2c(t)
		for text, found := range map[string]func(error) bool{
			"ok":      func(err error) bool { return err == nil },
			"missing": func(err error) bool { return errors.Is(err, errMissing) },
			"stock": func(err error) bool {
				e, ok := errors.AsType[*stockError](err)
				return ok && *e == stockError{"tea", 2}
			},
			"quota":    func(err error) bool { e, ok := errors.AsType[quotaError](err); return ok && e.Plan == "basic" },
			"secret":   func(err error) bool { return errs.Reference(err) == "r1" },
			"deadline": func(err error) bool { return hauberk.CodeOf(err) == codes.DeadlineExceeded },
			"late":     func(err error) bool { return errors.Is(err, errMissing) },
		} {
			for _, kind := range kinds {
				if text == "late" && !kind.ServerStreams() {
					continue
				}
				t.Run(fmt.Sprintf("%s/%v/net-http=%t", text, kind, web), func(t *testing.T) {
					ctx := patient(t)
					st := sameStatus(t, callConnect(ctx, client, srv.addr, kind, text), callGRPC(ctx, srv.conn, kind, text))
					if err := table.FromStatus(st); !found(err) {
						t.Errorf("the error of the table is %v", err)
					}
				})
			}
		}
	}
}

// TestStates: clients of connect-go receive the rejections of a state as those of grpc-go do.
func TestStates(t *testing.T) {
	state := serving.New(serving.Config{})
	srv, client := serve(t, hauberk.Must(hauberk.New(state)), nil, false), h2c(t)
	for to, reason := range map[serving.State]string{
		serving.Starting: serving.ReasonStarting, serving.ReadOnly: serving.ReasonReadOnly,
		serving.Maintenance: serving.ReasonMaintenance, serving.Draining: serving.ReasonDraining, serving.Serving: "",
	} {
		if err := state.Set(to); err != nil {
			t.Fatal(err)
		}
		for _, kind := range kinds {
			ctx := patient(t)
			st := sameStatus(t, callConnect(ctx, client, srv.addr, kind, "a"), callGRPC(ctx, srv.conn, kind, "a"))
			if got := hauberk.Reason(st.Err()); got != reason {
				t.Errorf("%s: %v ends with the reason %q; want %q", to, kind, got, reason)
			}
		}
	}
}

// TestShutdown: streams of connect-go clients that run after the grace time end with UNAVAILABLE, unary calls as they
// would, and later calls find no server. A server of net/http answers later calls with UNAVAILABLE.
func TestShutdown(t *testing.T) {
	for _, web := range []bool{false, true} {
		t.Run(fmt.Sprintf("net-http=%t", web), func(t *testing.T) { shutDown(t, web) })
	}
}

func shutDown(t *testing.T, web bool) {
	chain, err := hauberk.Config{Drain: hauberk.Drain{Grace: time.Nanosecond}}.New()
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}, len(kinds)), make(chan struct{})
	srv := serve(t, chain, func(ctx context.Context, s hauberktest.Stream) error {
		entered <- struct{}{}
		if hauberk.FromContext(ctx).Kind() == hauberk.Unary {
			<-release
			return hauberktest.Echo(ctx, s)
		}
		<-ctx.Done()
		return s.Send(&testpb.Response{}) // as if nothing had happened
	}, web)
	client, outcomes := h2c(t), make(map[hauberk.Kind]chan error)
	for _, kind := range kinds {
		outcome := make(chan error, 1)
		outcomes[kind] = outcome
		go func() { outcome <- callConnect(patient(t), client, srv.addr, kind, "a") }()
		<-entered
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(patient(t)) }()
	for _, kind := range kinds[1:] {
		wantShuttingDown(t, <-outcomes[kind])
	}
	if web {
		for _, kind := range kinds {
			wantShuttingDown(t, callConnect(patient(t), client, srv.addr, kind, "a"))
		}
	}
	close(release)
	if err := <-outcomes[hauberk.Unary]; err != nil {
		t.Errorf("the unary call ends with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if !web {
		st := statusOf(t, callConnect(patient(t), client, srv.addr, hauberk.Unary, "a"))
		if st.Code() != codes.Unavailable {
			t.Errorf("a call after the shutdown ends with %v; want UNAVAILABLE", st)
		}
	}
}

// TestRejectNew: with Drain.RejectNew calls of connect-go that wait in an interceptor when the server shuts down end
// with UNAVAILABLE and the reason.
func TestRejectNew(t *testing.T) {
	arrived, proceed := make(chan struct{}, len(kinds)), make(chan struct{})
	hold := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		arrived <- struct{}{}
		<-proceed
		return next(ctx, call)
	})
	chain, err := hauberk.Config{Drain: hauberk.Drain{RejectNew: true}}.New(hold)
	if err != nil {
		t.Fatal(err)
	}
	srv, client := serve(t, chain, nil, false), h2c(t)
	outcomes := make(chan error, len(kinds))
	for _, kind := range kinds {
		go func() { outcomes <- callConnect(patient(t), client, srv.addr, kind, "a") }()
		<-arrived
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(patient(t)) }()
	awaitRejections(t, srv)
	close(proceed)
	for range kinds {
		wantShuttingDown(t, <-outcomes)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// awaitRejections waits until a server that shuts down accepts no connection: it rejects what waits by then.
func awaitRejections(t *testing.T, srv server) {
	t.Helper()
	for {
		conn, err := new(net.Dialer).DialContext(patient(t), "tcp", srv.addr)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}
