// Package e2e tests the hauberk command as its users have it: the built binary,
// between peers that know nothing of it, over sockets of this machine.
package e2e
