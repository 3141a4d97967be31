package hauberk_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	authns "github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
	errtables "github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	retries "github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// rejectsInterceptor checks that New reports what is wrong with an interceptor, in
// words that have each of want.
func rejectsInterceptor(t *testing.T, x hauberk.Interceptor, want ...string) {
	t.Helper()
	_, err := hauberk.New(x)
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v; want %q in it", err, w)
		}
	}
}

// TestNilOptions: New reports an option that is nil, with its place and the name of the
// interceptor; no constructor panics.
func TestNilOptions(t *testing.T) {
	for name, x := range map[string]hauberk.Interceptor{
		"logging":       logging.New(logging.Config{}, nil),
		"metrics":       metrics.New(metrics.Config{}, nil),
		"metricsotel":   metricsotel.New(metricsotel.Config{}, nil),
		"tracing":       tracing.New(tracing.Config{}, nil),
		"requestid":     requestid.New(requestid.Config{}, nil),
		"recovery":      recovery.New(recovery.Config{}, nil),
		"retry":         retries.New(retries.Config{}, nil),
		"breaker":       breaker.New(breaker.Config{}, nil),
		"concurrency":   concurrency.New(concurrency.Config{Limit: 1}, nil),
		"ratelimit":     ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Second}, nil),
		"transform":     transform.New(transform.Config{}, nil),
		"errs":          errtables.New(errtables.Config{}, errtables.NewTable("shop.example"), nil),
		"decisiontrace": decisiontrace.New(decisiontrace.Config{}, decisiontrace.By(authns.User), nil),
	} {
		place := "option 1 of New is nil"
		if name == "decisiontrace" {
			place = "option 2 of New is nil"
		}
		rejectsInterceptor(t, x, name, place)
	}
	if err := prometheus.NewRegistry().Register(metricsprom.NewServerCollector(metrics.New(metrics.Config{}), nil)); err == nil ||
		!strings.Contains(err.Error(), "option 1 of New is nil") {
		t.Errorf("metricsprom: %v", err)
	}
}

// TestZeroInterceptors: New reports an interceptor that its constructor did not make.
func TestZeroInterceptors(t *testing.T) {
	for name, x := range map[string]hauberk.Interceptor{
		"logging": new(logging.Interceptor), "metrics": new(metrics.Interceptor), "metricsotel": new(metricsotel.Interceptor),
		"tracing": new(tracing.Interceptor), "requestid": new(requestid.Interceptor), "recovery": new(recovery.Interceptor),
		"retry": new(retries.Interceptor), "breaker": new(breaker.Interceptor), "concurrency": new(concurrency.Interceptor), "ratelimit": new(ratelimit.Interceptor),
		"errs": new(errtables.Interceptor), "transform": new(transform.Interceptor), "decisiontrace": new(decisiontrace.Interceptor), "authn": new(authns.Interceptor),
	} {
		t.Run(name, func(t *testing.T) { rejectsInterceptor(t, x, name) })
	}
}

// TestSameInstanceTwice: an instance that would run twice for a call is reported; one
// that is listed for different methods is not.
func TestSameInstanceTwice(t *testing.T) {
	m := metrics.New(metrics.Config{})
	for name, c := range map[string]struct {
		chain []hauberk.Interceptor
		want  string
	}{
		"twice":            {[]hauberk.Interceptor{m, m}, "interceptor 2: metrics: it is the same instance as interceptor 1"},
		"renamed":          {[]hauberk.Interceptor{m, hauberk.Named("again", m)}, "again: it is the same instance"},
		"also for some":    {[]hauberk.Interceptor{m, hauberk.For("a.B/*", m)}, "the same instance"},
		"same scope":       {[]hauberk.Interceptor{hauberk.For("a.B/*", m), hauberk.For("a.B/*", m)}, "the same instance"},
		"different scopes": {[]hauberk.Interceptor{hauberk.For("a.B/*", m), hauberk.For("a.C/*", m)}, ""},
		"other instance":   {[]hauberk.Interceptor{m, metrics.New(metrics.Config{})}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hauberk.New(c.chain...)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want %q in it", err, c.want)
			}
		})
	}
}

// TestEachErrorHasItsPlace: each error of an interceptor has the interceptor's place and name
// in the error of New, however they are joined.
func TestEachErrorHasItsPlace(t *testing.T) {
	first, second, third := errors.New("first"), fmt.Errorf("second: %w and %w", io.EOF, io.ErrNoProgress), errors.New("third")
	wrong := hauberk.Declare(hauberk.Func(idle), hauberk.Declaration{
		Name: "limit", Err: errors.Join(first, errors.Join(second, third)),
	})
	_, err := hauberk.New(hauberk.Func(idle), wrong)
	equal(t, "errors", strings.Split(err.Error(), "\n"), []string{
		"hauberk: interceptor 2: limit: first",
		"hauberk: interceptor 2: limit: second: EOF and multiple Read calls return no data or error",
		"hauberk: interceptor 2: limit: third",
	})
	for _, want := range []error{first, second, third, io.EOF} {
		if !errors.Is(err, want) {
			t.Errorf("the error of New is not %v", want)
		}
	}
}
