package authn

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
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

// StaticToken returns a source of one token.
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
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
// A call for which there is no token is not sent. Nor is one whose token is not a b64token of
// RFC 6750, such as one with a line break at its end: it ends with UNAUTHENTICATED, "Malformed
// token". hauberk.New reports what is wrong with the arguments.
//
// Credentials of grpc-go (grpc.WithPerRPCCredentials) add their own metadata when a call is
// sent; this interceptor does not see them.
func NewClient(source TokenSource, config ClientConfig) *Client {
	return &Client{source: source, config: config}
}

// Declare describes the interceptor to the checks of a chain.
func (c *Client) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: name, Phase: hauberk.PhaseAuthn, Sides: hauberk.OnlyClients}
	if c.source == nil {
		d.Err = errors.New("it has no TokenSource; make it with authn.NewClient")
	}
	return d
}

// Intercept adds a token to the metadata of the call.
func (c *Client) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if c.config.RequireTransportSecurity {
		call.AddOptions(secured(call.Options()))
	}
	if len(call.Metadata(ctx, header)) > 0 {
		return next(ctx, call)
	}
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	return next(metadata.AppendToOutgoingContext(ctx, header, scheme+" "+token), call)
}

func (c *Client) token(ctx context.Context) (string, error) {
	token, err := c.source(ctx)
	switch {
	case err == nil && wellFormed(token):
		return token, nil
	case err == nil:
		return "", noToken("Malformed token", errMalformedSource)
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

var errMalformedSource = errors.New("authn: the token source returned a token that no authorization can carry; " +
	`want letters, digits, "-", ".", "_", "~", "+" and "/", and "=" at the end`)

// secured returns the option that makes grpc-go reject connections without transport
// security. It replaces the call's own credentials, and therefore wraps them.
func secured(opts []grpc.CallOption) grpc.CallOption {
	var s secure
	for _, o := range opts {
		if own, ok := o.(grpc.PerRPCCredsCallOption); ok {
			s.own = own.Creds
		}
	}
	return grpc.PerRPCCredentials(s)
}

// secure are credentials that only require transport security.
type secure struct {
	own credentials.PerRPCCredentials // nil for none
}

// GetRequestMetadata returns what the call's own credentials return.
func (s secure) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	if s.own == nil {
		return map[string]string{}, nil
	}
	return s.own.GetRequestMetadata(ctx, uri...)
}

// RequireTransportSecurity says that it is required.
func (secure) RequireTransportSecurity() bool { return true }
