package metrics

import (
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// numCodes is how many status codes gRPC defines: OK, 0, to UNAUTHENTICATED, 16.
const numCodes = int(codes.Unauthenticated) + 1

// result is what is to be known of an outcome.
type result struct {
	code      codes.Code
	rejection *hauberk.Rejection // made in this process
	remote    string             // the reason that came over the wire
	failed    bool               // with an error that is no rejection, perhaps the handler's
}

func resultOf(call *hauberk.Call, err error) result {
	if err == nil {
		return result{}
	}
	r := result{code: hauberk.CodeOf(err), rejection: hauberk.RejectionOf(err)}
	if int(r.code) >= numCodes {
		r.code = codes.Unknown // as gRPC says of codes that are not defined
	}
	r.failed = r.rejection == nil
	if r.failed && call.Side() == hauberk.ClientSide {
		r.remote = hauberk.Reason(err)
	}
	return r
}

// messages returns how many messages the call's side has sent and received. The
// one response of a method is there if the call is OK, which its interceptors can tell
// without looking at what others may still be writing.
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
		received = 1 // see the package's documentation
	}
	if single {
		return response, received
	}
	return uint64(call.Sent()), received
}
