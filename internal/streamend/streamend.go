// Package streamend corrects ends of streams that grpc-go reports as good although they are not.
package streamend

import (
	"errors"
	"io"
	"reflect"

	"google.golang.org/grpc"
)

// Check returns the outcome of stream.RecvMsg(msg), which has returned err. No earlier RecvMsg of
// the stream has returned a message.
//
// If a client sends several messages, grpc-go may send them again on a further stream of the
// transport: if the first one was not processed, or by the retry policy of the service config. If
// the further stream ends meanwhile, RecvMsg returns the io.EOF with which that rejected a message,
// even if its status is an error, or messages have arrived (stream.go, retryLocked, of v1.85.0). The
// next RecvMsg receives from that stream. After a good end it returns io.EOF again. So Check calls
// RecvMsg once more. It does so only for streams of grpc-go: other streams may block, or may count
// a second end.
func Check(stream grpc.ClientStream, msg any, err error) error {
	if errors.Is(err, io.EOF) && isOfGRPC(stream) {
		return stream.RecvMsg(msg)
	}
	return err
}

// isOfGRPC reports whether no interceptor has put another stream in place of that of grpc-go.
func isOfGRPC(stream grpc.ClientStream) bool {
	t := reflect.TypeOf(stream)
	return t != nil && t.Kind() == reflect.Pointer && t.Elem().PkgPath() == reflect.TypeFor[grpc.ClientConn]().PkgPath()
}
