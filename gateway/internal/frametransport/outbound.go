package frametransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// outbound is one call to the upstream. Header, Raw, Recv and End run on one goroutine.
type outbound struct {
	receiver receiver // of the goroutine that receives, as all that follows it

	sending

	raw   transport.RawResponse
	begun bool             // the header was received
	over  bool             // end and trailer are set
	end   transport.Status // of the call
}

func (o *outbound) Header() metadata.MD {
	o.begin()
	if o.raw.Header == nil {
		return nil
	}
	md := make(metadata.MD, len(o.raw.Header)+1)
	if o.raw.ContentType != "" {
		md[keyContentType] = []string{o.raw.ContentType}
	}
	for _, f := range o.raw.Header {
		_ = addMetadata(md, f) // parseHeader has checked it
	}
	return md
}

func (o *outbound) Raw() transport.RawResponse {
	o.begin()
	return o.raw
}

// begin receives the response header.
func (o *outbound) begin() {
	if o.begun {
		return
	}
	o.begun = true
	stream, fields, err := o.awaitFirst()
	o.receiver.stream = stream
	if err != nil {
		o.fail(err)
		return
	}
	only := stream.TrailersOnly()
	code, err := o.parseHeader(fields, only)
	switch {
	case stream.Oversized() && !only:
		o.fail(&limits.Error{
			Limit: limits.ResponseHeader, Code: codes.ResourceExhausted,
			Message: "gateway: the header list of the response is too large",
		})
	case err != nil:
		o.finish(transport.Status{Code: code, Message: err.Error()})
	case only:
		o.raw.Header = nil
		o.parseTrailer(fields)
	}
}

// awaitFirst waits for the response header, for as long as it may take.
func (o *outbound) awaitFirst() (*h2.Stream, []hpack.HeaderField, error) {
	limit := o.upstream.config.FirstByte
	if limit <= 0 {
		return o.awaitHeader(o.ctx)
	}
	ctx, cancel := context.WithTimeoutCause(o.ctx, limit, &limits.Error{
		Limit: limits.FirstByte, Code: codes.Unavailable,
		Message: fmt.Sprintf("gateway: the upstream has not begun to answer within %v", limit),
	})
	defer cancel()
	stream, fields, err := o.awaitHeader(ctx)
	if slow, ok := errors.AsType[*limits.Error](context.Cause(ctx)); ok && err != nil && o.ctx.Err() == nil {
		err = slow
	}
	return stream, fields, err
}

// parseHeader reads a header list of a response. It returns an error if the response is not
// one of gRPC.
func (o *outbound) parseHeader(fields []hpack.HeaderField, only bool) (codes.Code, error) {
	httpStatus, hasStatus := "", false
	o.raw.Header = make([]hpack.HeaderField, 0, len(fields))
	for _, f := range fields {
		switch f.Name {
		case ":status":
			httpStatus = f.Value
		case keyContentType:
			o.raw.ContentType = f.Value
		case keyEncoding:
			o.raw.Encoding = f.Value
		case keyAcceptEncoding:
			o.raw.AcceptEncoding = joined(o.raw.AcceptEncoding, f.Value)
		case keyStatus:
			hasStatus = true
		default:
			if own(f.Name) || f.Name == keyDetails {
				continue
			}
			if err := checkMetadata(f); err != nil {
				return codes.Internal, fmt.Errorf("gateway: malformed metadata of the upstream: %w", err)
			}
			o.raw.Header = append(o.raw.Header, f)
		}
	}
	if _, grpc := subtype(o.raw.ContentType); hasStatus && only && grpc {
		return codes.OK, nil
	}
	return o.checkHTTP(httpStatus)
}

// checkHTTP returns an error unless the header is that of a response of gRPC.
func (o *outbound) checkHTTP(httpStatus string) (codes.Code, error) {
	_, grpc := subtype(o.raw.ContentType)
	number, err := strconv.Atoi(httpStatus)
	switch {
	case err != nil || len(httpStatus) != 3:
		return codes.Internal, fmt.Errorf("gateway: the upstream's :status is %q", httpStatus)
	case number != 200:
		return codeOfHTTP(number), fmt.Errorf("gateway: the upstream answered with HTTP status %d and content-type %q",
			number, o.raw.ContentType)
	case !grpc:
		return codes.Unknown, fmt.Errorf("gateway: the upstream answered with content-type %q; want %s",
			o.raw.ContentType, contentType)
	}
	return codes.OK, nil
}

func (o *outbound) Recv(msg *transport.Message) error {
	o.begin()
	if o.over {
		return io.EOF
	}
	err := o.receiver.next(msg)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, io.EOF):
		o.fail(err)
	default:
		o.receiveTrailer()
	}
	return io.EOF
}

// Pass is [transport.Outbound.Pass].
func (o *outbound) Pass(to transport.Inbound) (pass func() (int, error)) {
	in, ok := to.(*inbound)
	if !ok || !o.begun || o.over {
		return nil
	}
	framed, messages := o.receiver.take()
	if messages == 0 {
		return nil
	}
	return func() (int, error) {
		if err := in.sendFramed(framed); err != nil {
			return 0, err
		}
		for _, piece := range framed {
			o.receiver.Passed(len(piece))
		}
		return messages, nil
	}
}

// receiveTrailer sets the status at the regular end of a response.
func (o *outbound) receiveTrailer() {
	fields, ok := o.receiver.stream.Trailer()
	if !ok {
		o.finish(transport.Status{
			Code: codes.Internal, Message: "gateway: the upstream ended the stream without a trailer",
		})
		return
	}
	o.parseTrailer(fields)
}

// fail ends the call with the status of an error. A response that ended within a message may
// have a trailer, whose status counts.
func (o *outbound) fail(err error) {
	if errors.Is(err, errTruncated) {
		if fields, ok := o.receiver.stream.Trailer(); ok {
			o.parseTrailer(fields)
			return
		}
	}
	if transportError(o.ctx, err) {
		o.upstream.report(o.at, true)
	}
	o.upstream.config.Limits.MetBy(err, "upstream")
	o.finish(statusOfError(o.ctx, err))
}

func (o *outbound) parseTrailer(fields []hpack.HeaderField) {
	o.upstream.report(o.at, false)
	st, md, err := statusOf(fields)
	if o.receiver.stream.OversizedTrailer() {
		o.upstream.config.Limits.Met(limits.ResponseHeader, "upstream")
		md, st.Details, st.Raw.Details = nil, nil, nil
		st.Message, st.Raw.Message = shortened(st.Message), ""
	}
	if err != nil {
		st = transport.Status{Code: codes.Unknown, Message: "gateway: " + err.Error()}
	}
	o.raw.Trailer = md
	o.finish(st)
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

// finish sets the status of the call and releases the stream.
func (o *outbound) finish(st transport.Status) {
	o.over, o.end = true, st
	o.Close()
}

func (o *outbound) End() (transport.Status, metadata.MD) {
	md := make(metadata.MD, len(o.raw.Trailer))
	for _, f := range o.raw.Trailer {
		_ = addMetadata(md, f) // statusOf has checked it
	}
	if len(o.end.Details) > 0 {
		md[keyDetails] = slices.Clone(o.end.Details)
	}
	return o.end, md
}

// Status is [transport.Outbound.Status].
func (o *outbound) Status() transport.Status { return o.end }
