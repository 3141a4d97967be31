package metadatakey_test

import (
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// TestCredential: a key that identifies a caller by a secret is found in any spelling, and no other is.
func TestCredential(t *testing.T) {
	for key, want := range map[string]bool{
		"authorization": true, "Proxy-Authorization": true, "x_forwarded_authorization": true, "authorizations": false,
		"cookie": true, "set-cookie": true, "cookies": false, "key": true, "x-api-key": true, "X.API.KEY": true, "monkey": false,
		"apikey": true, "x-apikey": true, "x-goog-iap-jwt-assertion": true, "x-jwt": true, "token": true, "x-vault-token": true,
		"x-amzn-oidc-accesstoken": true, "tokens": false, "client-secret": true, "password": true, "trace-bin": false,
		"x-request-id": false, "user-agent": false, ":authority": false, "": false, "-": false,
	} {
		if got := metadatakey.Credential(key); got != want {
			t.Errorf("%q: %t; want %t", key, got, want)
		}
	}
}
