package hauberk

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/internal/protomessage"
)

// Unsent reports, after next on a client, whether the last attempt failed before its
// request could be sent, so that its outcome says nothing about the server:
//
//   - the context was done before the attempt was made, or an inner interceptor returned
//     CANCELLED or DEADLINE_EXCEEDED without calling next;
//   - a request message or the request metadata could not be encoded;
//   - the per-RPC credentials among the options of the call failed, or require transport
//     security that the connection does not have;
//   - an inner interceptor called [Call.SetUnsent].
//
// It returns false for credentials of grpc.WithPerRPCCredentials, whose failures grpc-go does
// not distinguish. It returns false for an attempt that found no connection or waited for one in vain, for
// other answers and errors of inner interceptors, and on a server.
func (c *Call) Unsent() bool { return c.unsent }

// SetUnsent marks an attempt on a client that an interceptor ends with an error, without
// calling next, for a reason that says nothing about the server: it has no token, for example.
// [Call.Unsent] then returns true for the outer interceptors, so that a circuit breaker does
// not count the error. Without the mark such an error counts as one of the server. Call it
// before Intercept returns, only if next is not called. On a server, and once an attempt was
// made, it does nothing.
func (c *Call) SetUnsent() {
	if c.side == ClientSide && !c.made {
		c.unsent = true
	}
}

// SetSent marks an attempt on a client that an interceptor ends with an error, without calling
// next, as one that the server has ended: [Call.Unsent] returns false for the outer interceptors,
// also if the code of the error is CANCELLED or DEADLINE_EXCEEDED. It is for interceptors that
// act as the server, such as those that inject faults. Call it before Intercept returns, only if
// next is not called. On a server it does nothing.
func (c *Call) SetSent() {
	if c.side == ClientSide {
		c.made, c.unsent = true, false
	}
}

// noteUnsent notes that an interceptor has returned err without calling next.
func (c *Call) noteUnsent(err error) {
	if c.side == ClientSide && !c.made {
		code := CodeOf(err)
		c.unsent = c.unsent || code == codes.Canceled || code == codes.DeadlineExceeded
	}
}

// failedToEncode reports whether err is that of a unary request which could not be
// encoded. A server whose response cannot be encoded sends the same status, so that the
// request is encoded again. A request of a codec other than protobuf counts as the cause.
func failedToEncode(ctx context.Context, request any, err error) bool {
	if !isEncodingError(err) {
		return isMetadataError(ctx, err)
	}
	m, ok := protomessage.Of(request)
	if !ok {
		return true
	}
	_, failure := proto.Marshal(m)
	return failure != nil
}

// isEncodingError reports whether err has the status that grpc-go gives a message which
// its codec cannot encode.
func isEncodingError(err error) bool {
	return CodeOf(err) == codes.Internal && strings.HasPrefix(StatusOf(err).Message(), "grpc: error while marshaling")
}

// isMetadataError reports whether err can be that of the metadata that ctx carries.
func isMetadataError(ctx context.Context, err error) bool {
	if CodeOf(err) != codes.Internal {
		return false
	}
	md, ok := metadata.FromOutgoingContext(ctx)
	return ok && (validate(md) != nil || rejectsKey(md, StatusOf(err).Message()))
}

// rejectsKey reports whether text is that of grpc-go for a key of the metadata with upper-case
// letters. grpc-go checks the keys as they are; those of md, a copy, have become lower-case. A
// server may send the text for its own metadata, so that the key must be one of md.
func rejectsKey(md metadata.MD, text string) bool {
	quoted, _ := strings.CutPrefix(text, "header key ")
	quoted, err := strconv.QuotedPrefix(quoted)
	if err != nil {
		return false
	}
	key, err := strconv.Unquote(quoted)
	lower := strings.ToLower(key)
	_, has := md[lower]
	return err == nil && has && key != lower
}

// isInvalid reports whether metadata of credentials cannot be sent.
func isInvalid(md map[string]string) bool { return validate(metadata.New(md)) != nil }

// notOpened ends an attempt whose stream could not be opened.
func (a *attempt) notOpened(err error) {
	if isMetadataError(a.ctx, err) {
		a.notEncoded(err)
	}
	a.finished(err)
}

// notEncoded keeps the error of something that the transport could not encode, or of an
// unsent attempt inside an adapter.
func (a *attempt) notEncoded(err error) {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	a.unencoded = err
}

// isUnsent reports whether the attempt ended before its request could be sent.
func (a *attempt) isUnsent() bool {
	return a.failedToEncode() || a.err != nil && a.creds.Failed(CodeOf(a.err), isInvalid)
}

// failedToEncode reports whether the attempt ended because something could not be
// encoded: it may have ended otherwise meanwhile.
func (a *attempt) failedToEncode() bool {
	a.stream.mu.Lock()
	err, failure := a.err, a.unencoded
	a.stream.mu.Unlock()
	return failure != nil && CodeOf(err) == CodeOf(failure) && StatusOf(err).Message() == StatusOf(failure).Message()
}
