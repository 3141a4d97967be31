package frametransport

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// answer is what the upstream has answered, apart from messages.
type answer struct {
	raw  transport.RawResponse
	over bool             // end and the trailer are set
	end  transport.Status // of the call
}

// source is where an answer comes from.
type source struct {
	ctx      context.Context //nolint:containedctx // that of the call
	upstream *Upstream
	stream   *h2.Stream
	at       *endpoint
}

// receiveHeader reads the response header.
func (a *answer) receiveHeader(from source, fields []hpack.HeaderField) {
	stream := from.stream
	only := stream.TrailersOnly()
	code, err := a.parseHeader(fields, only)
	switch {
	case stream.Oversized() && !only:
		a.fail(from, &limits.Error{
			Limit: limits.ResponseHeader, Code: codes.ResourceExhausted,
			Message: "gateway: the header list of the response is too large",
		})
	case err != nil:
		a.finish(transport.Status{Code: code, Message: err.Error()})
	case only:
		a.raw.Header = nil
		a.parseTrailer(from, fields)
	}
}

// parseHeader reads a header list of a response. It returns an error if the response is not
// one of gRPC.
func (a *answer) parseHeader(fields []hpack.HeaderField, only bool) (codes.Code, error) {
	httpStatus, hasStatus := "", false
	if a.raw.Header = fields[:0]; only { // parseTrailer needs the fields, too
		a.raw.Header = make([]hpack.HeaderField, 0, len(fields))
	}
	for _, f := range fields {
		switch f.Name {
		case ":status":
			httpStatus = f.Value
		case keyContentType:
			a.raw.ContentType = f.Value
		case keyEncoding:
			a.raw.Encoding = f.Value
		case keyAcceptEncoding:
			a.raw.AcceptEncoding = joined(a.raw.AcceptEncoding, f.Value)
		case keyStatus:
			hasStatus = true
		default:
			if own(f.Name) || f.Name == keyDetails {
				continue
			}
			if err := checkMetadata(f); err != nil {
				return codes.Internal, fmt.Errorf("gateway: malformed metadata of the upstream: %w", err)
			}
			a.raw.Header = append(a.raw.Header, f)
		}
	}
	if _, grpc := subtype(a.raw.ContentType); hasStatus && only && grpc {
		return codes.OK, nil
	}
	return a.checkHTTP(httpStatus)
}

// checkHTTP returns an error unless the header is that of a response of gRPC.
func (a *answer) checkHTTP(httpStatus string) (codes.Code, error) {
	_, grpc := subtype(a.raw.ContentType)
	number, err := strconv.Atoi(httpStatus)
	switch {
	case err != nil || len(httpStatus) != 3:
		return codes.Internal, fmt.Errorf("gateway: the upstream's :status is %q", httpStatus)
	case number != 200:
		return codeOfHTTP(number), fmt.Errorf("gateway: the upstream answered with HTTP status %d and content-type %q",
			number, a.raw.ContentType)
	case !grpc:
		return codes.Unknown, fmt.Errorf("gateway: the upstream answered with content-type %q; want %s",
			a.raw.ContentType, contentType)
	}
	return codes.OK, nil
}

// receiveTrailer sets the status at the regular end of a response.
func (a *answer) receiveTrailer(from source) {
	fields, ok := from.stream.Trailer()
	if !ok {
		a.finish(transport.Status{
			Code: codes.Internal, Message: "gateway: the upstream ended the stream without a trailer",
		})
		return
	}
	a.parseTrailer(from, fields)
}

// fail ends the call with the status of an error. A response that ended within a message may
// have a trailer, whose status counts.
func (a *answer) fail(from source, err error) {
	if errors.Is(err, errTruncated) {
		if fields, ok := from.stream.Trailer(); ok {
			a.parseTrailer(from, fields)
			return
		}
	}
	if transportError(from.ctx, err) {
		from.upstream.report(from.at, true)
	}
	from.upstream.config.Limits.MetBy(err, "upstream")
	a.finish(statusOfError(from.ctx, err))
}

func (a *answer) parseTrailer(from source, fields []hpack.HeaderField) {
	from.upstream.report(from.at, false)
	st, md, err := statusOf(fields)
	if from.stream.OversizedTrailer() {
		from.upstream.config.Limits.Met(limits.ResponseHeader, "upstream")
		md, st.Details, st.Raw.Details = nil, nil, nil
		st.Message, st.Raw.Message = shortened(st.Message), ""
	}
	if err != nil {
		st = transport.Status{Code: codes.Unknown, Message: "gateway: " + err.Error()}
	}
	a.raw.Trailer = md
	a.finish(st)
}

// statusOf reads a trailer. md are its fields with metadata, in the array of fields.
func statusOf(fields []hpack.HeaderField) (st transport.Status, md []hpack.HeaderField, err error) {
	st.Code = codes.Unknown
	has := false
	md = fields[:0]
	for _, f := range fields {
		switch f.Name {
		case keyStatus:
			n, wrong := strconv.ParseUint(f.Value, 10, 32)
			if wrong != nil {
				err = fmt.Errorf("the upstream's grpc-status is %q; want a number", shortened(f.Value))
			}
			st.Code, has = codes.Code(n), true
		case keyMessage:
			st.Message, st.Raw.Message = decodeMessage(f.Value), f.Value
		case keyDetails:
			raw, wrong := decodeBinary(f.Value)
			if wrong != nil {
				continue // the client cannot decode it either
			}
			st.Details = append(st.Details, raw)
			st.Raw.Details = append(st.Raw.Details, f.Value)
		default:
			if own(f.Name) || f.Name == keyContentType || checkMetadata(f) != nil {
				continue // a malformed value is lost, but not the status
			}
			md = append(md, f)
		}
	}
	if !has && err == nil {
		err = errors.New("the upstream's trailer has no grpc-status")
	}
	return st, md, err
}

// finish sets the status of the call.
func (a *answer) finish(st transport.Status) { a.over, a.end = true, st }
