package grpctransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"google.golang.org/grpc/resolver"

	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
)

// CheckTarget returns an error for targets that grpc-go accepts but cannot call.
func CheckTarget(address string) error {
	if isList(address) {
		_, err := target.Parse(address)
		return err
	}
	scheme, _, _ := strings.Cut(address, ":")
	if strings.Contains(address, "://") || scheme == "unix" || scheme == "unix-abstract" {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		if resolver.Get(u.Scheme) == nil {
			return fmt.Errorf("%q is not a scheme of gRPC; want host:port, dns:///host:port or unix:///path", u.Scheme)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	}
	if err != nil || host == "" || port == "" || port == "0" {
		return errors.New("not an address; want host:port, such as 127.0.0.1:50051")
	}
	return nil
}
