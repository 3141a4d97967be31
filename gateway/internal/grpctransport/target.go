package grpctransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"google.golang.org/grpc/resolver"
)

// CheckTarget returns an error for targets that grpc-go accepts but cannot call.
func CheckTarget(target string) error {
	if scheme, _, _ := strings.Cut(target, ":"); strings.Contains(target, "://") || scheme == "unix" {
		u, err := url.Parse(target)
		if err != nil {
			return err
		}
		if resolver.Get(u.Scheme) == nil {
			return fmt.Errorf("%q is not a scheme of gRPC; want host:port, dns:///host:port or unix:///path", u.Scheme)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(target)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	}
	if err != nil || host == "" || port == "" || port == "0" {
		return errors.New("not an address; want host:port, such as 127.0.0.1:50051")
	}
	return nil
}
