// Package e2e tests the hauberk command: the built binary runs between peers that do not depend
// on Hauberk, connected by sockets of this machine.
package e2e
