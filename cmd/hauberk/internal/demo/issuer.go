package demo

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// The second key is published before it signs, so that the shop knows it by then.
const (
	publishAfter = time.Second
	signAfter    = 2 * time.Second
	fetchEvery   = publishAfter / 2
	lifetime     = time.Hour // of a token
)

// audience is the shop's name in tokens.
const audience = "shop"

// issuer signs the tokens of the shoppers, and serves its public keys as a JWK Set. It
// rotates from the first key to the second while the demo runs. Tokens of both are valid;
// those of an earlier key are not. Safe for concurrent use.
type issuer struct {
	url    string // the "iss" of the tokens
	now    func() time.Time
	opened time.Time
	keys   [2]jose.JSONWebKey
	web    *http.Server
	served chan error

	mu     sync.Mutex // guards tokens
	tokens map[ticket]string
}

// ticket identifies a token that is signed once: again for each key and half lifetime.
type ticket struct {
	name string
	key  string
	slot time.Time
}

// openIssuer returns an issuer that serves on a free port of this machine.
func openIssuer(ctx context.Context, now func() time.Time) (*issuer, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &issuer{
		url: "http://" + lis.Addr().String(), now: now, opened: now(),
		served: make(chan error, 1), tokens: make(map[ticket]string),
	}
	for n := range i.keys {
		if i.keys[n], err = newKey(n + 1); err != nil {
			return nil, errors.Join(err, lis.Close())
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", i.serveKeys)
	i.web = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { i.served <- i.web.Serve(lis) }()
	return i, nil
}

func newKey(number int) (jose.JSONWebKey, error) {
	_, key, err := ed25519.GenerateKey(nil)
	return jose.JSONWebKey{Key: key, KeyID: strconv.Itoa(number), Algorithm: string(jose.EdDSA), Use: "sig"}, err
}

// close stops the server.
func (i *issuer) close() error {
	err := i.web.Close()
	if served := <-i.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// serveKeys responds with the public keys.
func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.keys[0].Public()}}
	if i.now().Sub(i.opened) >= publishAfter {
		set.Keys = append(set.Keys, i.keys[1].Public())
	}
	text, err := json.Marshal(set)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(text) // an error is the client's
}

// accepted returns the shop's method for the tokens of the issuer.
func (i *issuer) accepted(options ...authnjwt.Option) *authnjwt.Validator {
	return authnjwt.New(authnjwt.Config{
		Issuer:     i.url,
		Audiences:  []string{audience},
		Algorithms: []string{string(jose.EdDSA)},
		JWKSURL:    i.url + "/keys",
		AllowHTTP:  true, // the issuer is in this process
		Refresh:    authnjwt.Refresh{Interval: fetchEvery, MinInterval: fetchEvery / 2},
		RolesClaim: "roles",
	}, options...)
}

// key returns the key that signs now.
func (i *issuer) key() jose.JSONWebKey {
	if i.now().Sub(i.opened) >= signAfter {
		return i.keys[1]
	}
	return i.keys[0]
}

// token returns a valid token of a shopper.
func (i *issuer) token(name string) (string, error) {
	key := i.key()
	of := ticket{name, key.KeyID, i.now().Truncate(lifetime / 2)}
	i.mu.Lock()
	defer i.mu.Unlock()
	if token, ok := i.tokens[of]; ok {
		return token, nil
	}
	token, err := i.sign(key, name, of.slot.Add(lifetime+lifetime/2))
	if err == nil {
		i.tokens[of] = token
	}
	return token, err
}

// sign returns a token of a shopper by any key.
func (i *issuer) sign(key jose.JSONWebKey, name string, expires time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: i.url, Audience: jwt.Audience{audience}, Subject: name, Expiry: jwt.NewNumericDate(expires),
	}).Claims(accountOf(name)).Serialize()
}

// credential returns the source of a shopper's tokens. Those of dora, eve and felix are not
// valid.
func (i *issuer) credential(name string) (source func(context.Context) (string, error), err error) {
	key, expires := i.keys[0], i.opened.Add(lifetime)
	switch name {
	case dora: // expired
		expires = i.opened.Add(-lifetime)
	case eve: // forged: signed by another key, under the name of the issuer's
		key, err = newKey(1)
	case felix: // by a key that the issuer has retired
		key, err = newKey(0)
	default:
		return func(context.Context) (string, error) { return i.token(name) }, nil
	}
	if err != nil {
		return nil, err
	}
	token, err := i.sign(key, name, expires)
	return func(context.Context) (string, error) { return token, nil }, err
}
