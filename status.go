package hauberk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/internal/errtree"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// ErrGoexit is the value that a [Guard] receives if an interceptor or a handler ended its
// goroutine by runtime.Goexit, as t.FailNow does.
var ErrGoexit = errors.New("hauberk: the goroutine of a call was ended by runtime.Goexit")

// ErrSuperseded is the outcome of an attempt on a copy ([Call.Attempt]) if the response
// of another attempt was delivered. Its status is CANCELLED.
var ErrSuperseded error = &statusError{
	st:    status.New(codes.Canceled, "hauberk: another attempt's response was delivered"),
	cause: errors.New("superseded"),
}

// ErrDiscarded is the outcome of an attempt that the server has ended, if responses of it were
// discarded: see [Call.Discardable]. Its status is CANCELLED.
var ErrDiscarded error = &statusError{
	st:    status.New(codes.Canceled, "hauberk: the attempt was discarded before it ended"),
	cause: errors.New("discarded"),
}

// ErrEndless is found by errors.Is in the outcome of next that replaces an error which wraps itself, or more than
// 16384 errors: errors.Is and errors.As may not return for that. The outcome has its type, and does not wrap it. Its
// status is UNKNOWN.
var ErrEndless = errtree.ErrEndless

// StatusOf returns the status of an outcome of next:
//
//   - nil is OK;
//   - an error that carries or wraps a status has that status, with the message of
//     the status;
//   - a context error is CANCELLED or DEADLINE_EXCEEDED;
//   - any other error is UNKNOWN, with the text of the error.
func StatusOf(err error) *status.Status {
	if err == nil {
		return nil
	}
	if st := carriedBy(err); st != nil {
		return st
	}
	code, _ := plainCode(err)
	return status.New(code, err.Error())
}

// CodeOf returns the code of [StatusOf] without allocating a status.
func CodeOf(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	if r := RejectionOf(err); r != nil {
		return r.code()
	}
	if st := carriedBy(err); st != nil {
		return st.Code()
	}
	code, _ := plainCode(err)
	return code
}

// MessageTooLarge reports whether err is the status of a message that exceeds a size limit of this side or
// of the peer: RESOURCE_EXHAUSTED with the text of grpc-go, gRPC Core, grpc-java, gRPC for .NET or
// connect-go. On a server an outcome of next has it if a request is too large to be received, or a
// response in a stream too large to be sent; on a client also if the server could not receive a request.
// Such an error says nothing about the load or the quotas of a server, and another attempt has it again.
func MessageTooLarge(err error) bool {
	if err == nil || CodeOf(err) != codes.ResourceExhausted || RejectionOf(err) != nil {
		return false
	}
	message := StatusOf(err).Message()
	for _, text := range [...]string{
		"larger than max", "message too large", "message exceeds maximum size", "message exceeds the maximum",
		"larger than configured max",
	} {
		if strings.Contains(message, text) {
			return true
		}
	}
	return false
}

// carrier is an error with a status: a [Rejection], an error of grpc-go.
type carrier interface {
	error
	GRPCStatus() *status.Status
}

// carriedBy returns the status of the first carrier in an error's tree, or nil. An error
// cannot mean OK.
func carriedBy(err error) *status.Status {
	c, ok := errors.AsType[carrier](err)
	if !ok {
		return nil
	}
	if st := c.GRPCStatus(); st.Code() != codes.OK {
		return st
	}
	return nil
}

// plainCode returns the code of an error without a status, and the text that contains no
// more than the code.
func plainCode(err error) (code codes.Code, text string) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded, context.DeadlineExceeded.Error()
	case errors.Is(err, context.Canceled):
		return codes.Canceled, context.Canceled.Error()
	default:
		return codes.Unknown, "unknown error"
	}
}

// statusError gives an error a status and keeps the error for errors.Is and As.
type statusError struct {
	st    *status.Status
	cause error
}

func (e *statusError) Error() string              { return e.st.Err().Error() }
func (e *statusError) GRPCStatus() *status.Status { return e.st }
func (e *statusError) Unwrap() error              { return e.cause }

// toClient turns the outcome of a server chain into the status that the client
// receives: no text but that of a status, unless [Config.ExposeErrors] is set. Methods of
// the error run here: the chain's guard keeps their panics.
func (p *plan) toClient(call *Call, err error) error {
	if err == nil {
		return nil
	}
	var out error
	failure := call.guarded(func() error {
		call.endRetries(err)
		out = p.statusFor(call.method, err)
		return nil
	})
	if failure == nil {
		return out
	}
	failure = call.guarded(func() error {
		out = p.statusFor(call.method, failure)
		return nil
	})
	if failure != nil {
		return errInternal("the error of the Guard of the chain panics")
	}
	return out
}

func (p *plan) statusFor(m *Method, err error) error {
	if r := RejectionOf(err); r != nil {
		st := StatusOf(p.withDomain(err, m))
		return &statusError{st: st, cause: err} // for interceptors of grpc-go outside
	}
	if p.chain.exposeErrors {
		if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
			return st.Err() // with the text around a wrapped status, as grpc-go
		}
		return StatusOf(err).Err()
	}
	if carriedBy(err) != nil {
		return StatusOf(err).Err()
	}
	return status.Error(plainCode(err))
}

// toApplication turns the outcome of a client chain into what the application
// gets: as it is, except that an error in which grpc-go would read another code,
// as a context error, is given its status, and that io.EOF, with which streams
// report a good end, is not found in it. Methods of the error run here: the chain's guard
// keeps their panics.
func (c *Call) toApplication(err error) error {
	if err == nil {
		return nil
	}
	var out error
	failure := c.guardedForeign(func() error {
		out = toApplication(err)
		return nil
	})
	if failure != nil {
		return failure
	}
	return out
}

func toApplication(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return &eofError{st: StatusOf(err), cause: err}
	case carriedBy(err) != nil:
		return err
	}
	if st := StatusOf(err); st.Code() != status.Code(err) {
		return &statusError{st: st, cause: err}
	}
	return err
}

// eofError is an error that has io.EOF in it and must not be mistaken for that.
type eofError struct {
	st    *status.Status
	cause error
}

func (e *eofError) Error() string              { return e.st.Err().Error() }
func (e *eofError) GRPCStatus() *status.Status { return e.st }
func (e *eofError) Is(target error) bool       { return target != io.EOF && errors.Is(e.cause, target) }
func (e *eofError) As(target any) bool         { return errors.As(e.cause, target) }

// domainOf returns the domain of a rejection of a call of m.
func (p *plan) domainOf(r *Rejection, m *Method) string {
	switch {
	case r.Domain != "":
		return r.Domain
	case p.chain.domain != "":
		return p.chain.domain
	default:
		return m.service
	}
}

func errInternal(format string, args ...any) error {
	return status.Error(codes.Internal, "hauberk: "+fmt.Sprintf(format, args...))
}

// validate rejects metadata that HTTP/2 cannot carry, by the rules of
// PROTOCOL-HTTP2.md: keys of lower-case letters, digits, "-", "_" and ".",
// printable ASCII values except under keys that end in "-bin".
func validate(md metadata.MD) error {
	for key, values := range md {
		if err := validatePair(key, values); err != nil {
			return err
		}
	}
	return nil
}

func validatePair(key string, values []string) error {
	if !metadatakey.Legal(key) {
		return errInternal("illegal metadata key %q: want lower-case letters, digits, '-', '_' and '.'", key)
	}
	for _, v := range values {
		if !metadatakey.LegalValue(key, v) {
			return errInternal("illegal value under metadata key %q: "+
				"want printable ASCII, or a key that ends in \"-bin\"", key)
		}
	}
	return nil
}
