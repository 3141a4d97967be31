package frametransport

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// rejection is the response to a request that is not one of gRPC.
type rejection struct {
	httpStatus int // 0 resets the stream, since the request is malformed
	status     transport.Status
	tooLarge   bool // the header list
}

// limit returns the limit that the request has met, as an error, or nil.
func (r *rejection) limit() error {
	if !r.tooLarge {
		return nil
	}
	return &limits.Error{Limit: limits.Headers, Code: r.status.Code, Message: r.status.Message}
}

func reject(httpStatus int, code codes.Code, message string) *rejection {
	return &rejection{httpStatus: httpStatus, status: transport.Status{Code: code, Message: message}}
}

func (r *rejection) write(stream *h2.Stream) {
	if r.httpStatus == 0 {
		stream.Reset(http2.ErrCodeProtocol)
		return
	}
	fields := []hpack.HeaderField{
		{Name: ":status", Value: strconv.Itoa(r.httpStatus)},
		{Name: keyContentType, Value: contentType},
	}
	_ = stream.WriteHeader(appendStatus(fields, r.status), true)
}

// requestHead collects the header list of a request.
type requestHead struct {
	method, path, scheme, authority string
	hosts                           []string
	named                           bool // has :authority or host, which may be empty
	timeout                         string
	timeouts                        int
	malformed                       bool     // has a key of a connection, as in HTTP/1.1
	bad                             error    // of a binary value
	values                          []string // of metadata, in one array
}

// set sets the first value of a key.
func (h *requestHead) set(md metadata.MD, key, value string) {
	n := len(h.values)
	h.values = append(h.values, value)
	md[key] = h.values[n : n+1 : n+1]
}

// parse reads the request. The timeout is noTimeout if there is none.
func (in *inbound) parse() (timeout time.Duration, bad *rejection) {
	fields, err := in.stream.Header(nil) //nolint:staticcheck // a server's stream has its header
	if err != nil {
		return 0, reject(200, codes.Canceled, "gateway: the call was cancelled")
	}
	if in.stream.Oversized() {
		bad = reject(200, codes.ResourceExhausted, "gateway: the header list of the request is too large")
		bad.tooLarge = true
		return 0, bad
	}
	in.fields = fields
	in.request.Metadata = make(metadata.MD, len(fields))
	return parseRequest(fields, &in.request)
}

// parseRequest reads the header list of a request. It sets the metadata only if there is a map for it.
func parseRequest(fields []hpack.HeaderField, req *transport.Request) (timeout time.Duration, bad *rejection) {
	var head requestHead
	if req.Metadata != nil {
		head.values = make([]string, 0, len(fields)+1)
	}
	for _, f := range fields {
		head.add(f, req)
	}
	if bad := head.check(req); bad != nil {
		return 0, bad
	}
	req.Method = head.path
	req.Raw.Authority = head.authority
	if req.Metadata != nil {
		head.set(req.Metadata, ":authority", head.authority)
	}
	if head.timeouts == 0 {
		return noTimeout, nil
	}
	timeout, err := parseTimeout(head.timeout)
	if err != nil || head.timeouts > 1 {
		return 0, reject(400, codes.Internal, "gateway: malformed grpc-timeout")
	}
	return timeout, nil
}

func (h *requestHead) add(f hpack.HeaderField, req *transport.Request) {
	switch f.Name {
	case ":method":
		h.method = f.Value
	case ":path":
		h.path = f.Value
	case ":scheme":
		h.scheme = f.Value
	case ":authority":
		h.authority = f.Value
		h.named = true
	case "host":
		h.hosts = append(h.hosts, f.Value)
		h.named = true
	case keyTimeout:
		h.timeout = f.Value
		h.timeouts++
	case keyEncoding:
		req.Compressor = f.Value
	case keyPrevious:
		req.Raw.PreviousAttempts = f.Value
		h.metadata(f, req)
	case keyAcceptEncoding:
		req.Raw.AcceptEncoding = joined(req.Raw.AcceptEncoding, f.Value)
		h.metadata(f, req)
	case keyUserAgent:
		req.Raw.UserAgent = f.Value
		h.metadata(f, req)
	case keyContentType:
		req.Raw.ContentType = f.Value
		h.metadata(f, req)
	case "connection", "transfer-encoding", "upgrade":
		h.malformed = true
	default:
		if !own(f.Name) {
			h.metadata(f, req)
		}
	}
}

func joined(list, value string) string {
	if list == "" {
		return value
	}
	return list + "," + value
}

func (h *requestHead) metadata(f hpack.HeaderField, req *transport.Request) {
	if req.Metadata == nil {
		if err := checkMetadata(f); err != nil {
			h.bad = err
		}
	} else if !metadatakey.Binary(f.Name) && req.Metadata[f.Name] == nil {
		h.set(req.Metadata, f.Name, f.Value)
	} else if err := addMetadata(req.Metadata, f); err != nil {
		h.bad = err
	}
}

// check returns the response to a request that cannot be served.
func (h *requestHead) check(req *transport.Request) *rejection {
	sub, ok := subtype(req.Raw.ContentType)
	req.Subtype = sub
	if h.authority == "" && len(h.hosts) == 1 {
		h.authority = h.hosts[0]
	}
	switch {
	case h.malformed: // RFC 9113, section 8.2.2
		return &rejection{}
	case h.method != "POST":
		return reject(405, codes.Internal,
			"gateway: the method of the request is "+strconv.Quote(h.method)+"; want POST")
	case !ok:
		return reject(415, codes.Unknown,
			"gateway: the content-type is "+strconv.Quote(req.Raw.ContentType)+"; want "+contentType)
	case !h.named || len(h.hosts) > 1 || len(h.hosts) == 1 && h.hosts[0] != h.authority:
		return reject(400, codes.Internal, "gateway: the request needs one :authority")
	case h.bad != nil:
		return reject(400, codes.Internal, "gateway: malformed metadata: "+h.bad.Error())
	case h.path == "" || h.path[0] != '/' || strings.LastIndexByte(h.path, '/') == 0:
		return reject(200, codes.Unimplemented, "malformed method name: "+strconv.Quote(h.path))
	}
	return nil
}
