package authn

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callcreds"
)

// TokenSource returns the token for a call. It runs on the goroutine of the call, concurrently
// for different calls, and must return when ctx is done. It is called for each call; a source
// that fetches tokens keeps them itself.
//
// An error with a gRPC status ends the call with that status, so that an outer retry can act on
// UNAVAILABLE. Any other error ends it with UNAUTHENTICATED, "No token", as grpc-go does for
// its credentials, and stays in the process. If ctx is done the call ends with the status of
// ctx.
type TokenSource func(ctx context.Context) (token string, err error)

// StaticToken returns a source of one token, without "Bearer".
func StaticToken(token string) TokenSource { return static(token).get }

// static is the source of StaticToken.
type static string

func (s static) get(context.Context) (string, error) { return string(s), nil }

// isStatic reports whether a source is one of StaticToken. hauberk.New asks these, and no
// others, for their token.
func isStatic(source TokenSource) bool {
	return reflect.ValueOf(source).Pointer() == reflect.ValueOf(static("").get).Pointer()
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
// A call for which there is no token is not sent. A malformed token is not sent either: a call
// whose token is not a b64token of RFC 6750, such as one with a line break at its end, ends
// with UNAUTHENTICATED, "Malformed token". hauberk.New reports what is wrong with the
// arguments, and a token of [StaticToken] that is malformed.
//
// Credentials of grpc-go (grpc.WithPerRPCCredentials) add their own metadata when a call is
// sent. If it has an authorization too, the server receives both. With
// [ClientConfig.RequireTransportSecurity] an authorization of the call's own credentials
// (grpc.PerRPCCredentials) is sent in place of the token.
func NewClient(source TokenSource, config ClientConfig) *Client {
	return &Client{source: source, config: config}
}

// Declare describes the interceptor to the checks of a chain.
func (c *Client) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: name, Phase: hauberk.PhaseAuthn, Sides: hauberk.OnlyClients}
	switch {
	case c.source == nil:
		d.Err = errors.New("it has no TokenSource; make it with authn.NewClient")
	case isStatic(c.source):
		if token, _ := c.source(context.Background()); !wellFormed(token) {
			d.Err = malformed(token)
		}
	}
	return d
}

// Intercept adds a token to the call. If transport security is required, per-RPC credentials
// carry the token, since grpc-go sends these only if it has checked the connection: an
// interceptor that replaces the credentials replaces the token as well.
func (c *Client) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	creds, _ := callcreds.Effective(call.Options())
	var token string
	if len(call.Metadata(ctx, header)) == 0 && !carriesToken(creds) {
		var err error
		if token, err = c.token(ctx); err != nil {
			return err
		}
	}
	switch {
	case c.config.RequireTransportSecurity:
		call.AddOptions(grpc.PerRPCCredentials(secure{token: token, own: creds}))
	case token != "":
		ctx = metadata.AppendToOutgoingContext(ctx, header, scheme+" "+token)
	}
	return next(ctx, call)
}

func (c *Client) token(ctx context.Context) (string, error) {
	token, err := c.source(ctx)
	switch {
	case err == nil && wellFormed(token):
		return token, nil
	case err == nil:
		return "", noToken("Malformed token", malformed(token))
	case carrierIn(err) != nil:
		return "", err
	case ctx.Err() != nil:
		return "", ctx.Err()
	default:
		return "", noToken("No token", err)
	}
}

func noToken(message string, cause error) error {
	r := hauberk.Reject(codes.Unauthenticated, ReasonNoToken, message)
	r.Cause = errors.Join(ErrTokenSource, cause)
	return r
}

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
	errEmptyToken      = errors.New("authn: the token is empty")
	errTokenWithScheme = errors.New("authn: the token begins with Bearer; give the token without Bearer")
	errMalformedSource = errors.New("authn: the token source returned a token that no authorization can carry; " +
		`want letters, digits, "-", ".", "_", "~", "+" and "/", and "=" at the end`)
)
