package authn

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
)

// Sentinels that errors.Is finds in rejections, in this process.
var (
	// ErrMissingToken is found if a call has no authorization. It wraps ErrNoCredential.
	ErrMissingToken error = missingTokenError{}
	// ErrMalformedToken is found if a call has several values under "authorization", or one
	// that is not "Bearer" and a token.
	ErrMalformedToken = errors.New("authn: the call's authorization is not one bearer token")
	// ErrInvalidToken is returned, or wrapped, by a Validator that does not trust the token.
	ErrInvalidToken = errors.New("authn: the token is not valid")
	// ErrTokenExpired is returned, or wrapped, by a Validator for a token that has expired. It
	// is also found if Identity.Expires has passed.
	ErrTokenExpired = errors.New("authn: the token has expired")
	// ErrTokenRevoked is returned, or wrapped, by a Validator for a token that was revoked. It is
	// also found if Identity.Revoked is closed.
	ErrTokenRevoked = errors.New("authn: the token was revoked")
	// ErrPermissionDenied is found if a Validator returned the gRPC status
	// PERMISSION_DENIED: the caller is known and may not call.
	ErrPermissionDenied = errors.New("authn: the caller has no permission")
	// ErrValidation is found if a Validator failed, so that the token was neither accepted nor
	// rejected.
	ErrValidation = errors.New("authn: the token could not be validated")
	// ErrClearText is found, on a client, if a token would be sent without transport security.
	ErrClearText = errors.New("authn: the connection has no transport security; " +
		"use grpc.WithTransportCredentials with TLS, or set ClientConfig.AllowClearText")
	// ErrTokenSource is found, on a client, if a TokenSource returned no token, or a malformed
	// one.
	ErrTokenSource = errors.New("authn: the token source gave no usable token")
)

// Reasons of rejections ([hauberk.Reason]), on both sides.
//
//nolint:gosec // names, not credentials
const (
	ReasonMissingToken     = "MISSING_TOKEN"
	ReasonMalformedToken   = "MALFORMED_TOKEN"
	ReasonInvalidToken     = "INVALID_TOKEN"
	ReasonTokenExpired     = "TOKEN_EXPIRED"
	ReasonTokenRevoked     = "TOKEN_REVOKED"
	ReasonPermissionDenied = "PERMISSION_DENIED"
	ReasonValidationFailed = "VALIDATION_FAILED"
	ReasonNoToken          = "NO_TOKEN"
	ReasonClearText        = "CLEAR_TEXT"
)

// Unprocessed is the key of a trailer that says that the handler of a call did not run. [Interceptor]
// sends it with each call that it rejects, but not with calls that end because their credential
// expires or is revoked later. Without it [Client] repeats a call only as [NewClient] says. A status
// would not prove it: a handler can return the status of a call that it made itself.
const Unprocessed = "hauberk-unprocessed"

var unprocessed = metadata.Pairs(Unprocessed, "1") //nolint:gochecknoglobals // never written

// The rejections that are the same for every call. Missing and malformed tokens share a
// message, as in the documentation of gRPC Python.
var (
	errMissing   = reject(ReasonMissingToken, missing, ErrMissingToken)
	errMalformed = reject(ReasonMalformedToken, missing, ErrMalformedToken)
	errExpired   = reject(ReasonTokenExpired, "Token expired", ErrTokenExpired)
	errClearText = reject(ReasonClearText, "No token is sent on a connection without transport security: "+
		"use TLS, or set authn.ClientConfig.AllowClearText", ErrClearText)
	errRevoked = reject(ReasonTokenRevoked, "Token revoked", ErrTokenRevoked)
)

// missingTokenError is the type of ErrMissingToken.
type missingTokenError struct{}

func (missingTokenError) Error() string { return "authn: the call has no token" }

// Is makes errors.Is find ErrNoCredential.
func (missingTokenError) Is(target error) bool { return target == ErrNoCredential }

// missing is the message for clients that send no usable credential.
const missing = "Missing or invalid token"

// Faults of the validator itself.
var (
	errNoIdentity = fault(errors.New("authn: the method returned neither an identity nor an error"))
	errNoSubject  = fault(errors.New("authn: the method returned an identity without a Subject"))
)

func reject(reason, message string, cause error) error {
	r := hauberk.Reject(codes.Unauthenticated, reason, message)
	r.Cause = cause
	return r
}

func fault(cause error) error {
	return failed(status.New(codes.Internal, failure), cause)
}

// failure is the message of a validator's failure that has none for clients.
const failure = "Token validation failed"

// failed is the outcome of a call whose token could not be validated.
func failed(st *status.Status, cause error) error {
	return withStatus(st, ReasonValidationFailed, ErrValidation, cause)
}

// withStatus returns a rejection with the code, the message and the details of a status.
func withStatus(st *status.Status, reason string, sentinel, cause error) error {
	r := hauberk.Reject(st.Code(), reason, st.Message())
	for _, d := range st.Details() {
		if m, ok := d.(proto.Message); ok {
			r.Details = append(r.Details, m)
		}
	}
	r.Cause = errors.Join(sentinel, cause)
	return r
}

// rejectionOf returns the outcome of a call whose token the validator did not accept.
func rejectionOf(ctx context.Context, err error) error {
	c := carrierIn(err)
	switch {
	case isRejection(c):
		return err
	case c != nil:
		st := c.GRPCStatus()
		if reason, sentinel := rejects(st.Code()); sentinel != nil {
			return withStatus(st, reason, sentinel, err)
		}
		return failed(st, err)
	case errors.Is(err, ErrTokenExpired):
		return reject(ReasonTokenExpired, "Token expired", err)
	case errors.Is(err, ErrTokenRevoked):
		return reject(ReasonTokenRevoked, "Token revoked", err)
	case errors.Is(err, ErrInvalidToken):
		return reject(ReasonInvalidToken, "Invalid token", err)
	case ctx.Err() != nil:
		return ctx.Err() // the call has ended meanwhile
	default:
		return failed(status.New(codes.Unavailable, failure), err)
	}
}

// rejects returns the reason and the sentinel of a status code by which a validator
// rejects a token, as the AuthFuncs of go-grpc-middleware do. With other codes it has
// failed.
func rejects(code codes.Code) (reason string, sentinel error) {
	switch code {
	case codes.Unauthenticated:
		return ReasonInvalidToken, ErrInvalidToken
	case codes.PermissionDenied:
		return ReasonPermissionDenied, ErrPermissionDenied
	default:
		return "", nil
	}
}

// carrier is an error with a status.
type carrier interface {
	error
	GRPCStatus() *status.Status
}

// carrierIn returns the error that an error's status is from, or nil. UNKNOWN carries no more
// than that there was an error, and OK cannot be meant.
func carrierIn(err error) carrier {
	c, ok := errors.AsType[carrier](err)
	if !ok || isRejection(c) {
		return c // the status of a rejection is expensive to make
	}
	if code := c.GRPCStatus().Code(); code == codes.OK || code == codes.Unknown {
		return nil
	}
	return c
}

func isRejection(c carrier) bool {
	_, ok := c.(*hauberk.Rejection)
	return ok
}
