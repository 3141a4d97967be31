package authn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callcreds"
	"github.com/hauberk-rpc/hauberk/internal/errtree"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// TokenSource is a source of the tokens for calls: a [TokenFunc], [StaticToken], a [Refresher], a
// [FileToken], or those of package authnoauth2. Safe for concurrent use.
type TokenSource interface {
	// Token returns the token for a call. It runs on the goroutine of the call, for each call,
	// and must return when ctx is done.
	//
	// An error with a gRPC status ends the call with that status, so that an outer retry can act
	// on UNAVAILABLE. Any other error ends it with UNAUTHENTICATED, "No token". The reason is
	// [ReasonNoToken], unless the error has a reason. The text of the error that the application
	// receives has the cause, as with credentials of grpc-go. Its status has not: a server of Hauberk
	// whose handler returns the error does not send the cause. If ctx is done the call ends with the
	// status of ctx.
	Token(ctx context.Context) (string, error)
}

// Invalidator is a [TokenSource] that can replace a token that a server has rejected.
type Invalidator interface {
	TokenSource
	// Invalidate removes a token, so that Token returns another one. It does nothing if the
	// token is not the current one, since another call has invalidated it already.
	Invalidate(token string)
}

// Renewer is an [Invalidator] that can fetch the successor of a token that is still in use.
type Renewer interface {
	Invalidator
	// Renew begins to replace a token that a server may have rejected, and waits for its successor
	// until ctx is done. With a ctx that is done already it only begins. Token returns the token
	// until the successor has arrived, or until the token expires. If the token is not the current
	// one, or too young to be replaced, Renew returns what Token would return.
	Renew(ctx context.Context, token string) (string, error)
}

// TokenFunc is a function that is a [TokenSource].
type TokenFunc func(ctx context.Context) (token string, err error)

// Token calls the function.
func (f TokenFunc) Token(ctx context.Context) (string, error) { return f(ctx) }

// StaticToken returns a source of one token, without "Bearer".
func StaticToken(token string) TokenSource { return static(token) }

// static is the source of StaticToken.
type static string

func (s static) Token(context.Context) (string, error) { return string(s), nil }

// Err reports a token that no call could send.
func (s static) Err() error {
	if !wellFormed(string(s)) {
		return malformed(string(s))
	}
	return nil
}

// Client is an interceptor that sends tokens. Make it with [NewClient]. It may be used by any
// number of chains at once.
type Client struct {
	source TokenSource
	config ClientConfig
}

// NewClient returns an interceptor for clients that sends "authorization: Bearer" and a token of
// the source with every call. If the metadata of the call has an authorization already, that is
// sent unchanged and the source is not called.
//
// A token is sent only on connections with transport security, unless
// [ClientConfig.AllowClearText] is set. A call for which there is no token is not sent, also of a method
// that is public on the server, since the client does not know that. Leave such methods out with
// hauberk.Except, so that they work while the source fails. A malformed
// token is not sent either: a call whose token is not a b64token of RFC 6750, such as one with a
// line break at its end, ends with UNAUTHENTICATED, "Malformed token". hauberk.New reports what is
// wrong with the arguments, and a token of [StaticToken] that is malformed.
//
// If the source is an [Invalidator] and the server ends a call that has its token with
// UNAUTHENTICATED, the token is replaced. If the server's answer proves that no handler ran, the token is
// invalidated at once, and the call is made once more with the next one: if the answer has the trailer
// [Unprocessed], as those of this package have. Any other UNAUTHENTICATED may be a handler's, about
// something else than the token: with a [Renewer] the other calls have the token until the next one has
// arrived. A method that is idempotent ([hauberk.Method.Idempotent]) needs no proof. See
// [ClientConfig.TrustUnauthenticated] for the other methods of other servers. Calls at the same time
// share the next token. A stream is made again only if the server has not sent a message, and the
// client no more than 64 KiB, which are kept until then.
//
// Credentials of grpc-go (grpc.WithPerRPCCredentials) add their own metadata when a call is
// sent. If it has an authorization too, the server receives both. An authorization of the
// call's own credentials (grpc.PerRPCCredentials) is sent in place of the token, unless
// AllowClearText is set.
func NewClient(source TokenSource, config ClientConfig) *Client {
	return &Client{source: source, config: config}
}

// Declare describes the interceptor to the checks of a chain.
func (c *Client) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: name, Phase: hauberk.PhaseAuthn, Sides: hauberk.OnlyClients}
	if options.IsNil(c.source) {
		d.Err = errors.New("its TokenSource is nil; give authn.NewClient one, such as authn.StaticToken(token)")
	} else if s, ok := c.source.(checked); ok {
		d.Err = s.Err()
	}
	return d
}

// Intercept adds a token to the call, and to a second attempt if the server rejects the first.
func (c *Client) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	creds := callcreds.Effective(call.Options())
	if len(call.Metadata(ctx, header)) > 0 || carriesToken(creds) {
		_, err := c.send(ctx, call, next, "", creds)
		return err
	}
	token, err := c.token(ctx)
	if err != nil {
		call.SetUnsent() // the service is not at fault
		return err
	}
	if _, ok := c.source.(Invalidator); ok {
		call.Replayable(maxReplay)
		call.CaptureMetadata()
	}
	sent, err := c.send(ctx, call, next, token, creds)
	if !sent {
		return err
	}
	if renewed := c.renewed(ctx, call, token, err); renewed != "" {
		_, err = c.send(ctx, call, next, renewed, creds)
	}
	return err
}

// maxReplay is how much of a client's stream is kept until the server has accepted its token, in
// bytes. Servers reject a token before they read messages.
const maxReplay = 64 << 10

// send makes an attempt with a token; "" for none. If transport security is required, per-RPC
// credentials carry the token, since only these learn of the connection. It reports whether the
// server can have judged the token: the call's own credentials may have an authorization.
func (c *Client) send(
	ctx context.Context, call *hauberk.Call, next hauberk.Next, token string, creds credentials.PerRPCCredentials,
) (sent bool, err error) {
	if !c.config.AllowClearText {
		a := newAttempt(token, creds)
		call.AddOptions(grpc.PerRPCCredentials(&a.secure))
		err = next(ctx, call)
		return a.sent.Load(), err
	}
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, header, scheme+" "+token)
	}
	err = next(ctx, call)
	return creds == nil, err
}

// renewed replaces a token that the server has rejected. It returns another token if the call can be
// made again, and else "".
func (c *Client) renewed(ctx context.Context, call *hauberk.Call, token string, err error) string {
	source, ok := c.source.(Invalidator)
	if !ok || hauberk.CodeOf(err) != codes.Unauthenticated || isRejection(carrierIn(err)) || call.Unsent() {
		return ""
	}
	proven := c.config.TrustUnauthenticated || len(call.Trailer().Get(Unprocessed)) > 0
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !proven && !call.Method().Idempotent() || !call.CanAttempt() {
		cancel() // no attempt waits for the next token
	}
	if renewed, err := c.replace(ctx, source, token, proven); err == nil && renewed != token && ctx.Err() == nil {
		return renewed
	}
	return ""
}

// replace replaces a token, and returns the next one. The token is removed at once if the rejection was
// proven to be about it, or if the source cannot fetch the next one before.
func (c *Client) replace(ctx context.Context, source Invalidator, token string, proven bool) (string, error) {
	if renewer, ok := source.(Renewer); ok && !proven {
		renewed, err := renewer.Renew(ctx, token)
		if err == nil && !wellFormed(renewed) {
			err = malformed(renewed)
		}
		return renewed, err
	}
	source.Invalidate(token)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return c.token(ctx)
}

func (c *Client) token(ctx context.Context) (string, error) {
	token, err := c.source.Token(ctx)
	err = errtree.Bounded(err) // before carrierIn searches it
	switch {
	case err == nil && wellFormed(token):
		return token, nil
	case err == nil:
		return "", noToken("Malformed token", malformed(token))
	case carrierIn(err) != nil:
		return "", sourceFailed(err)
	case ctx.Err() != nil:
		return "", ctx.Err()
	default:
		return "", noToken("No token", err)
	}
}

func noToken(message string, cause error) error {
	r := hauberk.Reject(codes.Unauthenticated, ReasonNoToken, message)
	r.Cause = fmt.Errorf("%w: %w", ErrTokenSource, cause)
	return &noTokenError{r, cause}
}

// noTokenError is a rejection whose text has its cause, as errors of grpc-go's credentials have. The
// status of the rejection, which a handler may return to its own client, has not.
type noTokenError struct {
	rejection *hauberk.Rejection
	cause     error
}

func (e *noTokenError) Error() string { return e.rejection.Message + ": " + e.cause.Error() }
func (e *noTokenError) Unwrap() error { return e.rejection }

// sourceFailed gives an error of a source that carries a status the reason NO_TOKEN, unless it is a
// rejection or has a reason. It is no rejection, so that an outer retry makes another attempt.
func sourceFailed(err error) error {
	st := carrierIn(err).GRPCStatus()
	if hauberk.Reason(err) != "" {
		return err
	}
	if with, failed := st.WithDetails(&errdetails.ErrorInfo{Reason: ReasonNoToken}); failed == nil {
		st = with
	}
	return &sourceError{st, err}
}

// sourceError is an error of a source with a status.
type sourceError struct {
	status *status.Status
	cause  error
}

func (e *sourceError) Error() string              { return e.cause.Error() }
func (e *sourceError) Unwrap() []error            { return []error{e.cause, ErrTokenSource} }
func (e *sourceError) GRPCStatus() *status.Status { return e.status }

// malformed says what is wrong with a token, without the token.
func malformed(token string) error {
	first, _, several := strings.Cut(token, " ")
	switch {
	case token == "":
		return errEmptyToken
	case several && strings.EqualFold(first, scheme):
		return errTokenWithScheme
	default:
		return errMalformedSource
	}
}

var (
	errEmptyToken      = errors.New("the token is empty")
	errTokenWithScheme = errors.New("the token begins with Bearer; give the token without Bearer")
	errMalformedSource = errors.New("the token is one that no authorization can carry; " +
		`want letters, digits, "-", ".", "_", "~", "+" and "/", and "=" at the end`)
)
