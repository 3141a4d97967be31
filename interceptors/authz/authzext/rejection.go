package authzext

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// Sentinels that errors.Is finds in rejections, in this process.
var (
	// ErrDenied is found if the service denied the call.
	ErrDenied = errors.New("authzext: the authorization service denies the call")
	// ErrService is found if the service could not be asked, or gave no usable answer.
	ErrService = errors.New("authzext: the authorization service failed")
	// ErrAnswer is found, with ErrService, if the service gave an invalid answer.
	ErrAnswer = errors.New("authzext: the answer is invalid")
	// ErrTooLarge is found if a check would be larger than [Config.MaxRequest], or its body than
	// [Body.MaxBytes].
	ErrTooLarge = errors.New("authzext: the call is too large to be checked")
)

// Reasons of rejections ([hauberk.Reason]), on both sides.
const (
	// ReasonDenied is the reason of calls that the service denies.
	ReasonDenied = "ACCESS_DENIED"
	// ReasonUnavailable is the reason of calls that could not be checked, and of decisions to
	// admit such a call.
	ReasonUnavailable = "AUTHORIZATION_UNAVAILABLE"
	// ReasonTooLarge is the reason of calls that are too large to be checked.
	ReasonTooLarge = "AUTHORIZATION_REQUEST_TOO_LARGE"
)

// Rules of decisions. That of a denial is "denied, HTTP 403".
const (
	// Allowed is the rule of calls that the service allows.
	Allowed = "allowed by the service"
	// FailedOpen is the rule of calls that were admitted without an answer ([Config.FailOpen]).
	FailedOpen = "failed open: admitted without an answer of the service"
	// Failed is the rule of calls that were rejected without a valid answer.
	Failed = "no valid answer of the service"
	// TooLarge is the rule of calls that are too large to be checked.
	TooLarge = "too large to be checked"
)

// maxMessage is the length of the longest body that is sent as the message of a status. Clients
// limit the header list of a status, some to 8 KiB.
const maxMessage = 1 << 10

// failure is why there is no answer, or no valid one.
type failure struct {
	cause   error
	opens   bool        // FailOpen admits the call
	code    codes.Code  // OK for Config.ErrorCode
	trailer metadata.MD // of an error_response
}

func (f *failure) Error() string { return f.cause.Error() }

func (f *failure) Unwrap() error { return f.cause }

// failed returns a failure that no setting makes an admission.
func failed(format string, args ...any) *failure {
	return &failure{cause: fmt.Errorf("%w: %w", ErrService, fmt.Errorf(format, args...))}
}

// invalid returns the failure of an answer that is invalid.
func invalid(format string, args ...any) *failure {
	return failed("%w: %s", ErrAnswer, fmt.Sprintf(format, args...))
}

// tooLarge returns the rejection of a call that cannot be checked for its size.
func tooLarge(what string, size, most int) *hauberk.Rejection {
	r := hauberk.Reject(codes.ResourceExhausted, ReasonTooLarge, "The request is too large to be authorized")
	r.Cause = fmt.Errorf("%w: %s has %d bytes; want at most %d", ErrTooLarge, what, size, most)
	return r
}

// rejectionOf returns the rejection for a failure.
func (x *Interceptor) rejectionOf(f *failure) *hauberk.Rejection {
	code := f.code
	if code == codes.OK {
		code = x.config.ErrorCode
	}
	r := hauberk.Reject(code, ReasonUnavailable, "The call could not be authorized")
	r.Cause = f
	return r
}

// denial returns the rejection for a denial with an HTTP status.
func (x *Interceptor) denial(code codes.Code, body string, cause error) *hauberk.Rejection {
	message := "The call was rejected"
	switch code {
	case codes.PermissionDenied:
		message = "Permission denied"
	case codes.Unauthenticated:
		message = "Authentication required"
	default:
	}
	if x.config.SendBody && body != "" {
		message = shorten(body, maxMessage)
	}
	r := hauberk.Reject(code, ReasonDenied, message)
	r.Cause = cause
	return r
}

// shorten returns at most n bytes of a text, in UTF-8.
func shorten(s string, n int) string {
	if s = text(s); len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// text returns s in UTF-8, which protobuf requires. As in Envoy, "!" replaces other bytes.
func text(s string) string { return strings.ToValidUTF8(s, "!") }

// codeOf returns the status code for an HTTP status, by gRPC's http-grpc-status-mapping.md. Envoy
// uses the same table.
func codeOf(http int32) codes.Code {
	switch http {
	case 400:
		return codes.Internal
	case 401:
		return codes.Unauthenticated
	case 403:
		return codes.PermissionDenied
	case 404:
		return codes.Unimplemented
	case 429, 502, 503, 504:
		return codes.Unavailable
	default:
		return codes.Unknown
	}
}
