package errs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
)

// loop wraps itself, in one way of errors or the other.
type loop struct{ inner error }

func (l *loop) Error() string { return "secret of " + l.inner.Error() }
func (l *loop) Unwrap() error { return l.inner }

type loops struct{ inner []error }

func (l *loops) Error() string   { return "secret" }
func (l *loops) Unwrap() []error { return l.inner }

// endless returns errors without an end: of one error, of two, of branches, and behind an error that decides.
func endless() map[string]error {
	one := new(loop)
	one.inner = one
	first, second := new(loop), new(loop)
	first.inner, second.inner = second, first
	branches := new(loops)
	branches.inner = []error{branches, branches}
	behind := new(loops)
	behind.inner = []error{errMissing, behind}
	return map[string]error{
		"one": one, "two": first, "branches": branches, "behind a sentinel": behind,
		"wrapped": fmt.Errorf("context: %w", branches), "passed": errs.Pass(one),
		"behind a status": errors.Join(status.Error(codes.NotFound, "none"), one),
	}
}

// An error without an end is masked, and outer interceptors can search what replaces it.
func TestEndless(t *testing.T) {
	for name, handled := range endless() {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if c.Side == hauberk.ClientSide {
					return // the error of a client comes from its connection
				}
				var reported, outcome error
				x := errs.New(errs.Config{}, newTable(), errs.WithUnmapped(func(_ context.Context, _ *hauberk.Call, err error) {
					reported = err
				}))
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					outcome = next(ctx, call)
					return outcome
				})
				chain := hauberk.Must(hauberk.New(outer, x))
				got := hauberktest.Direct{Kind: c.Kind, Service: failing(func() error { return handled })}.Server(chain)(t.Context())
				if status.Code(got) != codes.Unknown || errs.Reference(got) == "" || strings.Contains(got.Error(), "secret") {
					t.Errorf("%v; want a masked error", got)
				}
				if !errors.Is(outcome, hauberk.ErrEndless) || errors.Is(outcome, errMissing) || !errors.Is(reported, hauberk.ErrEndless) {
					t.Errorf("the outcome is %v, and %v was reported; want ErrEndless", outcome, reported)
				}
				if !strings.Contains(reported.Error(), fmt.Sprintf("%T", handled)) || strings.Contains(reported.Error(), "secret") {
					t.Errorf("%v; want the type", reported)
				}
			})
			if st, ok := newTable().ToStatus(handled); ok {
				t.Errorf("ToStatus returned %v", st)
			}
		})
	}
}

// A tree with many errors that has an end is searched, and one with more is not.
func TestLargeTree(t *testing.T) {
	for n, want := range map[int]codes.Code{1000: codes.NotFound, 100_000: codes.Unknown} {
		all := make([]error, n+1)
		for i := range n {
			all[i] = errors.New("secret")
		}
		all[n] = errMissing
		_, got := served(t, hauberk.Unary, errs.Config{}, errors.Join(all...))
		if status.Code(got) != want {
			t.Errorf("%d errors: %v; want %v", n, got, want)
		}
	}
}

// A codec that makes an error without an end costs the details, and a sentinel without one is an error of the table.
func TestEndlessOfTable(t *testing.T) {
	one := new(loops)
	one.inner = []error{one}
	decode := func(map[string]string) (*loops, error) { return one, nil }
	failing := func(map[string]string) (*loop, error) { return nil, one }
	table := errs.NewTable(domain,
		errs.TypeWithMetadata(codes.Aborted, "LOOP", func(*loops) map[string]string { return nil }, decode),
		errs.TypeWithMetadata(codes.Aborted, "FAILS", func(*loop) map[string]string { return nil }, failing))
	if err := table.Err(); err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{"LOOP", "FAILS"} {
		st := hauberk.Rejection{Code: codes.Aborted, Reason: reason, Domain: domain}
		if err := table.FromStatus(st.GRPCStatus()); errors.Is(err, one) || status.Code(err) != codes.Aborted {
			t.Errorf("%s: %v; want the status", reason, err)
		}
	}
	err := errs.NewTable(domain, errs.Sentinel(one, codes.Aborted, "LOOP")).Err()
	if err == nil || !strings.Contains(err.Error(), "wraps itself") {
		t.Errorf("%v; want an error", err)
	}
}
