package hauberk

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ErrGoexit is what a [Guard] is given when a link or a handler ended its
// goroutine by runtime.Goexit, as t.FailNow does.
var ErrGoexit = errors.New("hauberk: the goroutine of a call was ended by runtime.Goexit")

// ErrSuperseded is the outcome of an attempt on a copy ([Call.Attempt]) when
// another attempt's response was delivered. Its status is CANCELLED.
var ErrSuperseded error = &statusError{
	st:    status.New(codes.Canceled, "hauberk: another attempt's response was delivered"),
	cause: errors.New("superseded"),
}

// StatusOf returns the status that an outcome of next stands for. An error that
// carries a status has that one; one that wraps a status has the wrapped one,
// with its own message; context errors are CANCELLED and DEADLINE_EXCEEDED;
// anything else is UNKNOWN with its text. nil is OK.
func StatusOf(err error) *status.Status {
	if err == nil {
		return nil
	}
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		if st := carrier.GRPCStatus(); st != nil && st.Code() != codes.OK {
			return st
		}
		return status.New(codes.Unknown, err.Error())
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, err.Error())
	default:
		return status.New(codes.Unknown, err.Error())
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

// hiddenText is the message of an error without a status, unless the chain says
// [ExposeErrors].
const hiddenText = "unknown error"

// toWire turns the outcome of a server chain into what the client is told.
func (p *plan) toWire(err error) error {
	if err == nil {
		return nil
	}
	if r := rejectionOf(err); r != nil {
		return r.inDomain(p.chain.domain)
	}
	st := StatusOf(err)
	if st.Code() == codes.Unknown && !p.chain.exposeErrors && !carriesStatus(err) {
		return status.Error(codes.Unknown, hiddenText)
	}
	return st.Err()
}

func carriesStatus(err error) bool {
	var carrier interface{ GRPCStatus() *status.Status }
	return errors.As(err, &carrier)
}

// toApplication turns the outcome of a client chain into what the application
// gets: as it is, except that a context error is given its status.
func toApplication(err error) error {
	if err == nil || carriesStatus(err) {
		return err
	}
	if st := StatusOf(err); st.Code() != codes.Unknown {
		return &statusError{st: st, cause: err}
	}
	return err
}

func errInternal(format string, args ...any) error {
	return status.Error(codes.Internal, "hauberk: "+fmt.Sprintf(format, args...))
}

// validate refuses metadata that HTTP/2 cannot carry, by the rules of
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
	if key == "" {
		return errInternal("illegal metadata: empty key")
	}
	for i := range len(key) {
		if !legalInKey(key[i]) {
			return errInternal("illegal metadata key %q: want lower-case letters, digits, '-', '_' and '.'", key)
		}
	}
	if len(key) > 4 && key[len(key)-4:] == "-bin" {
		return nil
	}
	for _, v := range values {
		for i := range len(v) {
			if v[i] < 0x20 || v[i] > 0x7e {
				return errInternal("illegal value under metadata key %q: want printable ASCII, or a key that ends in \"-bin\"", key)
			}
		}
	}
	return nil
}

func legalInKey(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}
