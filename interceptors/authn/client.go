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

// TokenSource gives a token to call with. It runs on the call's goroutine, for
// many calls at once, and gives up when ctx is done: the call waits for it. It is
// asked each time; one that fetches tokens keeps them itself.
//
// An error with a gRPC status ends the call with that status, so that a retry
// further out can act on UNAVAILABLE; of any other error the call is told
// UNAUTHENTICATED and "No token", as grpc-go does for its credentials, and the
// error stays in the process. If ctx is done the call ends with the status of that.
type TokenSource func(ctx context.Context) (token string, err error)

// StaticToken returns a source of one token.
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// ClientConfig says how tokens are sent. The zero value is ready for use.
type ClientConfig struct {
	// RequireTransportSecurity rejects calls on connections without transport
	// security, with grpc-go's UNAUTHENTICATED, before anything is sent. The default
	// lets tokens travel in the clear, since much of that traffic never leaves the
	// host, or its encryption is a proxy's: set it wherever the client itself speaks
	// TLS.
	RequireTransportSecurity bool
}

// Client sends tokens. Make it with [NewClient]. It may be used by any number of
// chains at once.
type Client struct {
	source TokenSource
	config ClientConfig
}

// NewClient returns an interceptor for clients that sends "authorization: Bearer"
// and a token of the source with every call, unless the call's metadata has an
// authorization already: that is sent as it is, and the source is not asked.
//
// A call for which there is no token is not sent. Nor is it with a token that is
// not a b64token of RFC 6750, such as one with a line break at its end: it ends
// with UNAUTHENTICATED, "Malformed token". What is wrong with the arguments is
// reported by hauberk.New.
//
// Credentials that grpc-go is given (grpc.WithPerRPCCredentials) add their own
// metadata when a call is sent; this interceptor cannot see them.
func NewClient(source TokenSource, config ClientConfig) *Client {
	return &Client{source: source, config: config}
}

// Declare tells chains of the usual place, and what is wrong with the
// configuration.
func (c *Client) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: name, Phase: hauberk.PhaseAuthn, Sides: hauberk.OnlyClients}
	if c.source == nil {
		d.Err = errors.New("it has no TokenSource; make it with authn.NewClient")
	}
	return d
}

// Intercept gives the call a token.
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

// secured returns the option that has grpc-go reject connections without
// transport security. It takes the place of the call's own credentials, and so
// goes on with them.
func secured(opts []grpc.CallOption) grpc.CallOption {
	var s secure
	for _, o := range opts {
		if own, ok := o.(grpc.PerRPCCredsCallOption); ok {
			s.own = own.Creds
		}
	}
	return grpc.PerRPCCredentials(s)
}

// secure are credentials that only ask for transport security.
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
