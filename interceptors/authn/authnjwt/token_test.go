package authnjwt_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// TestAlgorithms: each algorithm verifies with its key, and is rejected if it is not listed or the
// key is another one.
func TestAlgorithms(t *testing.T) {
	now := time.Now()
	for algorithm, keys := range map[string]struct {
		private any
		option  authnjwt.Option
	}{
		"RS256": {rsaKey(), authnjwt.WithPublicKeys(rsaKey().Public())},
		"RS384": {rsaKey(), authnjwt.WithPublicKeys(rsaKey().Public())},
		"RS512": {rsaKey(), authnjwt.WithPublicKeys(rsaKey().Public())},
		"PS256": {rsaKey(), authnjwt.WithPublicKeys(rsaKey().Public())},
		"PS384": {rsaKey(), authnjwt.WithPublicKeys(rsaKey().Public())},
		"PS512": {rsaKey(), authnjwt.WithPublicKeys(rsaKey().Public())},
		"ES256": {p256(), authnjwt.WithPublicKeys(p256().Public())},
		"ES384": {p384(), authnjwt.WithPublicKeys(p384().Public())},
		"ES512": {p521(), authnjwt.WithPublicKeys(p521().Public())},
		"EdDSA": {edKey(), authnjwt.WithPublicKeys(edKey().Public())},
		"HS256": {hsSecret, authnjwt.WithSecrets(hsSecret)},
		"HS384": {hsSecret, authnjwt.WithSecrets(hsSecret)},
		"HS512": {hsSecret, authnjwt.WithSecrets(hsSecret)},
	} {
		t.Run(algorithm, func(t *testing.T) {
			c := config()
			c.Algorithms = []string{algorithm}
			v := validator(t, c, keys.option)
			good := signed(algorithm, keys.private, object{"alg": algorithm}.String(), claims(now).String())
			if id := accepts(t, v, good); id.Subject != "alice" || id.Method != "jwt" || id.Issuer != issuer {
				t.Errorf("identity %+v; want alice", id)
			}
			changed := strings.Split(good, ".")
			changed[1] = encoded(claims(now).with(object{"sub": "mallory"}).String())
			rejects(t, v, strings.Join(changed, "."), authn.ErrInvalidToken, authnjwt.ErrSignature)
			other := map[string]string{"RS256": "PS256", "EdDSA": "RS256"}[algorithm]
			if other == "" {
				other = "EdDSA"
			}
			rejects(t, v, signed(algorithm, keys.private, object{"alg": other}.String(), claims(now).String()),
				authn.ErrInvalidToken, authnjwt.ErrAlgorithm)
		})
	}
}

// TestConfusion: no form of a public key verifies a token as a secret, and "none" is no algorithm.
func TestConfusion(t *testing.T) {
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	asJWK, err := jose.JSONWebKey{Key: rsaKey().Public()}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	c := config()
	c.Algorithms = []string{"RS256", "EdDSA"}
	v := validator(t, c, authnjwt.WithPublicKeys(rsaKey().Public(), edKey().Public()))
	body := claims(time.Now()).String()
	for name, secret := range map[string][]byte{
		"PEM": text, "PEM without line end": []byte(strings.TrimSpace(string(text))), "DER": der, "JWK": asJWK,
		"modulus": rsaKey().N.Bytes(), "Ed25519": edKey()[32:],
	} {
		for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
			t.Run(name+" "+algorithm, func(t *testing.T) {
				rejects(t, v, signed(algorithm, secret, object{"alg": algorithm}.String(), body), authn.ErrInvalidToken, authnjwt.ErrAlgorithm)
			})
		}
	}
	for _, none := range []string{"none", "None", "NONE", "nOnE", "", "null", "rs256", "RS256 ", "RS256\x00"} {
		for _, end := range []string{"", "AAAA"} {
			rejects(t, v, encoded(object{"alg": none}.String())+"."+encoded(body)+"."+end, authn.ErrInvalidToken, authnjwt.ErrAlgorithm)
		}
	}
}

// TestTokens: what is wrong with a token is in the error, with the sentinel of its part, and a
// token that is not for this validator is left to the next method.
func TestTokens(t *testing.T) {
	clock := hauberktest.NewClock()
	c := config()
	c.Leeway = time.Minute
	v := validator(t, c, edKeys(), authnjwt.WithClock(clock.Now))
	now := clock.Now()
	good := claims(now)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	body := func(changes object) string { return token(good.with(changes)) }
	raw := func(payload string) string {
		return signed("EdDSA", edKey(), object{"alg": "EdDSA", "kid": "ed"}.String(), payload)
	}
	header := func(changes object) string {
		return signed("EdDSA", edKey(), object{"alg": "EdDSA", "kid": "ed"}.with(changes).String(), good.String())
	}
	rawHeader := func(text string) string { return signed("EdDSA", edKey(), text, good.String()) }
	parts := strings.Split(token(good), ".")
	invalid, other, expired := authn.ErrInvalidToken, authn.ErrOtherMethod, authn.ErrTokenExpired
	for name, test := range map[string]struct {
		token string
		want  []error // none: accepted
	}{
		"good": {token(good), nil},

		// Shape
		"empty":                        {"", []error{other, authnjwt.ErrMalformed}},
		"opaque":                       {"2YotnFZFEjr1zCsicMWpAA", []error{other, authnjwt.ErrMalformed}},
		"opaque, 64 KiB":               {strings.Repeat("a", 64<<10), []error{other, authnjwt.ErrMalformed}},
		"two parts":                    {parts[0] + "." + parts[1], []error{other, authnjwt.ErrMalformed}},
		"four parts":                   {token(good) + ".AAAA", []error{other, authnjwt.ErrMalformed}},
		"JWE":                          {encoded(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AAAA","zip":"DEF"}`) + ".AAAA.AAAA.AAAA.AAAA", []error{other, authnjwt.ErrMalformed}},
		"JWE as three parts":           {encoded(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`) + ".AAAA.AAAA", []error{invalid, authnjwt.ErrAlgorithm}},
		"JSON form":                    {`{"payload":"` + parts[1] + `","signatures":[null]}`, []error{other, authnjwt.ErrMalformed}},
		"PASETO":                       {"v4.public.AAAA", []error{other, authnjwt.ErrMalformed}},
		"header is not JSON":           {encoded("alg") + "." + parts[1] + "." + parts[2], []error{other, authnjwt.ErrMalformed}},
		"header is an array":           {encoded(`["alg"]`) + "." + parts[1] + "." + parts[2], []error{other, authnjwt.ErrMalformed}},
		"header is null":               {encoded(`null`) + "." + parts[1] + "." + parts[2], []error{other, authnjwt.ErrMalformed}},
		"header has no alg":            {rawHeader(`{"kid":"ed"}`), []error{other, authnjwt.ErrMalformed}},
		"alg is an array":              {rawHeader(`{"alg":["EdDSA"]}`), []error{other, authnjwt.ErrMalformed}},
		"alg in other case":            {rawHeader(`{"ALG":"EdDSA"}`), []error{other, authnjwt.ErrMalformed}},
		"header has members twice":     {rawHeader(`{"alg":"EdDSA","alg":"EdDSA"}`), []error{other, authnjwt.ErrMalformed}},
		"header has kid twice":         {rawHeader(`{"alg":"EdDSA","kid":"ed","\u006bid":"ed"}`), []error{other, authnjwt.ErrMalformed}},
		"header has nested twice":      {rawHeader(`{"alg":"EdDSA","x":[{"a":1,"a":2}]}`), []error{other, authnjwt.ErrMalformed}},
		"header is not UTF-8":          {rawHeader("{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}"), []error{other, authnjwt.ErrMalformed}},
		"header with more after it":    {rawHeader(`{"alg":"EdDSA"}{}`), []error{other, authnjwt.ErrMalformed}},
		"header is deep":               {rawHeader(`{"alg":"EdDSA","x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`), []error{other, authnjwt.ErrMalformed}},
		"header too large":             {header(object{"x": strings.Repeat("a", 8<<10)}), []error{invalid, authnjwt.ErrTooLarge}},
		"token too large":              {body(object{"x": strings.Repeat("a", 64<<10)}), []error{invalid, authnjwt.ErrTooLarge}},
		"no signature":                 {parts[0] + "." + parts[1] + ".", []error{invalid, authnjwt.ErrSignature}},
		"signature is short":           {parts[0] + "." + parts[1] + ".AAAA", []error{invalid, authnjwt.ErrSignature}},
		"signature with padding":       {token(good) + "==", []error{invalid, authnjwt.ErrSignature}},
		"signature in standard base64": {parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43), []error{invalid, authnjwt.ErrSignature}},
		"signature with other bits":    {otherBits(token(good)), []error{invalid, authnjwt.ErrSignature}},
		"line end in the payload":      {parts[0] + ".\n" + parts[1] + "." + parts[2], []error{invalid, authnjwt.ErrClaims}},
		"payload is not base64":        {parts[0] + ".a." + parts[2], []error{invalid, authnjwt.ErrClaims}},
		"payload is empty":             {parts[0] + ".." + parts[2], []error{invalid, authnjwt.ErrClaims}},

		// Header
		"crit":                  {header(object{"crit": []string{"exp"}}), []error{invalid, authnjwt.ErrHeader}},
		"crit is empty":         {header(object{"crit": []string{}}), []error{invalid, authnjwt.ErrHeader}},
		"b64":                   {header(object{"b64": false}), []error{invalid, authnjwt.ErrHeader}},
		"b64 is critical":       {header(object{"b64": true, "crit": []string{"b64"}}), []error{invalid, authnjwt.ErrHeader}},
		"nested":                {header(object{"cty": "JWT"}), []error{invalid, authnjwt.ErrHeader}},
		"nested media type":     {header(object{"cty": "Application/jwt"}), []error{invalid, authnjwt.ErrHeader}},
		"other content":         {header(object{"cty": "json"}), nil},
		"kid is a number":       {header(object{"kid": 7}), []error{invalid, authnjwt.ErrHeader}},
		"kid is null":           {rawHeader(`{"alg":"EdDSA","kid":null}`), []error{invalid, authnjwt.ErrHeader}},
		"kid is long":           {header(object{"kid": strings.Repeat("k", 257)}), []error{invalid, authnjwt.ErrHeader}},
		"kid is unknown":        {header(object{"kid": "../../etc/passwd"}), []error{invalid, authnjwt.ErrUnknownKey}},
		"kid with line ends":    {header(object{"kid": "ed\r\nforged: line"}), []error{invalid, authnjwt.ErrUnknownKey}},
		"kid in other case":     {header(object{"kid": "ED"}), []error{invalid, authnjwt.ErrUnknownKey}},
		"kid is empty":          {header(object{"kid": ""}), []error{invalid, authnjwt.ErrUnknownKey}},
		"no kid":                {header(object{"kid": nil}), nil},
		"typ is a number":       {header(object{"typ": 1}), []error{invalid, authnjwt.ErrHeader}},
		"every typ":             {header(object{"typ": "anything"}), nil},
		"zip is ignored":        {header(object{"zip": "DEF"}), nil},
		"jku, x5u, x5t ignored": {header(object{"jku": "https://evil.example/keys", "x5u": "https://evil.example/cert", "x5t": "AAAA"}), nil},
		"jwk of an unknown kind": {
			header(object{"jwk": object{"kty": "OKP", "crv": "Ed448", "x": "AA"}}), []error{invalid, authnjwt.ErrHeader},
		},
		"x5c without a certificate": {header(object{"x5c": []string{"AAAA"}}), []error{invalid, authnjwt.ErrHeader}},
		"jwk of the attacker": {
			signed("EdDSA", edKey2(), object{"alg": "EdDSA", "kid": "ed", "jwk": jwk(edKey2().Public(), nil)}.String(), good.String()),
			[]error{invalid, authnjwt.ErrSignature},
		},

		// Issuer and audience
		"iss is another":      {body(object{"iss": "https://other.example"}), []error{other, authnjwt.ErrIssuer}},
		"iss is longer":       {body(object{"iss": issuer + ".evil.example"}), []error{other, authnjwt.ErrIssuer}},
		"iss with a slash":    {body(object{"iss": issuer + "/"}), []error{other, authnjwt.ErrIssuer}},
		"iss is a prefix":     {body(object{"iss": issuer[:10]}), []error{other, authnjwt.ErrIssuer}},
		"iss in other case":   {body(object{"iss": strings.ToUpper(issuer)}), []error{other, authnjwt.ErrIssuer}},
		"iss is missing":      {body(object{"iss": nil}), []error{invalid, authnjwt.ErrIssuer}},
		"iss is an array":     {body(object{"iss": []string{issuer}}), []error{invalid, authnjwt.ErrIssuer}},
		"aud is another":      {body(object{"aud": "bank"}), []error{invalid, authnjwt.ErrAudience}},
		"aud is longer":       {body(object{"aud": "shop2"}), []error{invalid, authnjwt.ErrAudience}},
		"aud is missing":      {body(object{"aud": nil}), []error{invalid, authnjwt.ErrAudience}},
		"aud is null":         {raw(strings.Replace(good.String(), `"shop"`, "null", 1)), []error{invalid, authnjwt.ErrAudience}},
		"aud is empty":        {body(object{"aud": []string{}}), []error{invalid, authnjwt.ErrAudience}},
		"aud is one of many":  {body(object{"aud": []string{"bank", "shop"}}), nil},
		"aud has a number":    {body(object{"aud": []any{"shop", 1}}), []error{invalid, authnjwt.ErrClaims}},
		"aud is an object":    {body(object{"aud": object{"shop": true}}), []error{invalid, authnjwt.ErrClaims}},
		"aud is nested":       {body(object{"aud": [][]string{{"shop"}}}), []error{invalid, authnjwt.ErrClaims}},
		"aud with whitespace": {body(object{"aud": "shop bank"}), []error{invalid, authnjwt.ErrAudience}},

		// Times, with a leeway of a minute
		"exp is missing":             {body(object{"exp": nil}), []error{invalid, authnjwt.ErrNoExpiry}},
		"exp just valid":             {body(object{"exp": at(-59 * time.Second)}), nil},
		"exp just over":              {body(object{"exp": at(-time.Minute)}), []error{expired}},
		"exp with a fraction":        {body(object{"exp": float64(at(-60*time.Second)) + 0.5}), nil},
		"exp is a string":            {body(object{"exp": fmt.Sprint(at(time.Hour))}), []error{invalid, authnjwt.ErrClaims}},
		"exp is null":                {raw(`{"iss":"` + issuer + `","sub":"alice","aud":"shop","exp":null}`), []error{invalid, authnjwt.ErrClaims}},
		"exp is 1e400":               {raw(`{"iss":"` + issuer + `","sub":"alice","aud":"shop","exp":1e400}`), []error{invalid, authnjwt.ErrClaims}},
		"exp is 1e300":               {raw(`{"iss":"` + issuer + `","sub":"alice","aud":"shop","exp":1e300}`), []error{invalid, authnjwt.ErrClaims}},
		"exp is 9223372036854775807": {raw(`{"iss":"` + issuer + `","sub":"alice","aud":"shop","exp":9223372036854775807}`), []error{invalid, authnjwt.ErrClaims}},
		"exp in milliseconds":        {body(object{"exp": at(time.Hour) * 1000}), []error{invalid, authnjwt.ErrClaims}},
		"exp is negative":            {body(object{"exp": -1}), []error{expired}},
		"exp is negative, huge":      {body(object{"exp": -1e300}), []error{invalid, authnjwt.ErrClaims}},
		"exp is zero":                {body(object{"exp": 0}), []error{expired}},
		"exp is an object":           {body(object{"exp": object{}}), []error{invalid, authnjwt.ErrClaims}},
		"exp is true":                {body(object{"exp": true}), []error{invalid, authnjwt.ErrClaims}},
		"nbf just valid":             {body(object{"nbf": at(time.Minute)}), nil},
		"nbf in the future":          {body(object{"nbf": at(61 * time.Second)}), []error{invalid, authnjwt.ErrNotYetValid}},
		"nbf is a string":            {body(object{"nbf": "0"}), []error{invalid, authnjwt.ErrClaims}},
		"nbf is huge":                {body(object{"nbf": 1e300}), []error{invalid, authnjwt.ErrClaims}},
		"iat is a string":            {body(object{"iat": "now"}), []error{invalid, authnjwt.ErrClaims}},
		"iat in the future":          {body(object{"iat": at(time.Hour)}), nil},
		"expired for others":         {body(object{"exp": at(-time.Hour), "aud": "bank"}), []error{invalid, authnjwt.ErrAudience}},
		"expired and forged":         {signed("EdDSA", edKey2(), object{"alg": "EdDSA", "kid": "ed"}.String(), good.with(object{"exp": at(-time.Hour)}).String()), []error{invalid, authnjwt.ErrSignature}},

		// Other claims
		"sub is missing":     {body(object{"sub": nil}), []error{invalid, authnjwt.ErrRequiredClaim}},
		"sub is empty":       {body(object{"sub": ""}), []error{invalid, authnjwt.ErrRequiredClaim}},
		"sub is a number":    {body(object{"sub": 1}), []error{invalid, authnjwt.ErrClaims}},
		"jti is a number":    {body(object{"jti": 1}), []error{invalid, authnjwt.ErrClaims}},
		"claims twice":       {raw(strings.Replace(good.String(), "{", `{"sub":"root",`, 1)), []error{invalid, authnjwt.ErrClaims}},
		"nested twice":       {raw(strings.Replace(good.String(), "{", `{"a":{"b":1,"b":2},`, 1)), []error{invalid, authnjwt.ErrClaims}},
		"SUB is no sub":      {body(object{"SUB": "root"}), nil},
		"claims are deep":    {raw(strings.Replace(good.String(), "{", `{"a":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)+`,`, 1)), []error{invalid, authnjwt.ErrClaims}},
		"claims deep enough": {raw(strings.Replace(good.String(), "{", `{"a":`+strings.Repeat("[", 15)+strings.Repeat("]", 15)+`,"b":"[[[[[[[[[[[[[[[[[[\"[",`, 1)), nil},
		"claims, 5000 deep":  {raw(strings.Replace(good.String(), "{", `{"a":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,`, 1)), []error{invalid, authnjwt.ErrClaims}},
		"claims are a list":  {raw("[" + good.String() + "]"), []error{invalid, authnjwt.ErrClaims}},
		"claims are null":    {raw("null"), []error{invalid, authnjwt.ErrClaims}},
		"claims not UTF-8":   {raw(strings.Replace(good.String(), "alice", "ali\xffce", 1)), []error{invalid, authnjwt.ErrClaims}},
		"claims and more":    {raw(good.String() + "{}"), []error{invalid, authnjwt.ErrClaims}},
		"a claim of 1e400":   {raw(strings.Replace(good.String(), "{", `{"x":1e400,`, 1)), []error{invalid, authnjwt.ErrClaims}},
		"scope is a number":  {body(object{"scope": 1}), []error{invalid, authnjwt.ErrClaims}},
		"scp has a number":   {body(object{"scp": []any{1}}), []error{invalid, authnjwt.ErrClaims}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.want == nil {
				accepts(t, v, test.token)
				return
			}
			rejects(t, v, test.token, test.want...)
			_, err := v.Validate(t.Context(), test.token)
			for _, class := range []error{invalid, other, expired, authnjwt.ErrKeys} {
				if errors.Is(err, class) != slices.Contains(test.want, class) {
					t.Errorf("%v: is it %v? %t", err, class, errors.Is(err, class))
				}
			}
		})
	}
}

// otherBits changes the bits at the end of the signature that base64 does not use.
func otherBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[last+1:last+2]
}

// TestWire: a client learns that its token is invalid, and nothing else, for each kind of call;
// only an authentic token says that it has expired.
func TestWire(t *testing.T) {
	now := time.Now()
	good := claims(now)
	for name, test := range map[string]struct {
		values  []string
		code    codes.Code
		reason  string
		message string
		cause   error
	}{
		"good":      {[]string{"Bearer " + token(good)}, codes.OK, "", "", nil},
		"any case":  {[]string{"bEARER  " + token(good)}, codes.OK, "", "", nil},
		"none":      {nil, codes.Unauthenticated, authn.ReasonMissingToken, "Missing or invalid token", authn.ErrNoCredential},
		"two":       {[]string{"Bearer " + token(good), "Bearer " + token(good)}, codes.Unauthenticated, authn.ReasonMalformedToken, "Missing or invalid token", authn.ErrMalformedToken},
		"joined":    {[]string{"Bearer " + token(good) + ",Bearer x"}, codes.Unauthenticated, authn.ReasonMalformedToken, "Missing or invalid token", authn.ErrMalformedToken},
		"JSON form": {[]string{`Bearer {"payload":"e30","signatures":[null]}`}, codes.Unauthenticated, authn.ReasonMalformedToken, "Missing or invalid token", authn.ErrMalformedToken},
		"opaque":    {[]string{"Bearer abc"}, codes.Unauthenticated, authn.ReasonInvalidToken, "Invalid token", authnjwt.ErrMalformed},
		"forged":    {[]string{"Bearer " + token(good) + "A"}, codes.Unauthenticated, authn.ReasonInvalidToken, "Invalid token", authnjwt.ErrSignature},
		"issuer":    {[]string{"Bearer " + token(good.with(object{"iss": "x"}))}, codes.Unauthenticated, authn.ReasonInvalidToken, "Invalid token", authnjwt.ErrIssuer},
		"audience":  {[]string{"Bearer " + token(good.with(object{"aud": "bank"}))}, codes.Unauthenticated, authn.ReasonInvalidToken, "Invalid token", authnjwt.ErrAudience},
		"no exp":    {[]string{"Bearer " + token(good.with(object{"exp": nil}))}, codes.Unauthenticated, authn.ReasonInvalidToken, "Invalid token", authnjwt.ErrNoExpiry},
		"too early": {[]string{"Bearer " + token(good.with(object{"nbf": now.Add(time.Hour).Unix()}))}, codes.Unauthenticated, authn.ReasonInvalidToken, "Invalid token", authnjwt.ErrNotYetValid},
		"expired":   {[]string{"Bearer " + token(good.with(object{"exp": now.Unix()}))}, codes.Unauthenticated, authn.ReasonTokenExpired, "Token expired", authn.ErrTokenExpired},
	} {
		for _, kind := range kinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var cause error
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					cause = next(ctx, call)
					return cause
				})
				var user string
				backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					user = authn.User.Or(ctx, "no one")
					return hauberktest.Echo(ctx, s)
				}}
				env := server(kind).StartWith(t, backend, outer, authn.New(authn.Config{}, validator(t, config(), edKeys())))
				err := env.Call(metadata.NewOutgoingContext(t.Context(), metadata.MD{"authorization": test.values})).Err
				if text := fmt.Sprint(err, status.Convert(err).Details()); strings.Contains(text, "bank") {
					t.Errorf("%s has a claim of the token", text)
				}
				if status.Code(err) != test.code || test.code != codes.OK && status.Convert(err).Message() != test.message || hauberk.Reason(err) != test.reason {
					t.Errorf("%v, reason %q; want %v, %q, %q", err, hauberk.Reason(err), test.code, test.message, test.reason)
				}
				if (user == "alice") != (test.code == codes.OK) || (user == "") != (test.code != codes.OK) {
					t.Errorf("the handler saw %q", user)
				}
				if !errors.Is(cause, test.cause) {
					t.Errorf("the outcome on the server is %v; want %v", cause, test.cause)
				}
			})
		}
	}
}

// TestOtherMethod: a later method admits the tokens that are not for this one, and no others.
func TestOtherMethod(t *testing.T) {
	good := claims(time.Now())
	theirs := good.with(object{"iss": "https://other.example"})
	c := config()
	c.Type = "at+jwt"
	second := authn.Bearer(func(context.Context, string) (*authn.Identity, error) {
		return &authn.Identity{Subject: "second"}, nil
	})
	for name, test := range map[string]struct {
		token string
		admit bool
	}{
		"opaque":                            {"2YotnFZFEjr1zCsicMWpAA", true},
		"another issuer":                    {token(good.with(object{"iss": "https://other.example"})), true},
		"another issuer, signed by no one":  {token(theirs) + "AA", true},
		"another issuer, another algorithm": {signed("ES256", p256(), `{"alg":"ES256"}`, theirs.String()), true},
		"another issuer, another type":      {signed("EdDSA", edKey(), `{"alg":"EdDSA","typ":"JWT"}`, theirs.String()), true},
		"another issuer, a critical member": {signed("EdDSA", edKey(), `{"alg":"EdDSA","typ":"at+jwt","crit":["x"]}`, theirs.String()), true},
		"another issuer, a larger header":   {signed("EdDSA", edKey(), `{"alg":"EdDSA","x5c":["`+strings.Repeat("A", 8<<10)+`"]}`, theirs.String()), true},
		"another issuer, a larger token":    {token(theirs.with(object{"x": strings.Repeat("a", 40<<10)})), true},
		"another issuer, much too large":    {token(theirs.with(object{"x": strings.Repeat("a", 64<<10)})), false},
		"another issuer after the issuer":   {signed("ES256", p256(), `{"alg":"ES256"}`, strings.Replace(good.String(), "{", `{"iss":"https://other.example",`, 1)), false},
		"another issuer in another case":    {signed("ES256", p256(), `{"alg":"ES256"}`, strings.Replace(good.String(), "{", `{"ISS":"https://other.example",`, 1)), false},
		"the issuer, another algorithm":     {signed("ES256", p256(), `{"alg":"ES256","typ":"at+jwt"}`, good.String()), false},
		"the issuer, another type":          {signed("EdDSA", edKey(), `{"alg":"EdDSA","typ":"JWT"}`, good.String()), false},
		"the issuer, too large":             {token(good.with(object{"x": strings.Repeat("a", 40<<10)})), false},
		"claims that are no object":         {signed("ES256", p256(), `{"alg":"ES256"}`, "[]"), false},
		"forged":                            {token(good) + "AA", false},
		"expired":                           {token(good.with(object{"exp": 1})), false},
		"no issuer":                         {token(good.with(object{"iss": nil})), false},
		"algorithm none":                    {encoded(`{"alg":"none"}`) + "." + encoded(good.String()) + ".", false},
	} {
		t.Run(name, func(t *testing.T) {
			env := server(hauberk.Unary).Start(t, authn.New(authn.Config{}, validator(t, c, edKeys()), second))
			err := env.Call(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+test.token)).Err
			if (err == nil) != test.admit || !test.admit && status.Code(err) != codes.Unauthenticated {
				t.Errorf("%v; want admitted: %t", err, test.admit)
			}
		})
	}
}
