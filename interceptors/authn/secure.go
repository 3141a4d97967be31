package authn

import (
	"context"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk/internal/callcreds"
)

// secure are per-RPC credentials that require transport security and carry a token. They
// last: the chain combines them with credentials that an inner interceptor adds.
type secure struct {
	token string                        // "" for none: the metadata of the call has an authorization
	own   credentials.PerRPCCredentials // of the call; nil for none
	sent  *atomic.Bool                  // the token was given to the transport
}

// attempt is secure for one attempt.
type attempt struct {
	secure

	sent atomic.Bool
}

// newAttempt returns credentials that carry a token.
func newAttempt(token string, own credentials.PerRPCCredentials) *attempt {
	a := &attempt{secure: secure{token: token, own: own}}
	a.secure.sent = &a.sent
	return a
}

var _ callcreds.Lasting = (*secure)(nil)

// GetRequestMetadata returns what the call's own credentials return, and the token unless
// these have an authorization. On a connection without transport security it fails.
func (s *secure) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	if err := credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity); err != nil {
		return nil, errClearText
	}
	md := make(map[string]string)
	if s.own != nil {
		own, err := s.own.GetRequestMetadata(ctx, uri...)
		if err != nil {
			return nil, err
		}
		for key, value := range own {
			md[strings.ToLower(key)] = value // as grpc-go does
		}
	}
	if _, has := md[header]; !has && s.token != "" {
		md[header] = scheme + " " + s.token
		s.sent.Store(true)
	}
	return md, nil
}

// RequireTransportSecurity leaves the check to GetRequestMetadata, whose error says more than
// that of grpc-go.
func (s *secure) RequireTransportSecurity() bool { return false }

// With returns the credentials with others in place of the call's own, as grpc-go replaces
// credentials.
func (s *secure) With(others credentials.PerRPCCredentials) credentials.PerRPCCredentials {
	if own, ok := callcreds.Unwatched(s.own).(*secure); ok {
		others = own.With(others)
	}
	return &secure{token: s.token, own: others, sent: s.sent}
}

// carriesToken reports whether credentials are those of another Client, with a token.
func carriesToken(creds credentials.PerRPCCredentials) bool {
	s, ok := callcreds.Unwatched(creds).(*secure)
	for ok && s.token == "" {
		s, ok = callcreds.Unwatched(s.own).(*secure)
	}
	return ok
}
