package frametransport

import (
	"fmt"
	"strings"
)

// target is an address of the upstream.
type target struct {
	network, address string
	authority        string
}

// CheckTarget returns an error for targets that this transport cannot call.
func CheckTarget(address string) error {
	_, err := parseTarget(address)
	return err
}

func oneAddress(address, rest string) (target, error) {
	if strings.Contains(rest, ",") {
		return target{}, fmt.Errorf("%q has several addresses; this transport supports one", address)
	}
	return target{"tcp", rest, rest}, nil
}

// parseTarget reads host:port and the targets of grpc-go with one address. A name is
// resolved at each connection, and its addresses are tried in turn.
func parseTarget(address string) (target, error) {
	scheme, rest, found := strings.Cut(address, ":")
	if !found {
		return target{}, fmt.Errorf("%q has no port; want host:port", address)
	}
	switch path, slashes := strings.CutPrefix(rest, "///"); {
	case scheme == "unix" && slashes:
		return target{"unix", "/" + path, "localhost"}, nil
	case scheme == "unix" && !strings.HasPrefix(rest, "//"):
		return target{"unix", rest, "localhost"}, nil
	case slashes && (scheme == "dns" || scheme == "passthrough"):
		return target{"tcp", path, path}, nil
	case scheme == "ipv4" || scheme == "ipv6":
		return oneAddress(address, rest)
	case strings.HasPrefix(rest, "//"):
		return target{}, fmt.Errorf("the target %q is not supported by this transport; "+
			"want host:port, dns:///host:port or unix:///path", address)
	}
	return target{"tcp", address, address}, nil
}
