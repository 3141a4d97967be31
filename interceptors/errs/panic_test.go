package errs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
)

// panicking panics in a method of an error.
type panicking struct{ method string }

func (p panicking) Error() string {
	if p.method == "Error" {
		panic("secret of Error")
	}
	return "secret"
}

func (p panicking) Unwrap() error {
	if p.method == "Unwrap" {
		panic("secret of Unwrap")
	}
	return nil
}

func (p panicking) Is(error) bool {
	if p.method == "Is" {
		panic("secret of Is")
	}
	return false
}

func (p panicking) GRPCStatus() *status.Status {
	if p.method == "GRPCStatus" {
		panic("secret of GRPCStatus")
	}
	return nil
}

// loudError panics in its Error method, and wraps an error.
type loudError struct{ inner error }

func (loudError) Error() string   { panic("secret of Error") }
func (e loudError) Unwrap() error { return e.inner }

// An error whose text panics has the status that the errors in it decide, or is masked.
func TestPanicsAroundOthers(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want codes.Code
	}{
		"status":        {loudError{status.Error(codes.NotFound, "an item")}, codes.NotFound},
		"sentinel":      {loudError{errMissing}, codes.NotFound},
		"context error": {loudError{context.Canceled}, codes.Canceled},
		"passed":        {errs.Pass(loudError{}), codes.Unknown},
		"wrapped":       {fmt.Errorf("%w", errs.Pass(loudError{})), codes.Unknown},
	} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
			x, got := served(t, kind, errs.Config{}, c.err)
			if status.Code(got) != c.want || strings.Contains(got.Error(), "secret") {
				t.Errorf("%s: %v; want %v", name, got, c.want)
			}
			if c.want == codes.Unknown && (errs.Reference(got) == "" || count(x, "errs_panics_total") != 1) {
				t.Errorf("%s: %v, %v", name, got, x.Measurements())
			}
		}
	}
}

// Errors whose methods panic, and functions of options that panic, end the call with a masked error.
func TestPanics(t *testing.T) {
	boom := func(context.Context, *hauberk.Call, error) { panic("boom") }
	for _, method := range []string{"Error", "Unwrap", "Is", "GRPCStatus"} {
		x, got := served(t, hauberk.Unary, errs.Config{}, panicking{method}, errs.WithUnmapped(boom),
			errs.WithReference(func(context.Context, *hauberk.Call, error) string { panic("boom") }))
		if status.Code(got) != codes.Unknown || status.Convert(got).Message() != "internal error" {
			t.Errorf("%s: %v; want a masked error", method, got)
		}
		if count(x, "errs_unmapped_total") != 1 || count(x, "errs_masked_total") != 1 || count(x, "errs_panics_total") < 2 {
			t.Errorf("%s: %v", method, x.Measurements())
		}
	}
}
