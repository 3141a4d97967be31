package hauberk

import "github.com/hauberk-rpc/hauberk/internal/connoptions"

// TransportRetries reports whether grpc-go itself retries calls of the method on a client: the
// service config of the connection has a retryPolicy for it, and grpc.WithDisableRetry is not
// set. The service config is known once the name of the target is resolved, so call it after
// next. Transparent retries, which grpc-go always makes, do not count. It is false on a server,
// for connections that are not grpc-go's, and for a retryPolicy that xDS provides, which grpc-go
// does not reveal.
func (c *Call) TransportRetries() bool {
	end, ok := c.end.(caller)
	if !ok {
		return false
	}
	conn := c.leg.connection(end.conn())
	if conn == nil || conn.GetMethodConfig(c.method.full).RetryPolicy == nil {
		return false
	}
	return !connoptions.RetriesDisabled(conn)
}
