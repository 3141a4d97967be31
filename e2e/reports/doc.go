// Package reports tests, on real sockets, what users of other projects have reported about authentication,
// authorization, limits, errors, serving states, shutdown, audits, versions, retries, hedges, circuit breakers, caches
// and idempotency keys. Each test names the reports and holds the outcome that is right. It contains only tests.
package reports
