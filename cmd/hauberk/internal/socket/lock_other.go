//go:build !unix || solaris || illumos || aix

package socket

// lock does nothing: there is no flock.
func lock(string) (unlock func(), err error) { return func() {}, nil }
