package catalog

import (
	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/forward"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// calling adds the interceptors that change, repeat or answer calls.
func (c *Catalog) calling() {
	plain(c, "deadline", hauberk.BothSides, "Bounds the time of calls.",
		func(_ *Build, config deadline.Config) hauberk.Interceptor { return deadline.New(config) })
	plain(c, "retry", hauberk.OnlyClients, "Repeats failed calls.",
		func(_ *Build, config retry.Config) hauberk.Interceptor { return retry.New(config) })
	plain(c, "hedge", hauberk.OnlyClients, "Makes further attempts of slow calls.",
		func(_ *Build, config hedge.Config) hauberk.Interceptor { return hedge.New(config) })
	plain(c, "breaker", hauberk.OnlyClients, "Stops calls to what fails: a circuit breaker.",
		func(b *Build, config breaker.Config) hauberk.Interceptor {
			return breaker.New(config, breaker.WithLogger(b.Logger))
		})
	plain(c, "cache", hauberk.BothSides, "Answers calls without side effects from memory.",
		func(b *Build, config cache.Config) hauberk.Interceptor {
			return cache.New(config, options[cache.Option]{cache.WithLogger(b.Logger)}.
				when(b.Clock != nil, func() cache.Option { return cache.WithClock(b.Clock) })...)
		})
	plain(c, "coalesce", hauberk.BothSides, "Makes one call for equal calls in flight.",
		func(b *Build, config coalesce.Config) hauberk.Interceptor {
			return coalesce.New(config, coalesce.WithLogger(b.Logger))
		})
	plain(c, "transform", hauberk.BothSides, "Changes metadata, deadlines and statuses.",
		func(_ *Build, config transform.Config) hauberk.Interceptor { return transform.New(config) })
	plain(c, "forward", hauberk.OnlyClients, "Sends metadata of the incoming call with outgoing ones.",
		func(_ *Build, config forward.Config) hauberk.Interceptor { return forward.New(config) })
	plain(c, "fault", hauberk.BothSides, "Delays, aborts and drops, to test how clients and servers handle it.",
		func(_ *Build, config fault.Config) hauberk.Interceptor { return fault.New(config) })
	add(c, "errs", hauberk.BothSides, "Masks the errors of handlers that carry no status.",
		func(_ *Build, form *errsForm) (hauberk.Interceptor, error) {
			return errs.New(form.Config, errs.NewTable(form.Domain)), nil
		})
}

// errsForm is errs with an empty table.
type errsForm struct {
	errs.Config

	// Domain is that of the google.rpc.ErrorInfo of masked errors, such as "shop.example".
	Domain string `policy:"required"`
}
