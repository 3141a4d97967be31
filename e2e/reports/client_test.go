package reports_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnoauth2"
)

// named accepts each token as the name of its caller.
func named() hauberk.Interceptor {
	return authn.New(authn.Config{}, authn.Bearer(func(_ context.Context, token string) (*authn.Identity, error) {
		return &authn.Identity{Subject: token}, nil
	}))
}

// TestReportLifeOfTokens: the life of a token as authorization servers state it. One without a life is used until it is
// rejected. One that has expired when it arrives, or whose life is no number, is an error. In no case is a token fetched for
// each call (golang/oauth2#239, golang/oauth2#279, SecureAuthCorp/oauth2c#119, sourcegraph/sourcegraph#44411,
// spring-projects/spring-security#4810).
func TestReportLifeOfTokens(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for name, test := range map[string]struct {
		life string
		code codes.Code
	}{
		"a number":         {`,"expires_in":3600`, codes.OK},
		"a string":         {`,"expires_in":"3600"`, codes.OK},
		"null":             {`,"expires_in":null`, codes.OK},
		"none":             {``, codes.OK},
		"0":                {`,"expires_in":0`, codes.OK},
		"beyond 32 bits":   {`,"expires_in":9223372036854775807`, codes.OK},
		"less than 0":      {`,"expires_in":-1`, codes.Unauthenticated},
		"with a fraction":  {`,"expires_in":3599.5`, codes.Unavailable},
		"an empty string":  {`,"expires_in":""`, codes.Unavailable},
		"no number at all": {`,"expires_in":true`, codes.Unavailable},
	} {
		var fetches atomic.Int64
		s := site(t, func(w http.ResponseWriter, r *http.Request) {
			fetches.Add(1)
			answering("application/json", fmt.Sprintf(`{"access_token":"alice","token_type":"Bearer"%s}`, test.life))(w, r)
		})
		source := authnoauth2.NewClientCredentials(authnoauth2.Endpoint{
			TokenURL: s.URL, ClientID: "me", ClientSecret: "pw", Client: s.Client(), Refresh: authn.RefreshConfig{MinInterval: time.Hour},
		})
		client := authn.NewClient(source, authn.ClientConfig{AllowClearText: true})
		to := setup{server: []hauberk.Interceptor{named()}, client: []hauberk.Interceptor{client}}.start(t)
		to.wants(t, name, test.code)
		to.wants(t, name, test.code)
		if n := fetches.Load(); n != 1 {
			t.Errorf("%s: %d fetches; want 1", name, n)
		}
	}
}

// TestReportSourceFailsForGood: a call that waits for a connection ends with the error of its token's source, and does not
// begin again forever (grpc/grpc-go#3749, grpc/grpc-go#1704).
func TestReportSourceFailsForGood(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var asked atomic.Int64
	for want, err := range map[codes.Code]error{
		codes.Unauthenticated: errors.New("wrong password"), // as with credentials of grpc-go
		codes.Unavailable:     status.Error(codes.Unavailable, "no route"),
	} {
		source := authn.TokenFunc(func(context.Context) (string, error) { asked.Add(1); return "", err })
		to := setup{
			server: []hauberk.Interceptor{named()},
			client: []hauberk.Interceptor{authn.NewClient(source, authn.ClientConfig{AllowClearText: true})},
		}.start(t)
		for _, kind := range kinds {
			asked.Store(0)
			err := to.call(t.Context(), kind, []grpc.CallOption{grpc.WaitForReady(true)})
			if status.Code(err) != want || asked.Load() != 1 {
				t.Errorf("%v: %v after %d tokens; want %v after 1", kind, err, asked.Load(), want)
			}
		}
		if handled := to.handled(); len(handled) > 0 {
			t.Errorf("%q reached the handler", handled)
		}
	}
}
