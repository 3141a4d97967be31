// Package reports tests, on real sockets, what users of other projects have reported about authentication,
// authorization and limits. Each test names the reports and holds the outcome that is right. It contains only tests.
package reports
