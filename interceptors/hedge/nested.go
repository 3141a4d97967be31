package hedge

import (
	"errors"
	"fmt"
)

// ErrTransportRetries is found by errors.Is in the error of a call that this interceptor does not
// hedge, since grpc-go retries calls of its method: the service config of the connection has a
// retryPolicy for it. Attempts of both would multiply. Remove the retryPolicy, or create the
// connection with grpc.WithDisableRetry. Transparent retries of grpc-go are not concerned.
var ErrTransportRetries = errors.New("hedge: the service config of the connection has a retryPolicy")

// nestedError is a failure of a call that is not hedged, since grpc-go retries it. Its status is that
// of the failure.
type nestedError struct {
	method string
	cause  error
}

func (e *nestedError) Error() string {
	return fmt.Sprintf("hedge: grpc-go retries %s, by the retryPolicy in the service config of the connection; "+
		"remove it, or use grpc.WithDisableRetry: %v", e.method, e.cause)
}

func (e *nestedError) Unwrap() []error { return []error{ErrTransportRetries, e.cause} }
