//go:build race

package authz_test

// differentialRequests is fewer with the race detector, which makes each about ten times
// slower: the requests of the test run on one goroutine, so that it finds nothing more.
const differentialRequests = 50_000
