// Package attacks tests servers and clients that use Hauberk against attacks, on real sockets. It
// contains only tests. Each is named after its row in the project's table of attacks and faults: TestZ01
// is row Z01. A ledger at the handlers records what was executed: a status alone does not show
// that a call had no effect.
//
// README.md has all rows of that table: which test holds each, or what it waits for.
package attacks
