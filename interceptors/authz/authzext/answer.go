package authzext

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hauberk-rpc/hauberk"
)

// answer is what the service says about a call. It is never modified: calls share it.
type answer struct {
	rule     string
	denied   *hauberk.Rejection // nil if the call is allowed
	edits    []edit             // of the request metadata
	removed  []string           // keys, after the edits
	client   metadata.MD        // the response header, or the trailer of a denial
	metadata *structpb.Struct   // nil if there is none
}

// keepable reports whether an answer can be cached: not one that says "not now".
func (a *answer) keepable() bool { return a.denied == nil || a.denied.Code != codes.Unavailable }

// maxClientMetadata is the size of the metadata that a denial may send to the client, in bytes of
// keys and values. It leaves room for the status.
const maxClientMetadata = 2 << 10

// answerOf returns the answer that a response is. Its error is a failure.
func (x *Interceptor) answerOf(resp *authv3.CheckResponse) (*answer, error) {
	if size := proto.Size(resp); size > MaxAnswer {
		return nil, invalid("it has %d bytes; want at most %d", size, MaxAnswer)
	}
	code := resp.GetStatus().GetCode()
	if resp.GetStatus() == nil && resp.GetOkResponse() == nil {
		return nil, invalid("it has neither a status nor an ok_response")
	}
	if code < 0 || code > int32(codes.Unauthenticated) {
		return nil, invalid("it has the unknown status %d", code)
	}
	switch inner := resp.GetHttpResponse().(type) {
	case *authv3.CheckResponse_ErrorResponse:
		if code == 0 {
			return nil, invalid("it has the status OK and an error_response")
		}
		return nil, x.serviceError(resp, inner.ErrorResponse)
	case *authv3.CheckResponse_DeniedResponse:
		if code == 0 {
			return nil, invalid("it has the status OK and a denied_response")
		}
	default:
	}
	if code != 0 {
		return x.denies(resp), nil
	}
	return x.allows(resp)
}

// denies returns the answer that a response with another status than OK is. The call is denied even
// if the rest of the response is invalid: metadata that cannot be sent is left out.
func (x *Interceptor) denies(resp *authv3.CheckResponse) *answer {
	denied := resp.GetDeniedResponse()
	http := int32(denied.GetStatus().GetCode())
	if http == 0 {
		http = 403
	}
	cause := fmt.Errorf("%w: status %d (%s), HTTP status %d", ErrDenied, resp.GetStatus().GetCode(),
		shorten(resp.GetStatus().GetMessage(), 256), http)
	return &answer{
		rule:     fmt.Sprintf("denied, HTTP %d", http),
		denied:   x.denial(codeOf(http), denied.GetBody(), cause),
		client:   x.sendable(denied.GetHeaders()),
		metadata: resp.GetDynamicMetadata(),
	}
}

// serviceError returns the failure that the service reports about itself.
func (x *Interceptor) serviceError(resp *authv3.CheckResponse, reported *authv3.DeniedHttpResponse) *failure {
	http := int32(reported.GetStatus().GetCode())
	f := failed("it reports status %d (%s), HTTP status %d", resp.GetStatus().GetCode(),
		shorten(resp.GetStatus().GetMessage(), 256), http)
	f.opens, f.trailer = true, x.sendable(reported.GetHeaders())
	if http != 0 {
		f.code = codeOf(http)
	}
	return f
}

// allows returns the answer that a response with the status OK is.
func (x *Interceptor) allows(resp *authv3.CheckResponse) (*answer, error) {
	ok := resp.GetOkResponse()
	a := &answer{rule: Allowed, metadata: resp.GetDynamicMetadata()}
	//nolint:staticcheck // until the field is removed, it overrides that of the response
	if m := ok.GetDynamicMetadata(); m != nil {
		a.metadata = m
	}
	var err error
	if a.edits, err = editsOf("headers", ok.GetHeaders(), overwriteByDefault); err != nil {
		return nil, err
	}
	a.removed = removedBy(ok.GetHeadersToRemove())
	edits, err := editsOf("response_headers_to_add", ok.GetResponseHeadersToAdd(), addByDefault)
	if err != nil {
		return nil, err
	}
	if n := len(ok.GetQueryParametersToSet()) + len(ok.GetQueryParametersToRemove()); n > 0 {
		return nil, invalid("it changes %d query parameters, which gRPC does not have", n)
	}
	a.client = make(metadata.MD)
	for _, e := range edits {
		if x.clientHeaders.has(e.key) {
			e.apply(a.client)
		}
	}
	return a, nil
}

// sendable returns the metadata of a denial for the client. It leaves out what is reserved, not
// permitted, not legal or too large.
func (x *Interceptor) sendable(headers []*corev3.HeaderValueOption) metadata.MD {
	md := make(metadata.MD)
	room := maxClientMetadata
	for _, h := range headers {
		e, err := editOf(h, addByDefault)
		if err != nil || !x.clientHeaders.has(e.key) {
			continue
		}
		if room -= len(e.key) + len(e.value); room < 0 {
			break
		}
		e.apply(md)
	}
	return md
}
