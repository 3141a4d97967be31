package hauberk

import (
	"cmp"
	"errors"
	"maps"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/internal/errorinfo"
	"github.com/hauberk-rpc/hauberk/internal/errtree"
)

// ReasonMalformed replaces a [Rejection.Reason] that does not have the form that
// google.rpc.ErrorInfo requires. The metadata of the ErrorInfo then has the original
// reason, under the key "reason".
const ReasonMalformed = "MALFORMED_REASON"

// Rejection is the error for a call that an interceptor rejects. Its status has a
// google.rpc.ErrorInfo with the reason, and the details of the other fields.
//
// Make one with [Reject], set further fields, and return it. It must not be modified
// after that: errors are read concurrently.
//
//	r := hauberk.Reject(codes.ResourceExhausted, "QUOTA_EXCEEDED", "100 orders a day")
//	r.RetryAfter = 24 * time.Hour
//	r.Cause = ErrQuota
//	return r
//
// Clients limit the header list that has the status, to 8 KiB in many languages, and lose the
// code of a status that is larger. A rejection leaves out the last FieldViolations, and then
// the last QuotaViolations, until its status has about 4.5 KiB, which are 6 KiB in base64.
// It leaves out nothing else.
//
// Text that is not UTF-8, which protobuf cannot encode, is sent with U+FFFD in place of
// the invalid bytes.
//
// A nil Rejection that is returned as an error is not nil to its caller. It is an INTERNAL
// error, and a chain names what returned it.
type Rejection struct { //nolint:errname // Reject makes it, and an error it is
	// Code is the status code. The code OK becomes INTERNAL.
	Code codes.Code
	// Reason identifies the cause for clients and in metrics: a constant in
	// UPPER_SNAKE_CASE of at most 63 characters that match [A-Z][A-Z0-9_]+[A-Z0-9].
	// See [ReasonMalformed] for others.
	Reason string
	// Message is the status message. Clients receive it.
	Message string
	// Domain is the service or product that Reason belongs to. If it is empty, a server
	// sends [Config.ErrorDomain], or else the full name of the service that was called.
	Domain string
	// RetryAfter is how long clients should wait before they call again, sent as
	// google.rpc.RetryInfo. Zero and negative values are not sent.
	RetryAfter time.Duration
	// Metadata is the metadata of the ErrorInfo. Clients receive it.
	Metadata map[string]string
	// QuotaViolations are sent as google.rpc.QuotaFailure, if the status has room for them.
	QuotaViolations []QuotaViolation
	// FieldViolations are sent as google.rpc.BadRequest, if the status has room for them.
	FieldViolations []FieldViolation
	// Details are further details of the status. A detail that cannot be encoded is left
	// out; the others are sent.
	Details []proto.Message
	// Cause is found by errors.Is and errors.As and can be logged. It is never sent to
	// the client. Use errors.Join for several.
	Cause error
}

// QuotaViolation is a limit that a call exceeds. Clients receive both fields.
type QuotaViolation struct {
	Subject     string // what the limit counts: "user:alice"
	Description string // the limit, as text: "100 calls a minute"
}

// FieldViolation is a field of a request that is not valid. Clients receive both fields.
type FieldViolation struct {
	Field       string // its path: "cart.items[0].count"
	Description string // what is wrong with it: "is negative"
}

// Reject returns a rejection with a code, a reason in UPPER_SNAKE_CASE and a message for
// the client. See [Rejection] for its other fields.
func Reject(code codes.Code, reason, message string) *Rejection {
	return &Rejection{Code: code, Reason: reason, Message: message}
}

// valid replaces what is not UTF-8, which protobuf cannot encode. Such text can come from
// a caller.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// code returns the code of the status.
func (r *Rejection) code() codes.Code {
	if r == nil || r.Code == codes.OK {
		return codes.Internal
	}
	return r.Code
}

// reason returns the reason of the ErrorInfo.
func (r *Rejection) reason() string {
	if errorinfo.ValidReason(r.Reason) {
		return r.Reason
	}
	return ReasonMalformed
}

// Error returns the status as text, as errors of grpc-go do.
func (r *Rejection) Error() string {
	if r == nil {
		return errNilRejection("").Error()
	}
	return "rpc error: code = " + r.code().String() + " desc = " + valid(r.Message)
}

// Unwrap returns the cause.
func (r *Rejection) Unwrap() error {
	if r == nil {
		return nil
	}
	return r.Cause
}

// GRPCStatus returns the status that the client receives.
func (r *Rejection) GRPCStatus() *status.Status {
	if r == nil {
		return StatusOf(errNilRejection(""))
	}
	return r.statusIn(r.Domain)
}

// errNilRejection is what a nil Rejection means that something has returned as an error.
func errNilRejection(by string) error {
	return errInternal("%s returned a nil *hauberk.Rejection as an error, which is not a nil error: "+
		"return nil, or what hauberk.Reject returns", cmp.Or(by, "something"))
}

// grpcInterceptor names an inner interceptor of a client for usable.
const grpcInterceptor = "an interceptor of grpc-go"

// usable returns an error of foreign code, which is named in errors, or what is wrong with it. Nothing may search the
// error before: it may wrap itself.
func usable(err error, by string) error {
	if err == nil {
		return nil // most messages
	}
	if r, ok := err.(*Rejection); ok && r == nil { //nolint:errorlint // one that is wrapped has its own text
		return errNilRejection(by)
	}
	return errtree.Bounded(err)
}

// statusIn returns the status with a domain.
func (r *Rejection) statusIn(domain string) *status.Status {
	st := status.New(r.code(), valid(r.Message))
	details := r.details(domain)
	if all, err := st.WithDetails(details...); err == nil {
		return all
	}
	for _, m := range details {
		if more, err := st.WithDetails(m); err == nil { // the others are not lost for one that cannot be encoded
			st = more
		}
	}
	return st
}

// info returns the ErrorInfo with a domain.
func (r *Rejection) info(domain string) *errdetails.ErrorInfo {
	info := &errdetails.ErrorInfo{Reason: r.reason(), Domain: valid(domain)}
	if len(r.Metadata) > 0 {
		info.Metadata = make(map[string]string, len(r.Metadata))
		for key, value := range r.Metadata {
			info.Metadata[valid(key)] = valid(value)
		}
	}
	if info.GetReason() == ReasonMalformed && r.Reason != ReasonMalformed {
		info.Metadata = maps.Clone(info.GetMetadata())
		if info.Metadata == nil {
			info.Metadata = make(map[string]string, 1)
		}
		info.Metadata["reason"] = valid(r.Reason)
	}
	return info
}

// RejectionOf returns the rejection that provides the status of err, or nil. It returns
// nil if err wraps a rejection but has another status.
func RejectionOf(err error) *Rejection {
	c, _ := errors.AsType[carrier](err)
	switch c := c.(type) { // another carrier has its own status, even if it wraps a rejection
	case *Rejection:
		return c
	case *domained:
		return c.rejection
	default:
		return nil
	}
}

// domained is an error with the status of a rejection that was given no domain, on its way
// through the chain of a server, which knows it. Each status that is made of the error
// inside the chain has the domain.
type domained struct {
	error

	rejection *Rejection // in the tree of the error
	domain    string
}

// GRPCStatus returns the status with the domain.
func (d *domained) GRPCStatus() *status.Status { return d.rejection.statusIn(d.domain) }

// Unwrap returns the error.
func (d *domained) Unwrap() error { return d.error }

// withDomain gives an error that has the status of a rejection without a domain that of a
// call of m.
func (p *plan) withDomain(err error, m *Method) error {
	c, _ := errors.AsType[carrier](err)
	if r, ok := c.(*Rejection); ok && r != nil && r.Domain == "" {
		return &domained{err, r, p.domainOf(r, m)}
	}
	return err
}

// Reason returns the reason in the google.rpc.ErrorInfo of an error: of a rejection
// in this process, or of a status that a client received. It is empty if there is none.
func Reason(err error) string {
	if r := RejectionOf(err); r != nil {
		return r.reason()
	}
	return errorInfo(err).GetReason()
}

// ReasonDomain returns the domain in the google.rpc.ErrorInfo of an error, or "".
func ReasonDomain(err error) string {
	return errorInfo(err).GetDomain()
}

func errorInfo(err error) *errdetails.ErrorInfo {
	for _, d := range carriedBy(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}
