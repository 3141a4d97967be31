package authnjwt_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// buffer is a log.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// take returns what was logged since the last time.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.text.Reset()
	return b.text.String()
}

func (b *buffer) option() authnjwt.Option {
	return authnjwt.WithLogger(slog.New(slog.NewTextHandler(b, nil)))
}

// by makes a token with any algorithm, key and "kid".
func by(algorithm string, key any, id string) string {
	h := object{"alg": algorithm, "kid": id}
	if id == "" {
		delete(h, "kid")
	}
	return signed(algorithm, key, h.String(), claims(time.Now()).String())
}

// TestKeySet: which keys of a JWK Set verify which tokens, and which sets are errors.
func TestKeySet(t *testing.T) {
	ed, ed2, rs := jwk(edKey().Public(), object{"kid": "a"}), jwk(edKey2().Public(), object{"kid": "b"}), jwk(rsaKey().Public(), object{"kid": "a"})
	many := func(n int) []object {
		list := make([]object, n)
		for i := range list {
			list[i] = jwk(edKey2().Public(), object{"kid": fmt.Sprint("k", i)})
		}
		return list
	}
	short := base64.RawURLEncoding.EncodeToString(new(big.Int).Lsh(big.NewInt(1), 1023).Bytes())
	for name, test := range map[string]struct {
		set    string
		token  string
		reject error  // for the token; nil: accepted
		fails  string // for the set; "": good
	}{
		"by kid":                 {jwks(ed, ed2), by("EdDSA", edKey2(), "b"), nil, ""},
		"by another kid":         {jwks(ed, ed2), by("EdDSA", edKey2(), "a"), authnjwt.ErrSignature, ""},
		"unknown kid":            {jwks(ed, ed2), by("EdDSA", edKey(), "c"), authnjwt.ErrUnknownKey, ""},
		"no kid in the token":    {jwks(ed, ed2, rs), by("EdDSA", edKey2(), ""), nil, ""},
		"no kid in the set":      {jwks(ed, jwk(edKey2().Public(), nil)), by("EdDSA", edKey2(), "b"), authnjwt.ErrUnknownKey, ""},
		"duplicate kid, types":   {jwks(ed, rs), by("RS256", rsaKey(), "a"), nil, ""},
		"duplicate kid, first":   {jwks(ed, ed2.with(object{"kid": "a"})), by("EdDSA", edKey(), "a"), nil, ""},
		"duplicate kid, second":  {jwks(ed2.with(object{"kid": "a"}), ed), by("EdDSA", edKey(), "a"), nil, ""},
		"duplicate kid, neither": {jwks(ed2.with(object{"kid": "a"}), jwk(p256().Public(), object{"kid": "a"})), by("EdDSA", edKey(), "a"), authnjwt.ErrSignature, ""},
		"kid of another type":    {jwks(rs), by("EdDSA", edKey(), "a"), authnjwt.ErrUnknownKey, ""},
		"alg of the key":         {jwks(rs.with(object{"alg": "PS256"})), by("PS256", rsaKey(), "a"), nil, ""},
		"another alg of the key": {jwks(rs.with(object{"alg": "PS256"})), by("RS256", rsaKey(), "a"), authnjwt.ErrUnknownKey, ""},
		"alg Ed25519":            {jwks(ed.with(object{"alg": "Ed25519"})), by("EdDSA", edKey(), "a"), nil, ""},
		"curve":                  {jwks(jwk(p384().Public(), object{"kid": "a"})), by("ES384", p384(), "a"), nil, ""},
		"another curve":          {jwks(jwk(p384().Public(), object{"kid": "a"})), by("ES256", p256(), "a"), authnjwt.ErrUnknownKey, ""},
		"use sig":                {jwks(ed.with(object{"use": "sig", "key_ops": []string{"verify"}})), by("EdDSA", edKey(), "a"), nil, ""},
		"certificates ignored":   {jwks(ed.with(object{"x5c": []string{"garbage"}, "x5u": "https://evil.example/"})), by("EdDSA", edKey(), "a"), nil, ""},
		"16 without kid":         {jwks(append(many(15), ed)...), by("EdDSA", edKey(), ""), nil, ""},
		"17 without kid":         {jwks(append(many(16), ed)...), by("EdDSA", edKey(), ""), authnjwt.ErrUnknownKey, ""},
		"17, with kid":           {jwks(append(many(16), ed)...), by("EdDSA", edKey(), "a"), nil, ""},
		"unusable ones left out": {jwks(ed, ed2.with(object{"use": "enc"}), object{"kty": "oct", "k": "AAAA"}, object{"kty": "new"}), by("EdDSA", edKey(), "a"), nil, ""},
		"100 keys":               {jwks(append(many(99), ed)...), by("EdDSA", edKey(), "a"), nil, ""},

		"101 keys":          {jwks(many(101)...), "", nil, "101 keys; want at most 100"},
		"10,000 keys":       {jwks(many(10_000)...), "", nil, "10000 keys; want at most 100"},
		"encryption key":    {jwks(ed.with(object{"use": "enc"})), "", nil, `use is "enc"`},
		"no verify":         {jwks(ed.with(object{"key_ops": []string{"sign"}})), "", nil, "key_ops"},
		"secret":            {jwks(object{"kty": "oct", "k": encoded(string(hsSecret)), "alg": "HS256"}), "", nil, "private or secret"},
		"private key":       {jwks(ed.with(object{"d": "AAAA"})), "", nil, "private or secret"},
		"weak key":          {jwks(rs.with(object{"n": short})), "", nil, "1024 bits"},
		"huge key":          {jwks(rs.with(object{"n": strings.Repeat("A", 2000) + "AQ"})), "", nil, "none of its 1 keys"},
		"bad point":         {jwks(jwk(p256().Public(), object{"y": jwk(p256().Public(), nil)["x"]})), "", nil, "not on declared curve"},
		"kid is a number":   {jwks(ed.with(object{"kid": 1})), "", nil, "kid is not a string"},
		"kid of 64 KiB":     {jwks(ed.with(object{"kid": strings.Repeat("k", 64<<10)})), "", nil, "kid has 65536 bytes"},
		"a key is a string": {`{"keys":["ed"]}`, "", nil, "not an object"},
		"keys is an object": {`{"keys":{}}`, "", nil, `"keys" is not an array`},
		"no keys":           {`{"KEYS":[]}`, "", nil, `"keys" is not an array`},
		"twice keys":        {`{"keys":[],"keys":[]}`, "", nil, "distinct members"},
		"twice in a key":    {`{"keys":[{"kty":"OKP","kty":"OKP"}]}`, "", nil, "distinct members"},
		"HTML":              {"<!doctype html><title>Sign in</title>", "", nil, "not a JWK Set"},
		"half":              {jwks(ed)[:40], "", nil, "not a JWK Set"},
		"empty file":        {"", "", nil, "not a JWK Set"},
		"deep":              {`{"keys":[],"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, "", nil, "nested"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			c.Algorithms = []string{"EdDSA", "RS256", "PS256", "ES256", "ES384"}
			c.JWKSFile = filepath.Join(t.TempDir(), "jwks.json")
			write(t, c.JWKSFile, test.set)
			if test.fails != "" {
				v := authnjwt.New(c, silent)
				defer v.Close()
				if err := v.Err(); err == nil || !strings.Contains(err.Error(), test.fails) || len(err.Error()) > 1000 {
					t.Errorf("%v; want %q", err, test.fails)
				}
				return
			}
			v := validator(t, c)
			if test.reject == nil {
				accepts(t, v, test.token)
			} else {
				rejects(t, v, test.token, authn.ErrInvalidToken, test.reject)
			}
		})
	}
}

// TestKeyFile: a changed file is in force within a second, tokens of a key that has gone are
// rejected although they were kept, and garbage leaves the last good keys in force and is logged.
func TestKeyFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.JWKSFile = filepath.Join(t.TempDir(), "jwks.json")
		one, two := jwk(edKey().Public(), object{"kid": "1"}), jwk(edKey2().Public(), object{"kid": "2"})
		write(t, c.JWKSFile, jwks(one))
		var log buffer
		v := validator(t, c, log.option())
		first, second := by("EdDSA", edKey(), "1"), by("EdDSA", edKey2(), "2")
		kept := accepts(t, v, first)
		replace := func(content string) string {
			log.take()
			write(t, c.JWKSFile, content)
			time.Sleep(time.Second) //nolint:forbidigo // synctest: the clock is fake
			synctest.Wait()
			return log.take()
		}
		if text := replace(jwks(one, two)); !strings.Contains(text, "keys have changed") {
			t.Errorf("the log is %q", text)
		}
		if again := accepts(t, v, first); again != kept {
			t.Error("a token of a key that remains was verified again")
		}
		accepts(t, v, second)
		for _, step := range []struct{ garbage, log string }{
			{"", "not a JWK Set"}, {"garbage", ""}, {jwks(one)[:50], ""}, // each reason is logged once
			{jwks(one.with(object{"use": "enc"})), "none of its 1 keys"}, {strings.Repeat("x", 1<<20), "not a JWK Set"},
		} {
			text := replace(step.garbage)
			if (text != "") != (step.log != "") || !strings.Contains(text, step.log) || len(text) > 1000 ||
				text != "" && (!strings.Contains(text, "level=WARN") || !strings.Contains(text, "jwks.json")) {
				t.Errorf("the log is %q; want %q", text, step.log)
			}
			accepts(t, v, first)
			accepts(t, v, second)
			accepts(t, v, by("EdDSA", edKey(), "1"))
		}
		if text := replace(jwks(two)); !strings.Contains(text, "good again") {
			t.Errorf("the log is %q", text)
		}
		rejects(t, v, first, authnjwt.ErrUnknownKey)
		accepts(t, v, second)
		replace(jwks(one.with(object{"kid": "2"})))
		rejects(t, v, second, authnjwt.ErrSignature)
		replace(jwks())
		rejects(t, v, by("EdDSA", edKey(), "2"), authn.ErrInvalidToken, authnjwt.ErrUnknownKey)
		v.Close()
		write(t, c.JWKSFile, jwks(one))
		time.Sleep(time.Minute) //nolint:forbidigo // as above
		rejects(t, v, first, authnjwt.ErrUnknownKey)
	})
}

// TestSecretFile: a secret may be replaced, and white space around it does not count.
func TestSecretFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.Algorithms = []string{"HS256"}
		c.SecretFile = filepath.Join(t.TempDir(), "secret")
		write(t, c.SecretFile, strings.Repeat("1", 32)+"\n")
		v := validator(t, c)
		first, second := by("HS256", []byte(strings.Repeat("1", 32)), "x"), by("HS256", []byte(strings.Repeat("2", 32)), "")
		accepts(t, v, first)
		rejects(t, v, second, authnjwt.ErrSignature)
		write(t, c.SecretFile, strings.Repeat("2", 32)+"\r\n")
		time.Sleep(time.Second) //nolint:forbidigo // synctest: the clock is fake
		synctest.Wait()
		rejects(t, v, first, authnjwt.ErrSignature)
		accepts(t, v, second)
		write(t, c.SecretFile, "short")
		time.Sleep(time.Second) //nolint:forbidigo // as above
		synctest.Wait()
		accepts(t, v, second)
	})
}

// TestSecrets: each of several secrets verifies.
func TestSecrets(t *testing.T) {
	c := config()
	c.Algorithms = []string{"HS256"}
	v := validator(t, c, authnjwt.WithSecrets(hsSecret[:32], hsSecret[1:40]))
	accepts(t, v, by("HS256", hsSecret[:32], ""))
	accepts(t, v, by("HS256", hsSecret[1:40], "any"))
	rejects(t, v, by("HS256", hsSecret[2:40], ""), authnjwt.ErrSignature)
}
