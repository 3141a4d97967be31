package errs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// ReferenceKey is the key of the reference of a masked error in the state of a call on a server. Outer interceptors
// read it when the call has ended.
var ReferenceKey = hauberk.NewKey[string]("error reference")

// The reasons of statuses that a server makes for errors that have no entry, in the domain of its table.
const (
	// ReasonMasked: the error is an internal one of the server. The metadata of the google.rpc.ErrorInfo have the
	// reference, under the key "reference".
	ReasonMasked = "INTERNAL_ERROR"
	// ReasonDependency: a call of the server to another service failed. The metadata have the reference.
	ReasonDependency = "DEPENDENCY_FAILED"
)

func isReserved(reason string) bool {
	return reason == ReasonMasked || reason == ReasonDependency || reason == hauberk.ReasonMalformed
}

// Interceptor turns errors into statuses on a server, and statuses into errors on a client. Make it with [New]. It may
// be used by any number of chains at once, of servers and of clients.
type Interceptor struct {
	config      Config
	table       *Table
	reference   func(ctx context.Context, call *hauberk.Call, err error) string
	unmapped    func(ctx context.Context, call *hauberk.Call, err error)
	codecErrors func(ctx context.Context, call *hauberk.Call, err error)
	err         error

	counts struct{ unmapped, masked, lost, panics atomic.Uint64 }
}

// New returns an interceptor for both sides that uses the errors of a table. hauberk.New reports what is wrong with the
// table and the configuration.
func New(config Config, table *Table, opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults(), table: table, reference: random}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.err = errors.Join(x.config.check(), table.Err(), x.err, nils)
	return x
}

// random returns a reference.
func random(context.Context, *hauberk.Call, error) string {
	return fmt.Sprintf("%016x", rand.Uint64())
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: "errs", Phase: hauberk.PhaseErrors, Repeatable: true, Err: x.err}
	switch {
	case x.table == nil && d.Err == nil:
		d.Err = errors.New("a zero errs.Interceptor; make it with errs.New")
	case d.Err == nil:
		d.Settings = x.table.settings
	}
	return d
}

// Intercept calls next and translates its error.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	err := next(ctx, call)
	switch {
	case err == nil:
		return nil
	case call.Side() == hauberk.ClientSide:
		return x.received(ctx, call, err)
	default:
		return x.returned(ctx, call, err)
	}
}

// report calls a function of an option, and contains its panic.
func (x *Interceptor) report(
	ctx context.Context, call *hauberk.Call, err error, f func(ctx context.Context, call *hauberk.Call, err error),
) {
	if f == nil {
		return
	}
	_ = x.contain("a function of an option", func() error {
		f(ctx, call, err)
		return nil
	})
}

// contain returns the error of f, or its panic as an error, which it counts.
func (x *Interceptor) contain(what string, f func() error) error {
	err := contained(what, f)
	if _, ok := errors.AsType[*panicError](err); ok {
		x.counts.panics.Add(1)
	}
	return err
}

// Measurements returns the numbers of errors: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	counter := func(name, help string, n *atomic.Uint64) hauberk.Measurement {
		return hauberk.Measurement{Name: name, Help: help, Counter: true, Value: float64(n.Load())}
	}
	return []hauberk.Measurement{
		counter("errs_unmapped_total", "Errors of handlers without an entry or a status.", &x.counts.unmapped),
		counter("errs_masked_total", "Errors of handlers whose text was replaced by a reference.", &x.counts.masked),
		counter("errs_lost_details_total", "Errors whose details could not be encoded or decoded.", &x.counts.lost),
		counter("errs_panics_total", "Panics of functions and errors that the interceptor calls.", &x.counts.panics),
	}
}
