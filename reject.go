package hauberk

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// DefaultDomain is the domain of the ErrorInfo in rejections, unless the chain
// ([ErrorDomain]) or the rejection ([Domain]) names another.
const DefaultDomain = "github.com/hauberk-rpc/hauberk"

// Rejection is the error for a call that an interceptor rejected. Its status has a
// google.rpc.ErrorInfo with the reason, and the details it was given. Causes are
// for errors.Is, errors.As and logs; they never reach the wire.
type Rejection struct { //nolint:errname // what an interceptor makes with Reject is a rejection
	code     codes.Code
	reason   string
	message  string
	domain   string
	metadata map[string]string
	details  []protoadapt.MessageV1
	causes   []error
}

// Reject builds the error for a rejected call. reason is in UPPER_SNAKE_CASE and
// stands for the cause in metrics and clients, as google.rpc.ErrorInfo describes;
// message goes to the client. The code OK becomes INTERNAL.
func Reject(code codes.Code, reason, message string, options ...RejectOption) error {
	if code == codes.OK {
		code = codes.Internal
	}
	r := &Rejection{code: code, reason: valid(reason), message: valid(message)}
	for _, o := range options {
		if o != nil { // a call is being rejected: there is no one to report to
			o.apply(r)
		}
	}
	return r
}

// valid replaces what is not UTF-8, which no message of protobuf can hold: a text
// may repeat what a caller has sent.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// RejectOption adds to a rejection.
type RejectOption interface{ apply(r *Rejection) }

type rejectOption func(r *Rejection)

func (f rejectOption) apply(r *Rejection) { f(r) }

// RetryAfter adds a google.rpc.RetryInfo: when it makes sense to call again. A
// negative d is taken as zero.
func RetryAfter(d time.Duration) RejectOption {
	return Detail(&errdetails.RetryInfo{RetryDelay: durationpb.New(max(d, 0))})
}

// QuotaViolation adds a google.rpc.QuotaFailure: the subject whose quota is used
// up, and a text for the client.
func QuotaViolation(subject, description string) RejectOption {
	return Detail(&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{
		{Subject: valid(subject), Description: valid(description)},
	}})
}

// FieldViolation adds a google.rpc.BadRequest: the path of a field of the
// request, and what is wrong with it.
func FieldViolation(field, description string) RejectOption {
	return Detail(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: valid(field), Description: valid(description)},
	}})
}

// Detail adds a message to the status details.
func Detail(message protoadapt.MessageV1) RejectOption {
	return rejectOption(func(r *Rejection) { r.details = append(r.details, message) })
}

// Info adds a key and value to the metadata of the ErrorInfo.
func Info(key, value string) RejectOption {
	return rejectOption(func(r *Rejection) {
		if r.metadata == nil {
			r.metadata = make(map[string]string)
		}
		r.metadata[valid(key)] = valid(value)
	})
}

// Domain sets the domain of the ErrorInfo, over that of the chain.
func Domain(domain string) RejectOption {
	return rejectOption(func(r *Rejection) { r.domain = valid(domain) })
}

// Cause adds an error that errors.Is and errors.As find in the rejection: a
// package's sentinel, or what really went wrong. It stays in the process.
func Cause(err error) RejectOption {
	return rejectOption(func(r *Rejection) {
		if err != nil {
			r.causes = append(r.causes, err)
		}
	})
}

// Error returns the status as text, as errors of grpc-go do.
func (r *Rejection) Error() string { return status.Error(r.code, r.message).Error() }

// Unwrap returns the causes.
func (r *Rejection) Unwrap() []error { return r.causes }

// Reason returns the reason.
func (r *Rejection) Reason() string { return r.reason }

// GRPCStatus returns the status that the client is told.
func (r *Rejection) GRPCStatus() *status.Status {
	st := status.New(r.code, r.message)
	domain := r.domain
	if domain == "" {
		domain = DefaultDomain
	}
	info := &errdetails.ErrorInfo{Reason: r.reason, Domain: domain, Metadata: r.metadata}
	full, err := st.WithDetails(append([]protoadapt.MessageV1{info}, r.details...)...)
	if err != nil {
		return st // a detail that cannot be marshalled: the rejection stands without
	}
	return full
}

// inDomain returns the rejection with the domain of a chain, unless it has its own.
func (r *Rejection) inDomain(domain string) *Rejection {
	if domain == "" || r.domain != "" {
		return r
	}
	in := *r
	in.domain = domain
	return &in
}

// RejectionOf returns the rejection that an error's status is from, or nil. An error
// that gives a rejection it wraps another status is none.
func RejectionOf(err error) *Rejection {
	c, _ := errors.AsType[carrier](err)
	r, _ := c.(*Rejection) // another carrier has a status of its own, whatever it wraps
	return r
}

// Reason returns the reason in the google.rpc.ErrorInfo of an error: of a rejection
// in this process, or of a status that came over the wire. It is empty where
// there is none.
func Reason(err error) string {
	if r := RejectionOf(err); r != nil {
		return r.reason
	}
	return errorInfo(err).GetReason()
}

// ReasonDomain returns the domain in the google.rpc.ErrorInfo of an error, or "".
func ReasonDomain(err error) string {
	return errorInfo(err).GetDomain()
}

func errorInfo(err error) *errdetails.ErrorInfo {
	for _, d := range StatusOf(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}
