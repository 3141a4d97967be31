// Package endpoint has the rules for URLs to which secrets are sent.
package endpoint

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// Check returns why no secret must be sent to the URL in a setting, or nil: it must be https, or
// http on a loopback address. The error contains no password of the URL, and an example with a path.
func Check(setting, raw, path string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%s is not a URL; want one such as https://issuer.example.org/%s", setting, path)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return fmt.Errorf("%s is %q; want https, since secrets are sent to it", setting, u.Redacted())
	default:
		return nil
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Client returns a copy of a client that follows no redirect, since its requests have secrets. nil is
// a client with the default transport.
func Client(client *http.Client) *http.Client {
	own := http.Client{Transport: http.DefaultTransport}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}
