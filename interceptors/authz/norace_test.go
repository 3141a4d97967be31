//go:build !race

package authz_test

// differentialRequests is how many requests TestDifferential generates for each comparison.
const differentialRequests = 1_000_000
