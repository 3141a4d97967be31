package errs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
)

var (
	errMissing = errors.New("item not found")
	errBusy    = errors.New("item is locked")
	errStale   = fmt.Errorf("stale item: %w", errMissing) // a sentinel that wraps another
)

// stockError has its fields in a detail.
type stockError struct {
	Item string
	Left int32
}

func (e *stockError) Error() string { return fmt.Sprintf("%d of %s left", e.Left, e.Item) }

func stockDetail(e *stockError) *testpb.Request { return &testpb.Request{Text: e.Item, Count: e.Left} }

func stockOf(d *testpb.Request) (*stockError, error) {
	if d.GetText() == "" {
		return nil, errors.New("no item")
	}
	return &stockError{d.GetText(), d.GetCount()}, nil
}

// quotaError has its fields in the metadata, and wraps an error.
type quotaError struct {
	Limit int
	Err   error
}

func (e quotaError) Error() string { return "quota of " + strconv.Itoa(e.Limit) + " exceeded" }
func (e quotaError) Unwrap() error { return e.Err }

func quotaMetadata(e quotaError) map[string]string {
	return map[string]string{"limit": strconv.Itoa(e.Limit)}
}

func quotaOf(metadata map[string]string) (quotaError, error) {
	limit, err := strconv.Atoi(metadata["limit"])
	return quotaError{Limit: limit}, err
}

// closedError has no fields.
type closedError struct{}

func (*closedError) Error() string { return "shop is closed" }

const domain = "shop.example"

func newTable() *errs.Table {
	return errs.NewTable(domain,
		errs.Sentinel(errMissing, codes.NotFound, "ITEM_NOT_FOUND"),
		errs.Sentinel(errStale, codes.Aborted, "ITEM_STALE"),
		errs.Sentinel(errBusy, codes.Unavailable, "ITEM_LOCKED", errs.WithMessage("try again"), errs.WithRetryAfter(1e9)),
		errs.TypeWithDetail(codes.FailedPrecondition, "OUT_OF_STOCK", stockDetail, stockOf),
		errs.TypeWithMetadata(codes.ResourceExhausted, "QUOTA", quotaMetadata, quotaOf),
		errs.Type[*closedError](codes.Unavailable, "CLOSED"),
	)
}

// served returns the outcome of a call of a kind whose handler returns an error, as a server sends it.
func served(t *testing.T, kind hauberk.Kind, config errs.Config, handled error, opts ...errs.Option) (*errs.Interceptor, error) {
	t.Helper()
	x := errs.New(config, newTable(), opts...)
	chain, err := hauberk.New(x)
	if err != nil {
		t.Fatal(err)
	}
	serve := hauberktest.Direct{Kind: kind, Service: failing(func() error { return handled })}.Server(chain)
	return x, serve(context.Background())
}

// failing is a service whose handlers read all requests and then fail.
func failing(fail func() error) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for {
			if _, err := s.Recv(); err != nil {
				return fail()
			}
		}
	}}
}

// info returns the ErrorInfo of an error.
func info(err error) *errdetails.ErrorInfo {
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return i
		}
	}
	return nil
}

// listener listens on a free port.
func listener() net.Listener {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return lis
}
