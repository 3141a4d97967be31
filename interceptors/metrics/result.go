package metrics

import (
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// numCodes is the number of status codes that gRPC defines, from OK (0) to UNAUTHENTICATED (16).
const numCodes = int(codes.Unauthenticated) + 1

// result describes the outcome of a call.
type result struct {
	code      codes.Code
	rejection *hauberk.Rejection // made in this process
	remote    string             // the reason that the server sent
	failed    bool               // the error is not a rejection; it may be the handler's
}

func resultOf(call *hauberk.Call, err error) result {
	if err == nil {
		return result{}
	}
	r := result{code: hauberk.CodeOf(err), rejection: hauberk.RejectionOf(err)}
	if int(r.code) >= numCodes {
		r.code = codes.Unknown // as gRPC specifies for undefined codes
	}
	r.failed = r.rejection == nil
	if r.failed && call.Side() == hauberk.ClientSide {
		r.remote = hauberk.Reason(err)
	}
	return r
}

// messages returns the number of messages that the call's side has sent and received. A method
// with one response has sent or received it if the call is OK. This needs no access to numbers
// that other goroutines may still write.
func (r *result) messages(call *hauberk.Call, exact bool) (sent, received uint64) {
	var response uint64
	if r.code == codes.OK {
		response = 1
	}
	single := !call.Kind().ServerStreams()
	if call.Side() == hauberk.ClientSide {
		if single {
			return uint64(call.Sent()), response
		}
		return uint64(call.Sent()), uint64(call.Received())
	}
	received = uint64(call.Received())
	if received == 0 && !exact && r.failed && call.Kind() == hauberk.Unary {
		received = 1 // see the package documentation
	}
	if single {
		return response, received
	}
	return uint64(call.Sent()), received
}
