package attacks_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// jwtStatic serves with the issuer's keys, which do not change.
func jwtStatic(t *testing.T, config authnjwt.Config) *jwtWorld {
	t.Helper()
	return jwtServe(t, authnjwt.New(config, authnjwt.WithPublicKeys(jwtKey().Public(), jwtEdKey().Public()), jwtDiscard), nil)
}

// A token without a signature is none (RFC 8725, 3.1).
func TestT01NoSignature(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w := jwtStatic(t, jwtConfig())
	parts := strings.Split(jwtGood(), ".")
	for _, none := range []string{"none", "None", "NONE", "nOnE", "", "null", "RS256\x00"} {
		unsigned := jwtBase64.EncodeToString([]byte(jwtObject{"alg": none, "kid": "1"}.String())) + "." + parts[1]
		for _, end := range []string{"", ".", ".AAAA", "." + parts[2]} {
			w.rejects(t, none+end, codes.Unauthenticated, "Bearer "+unsigned+end)
		}
	}
	for _, token := range []string{parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1], parts[0] + "..", "..", "...", parts[0] + ".." + parts[2]} {
		w.rejects(t, token, codes.Unauthenticated, "Bearer "+token)
	}
	w.admits(t, "a good token", jwtGood())
}

// A public key is no secret of HMAC, in none of its forms (RFC 8725, 2.1).
func TestT02PublicKeyAsSecret(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w := jwtStatic(t, jwtConfig())
	der := must(x509.MarshalPKIXPublicKey(jwtKey().Public()))
	pkcs1 := x509.MarshalPKCS1PublicKey(&jwtKey().PublicKey)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, secret := range map[string][]byte{
		"DER": der, "PKCS #1": pkcs1, "PEM": text, "PEM, trimmed": []byte(strings.TrimSpace(string(text))),
		"PEM of PKCS #1": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"JWK":            []byte(jwtJWK(jwtKey(), "1").String()), "JWK Set": []byte(jwtKeySet(jwtJWK(jwtKey(), "1"))),
		"modulus": jwtKey().N.Bytes(), "empty": {},
	} {
		for _, algorithm := range []string{"HS256", "RS256"} {
			token := jwtToken(secret, jwtHeader().with(jwtObject{"alg": algorithm}).String(), jwtClaims().String())
			w.rejects(t, name+" as "+algorithm, codes.Unauthenticated, "Bearer "+token)
		}
	}
	w.admits(t, "a good token", jwtGood())
}

// A key that the token brings is ignored, and what it refers to is not fetched (RFC 8725, 3.10).
func TestT04KeyInToken(t *testing.T) {
	hauberktest.CheckLeaks(t)
	evil := newJWTSite(t, jwtServes("application/json", jwtKeySet(jwtJWK(jwtForger(), "1"))))
	w := jwtStatic(t, jwtConfig())
	certificate := jwtBase64.EncodeToString(evil.Certificate().Raw)
	for name, header := range map[string]jwtObject{
		"jwk": {"jwk": jwtJWK(jwtForger(), "1")}, "jku": {"jku": evil.URL + "/keys"},
		"x5u": {"x5u": evil.URL + "/cert"}, "x5c": {"x5c": []string{certificate}},
		"all": {"jwk": jwtJWK(jwtForger(), "1"), "jku": evil.URL, "x5u": evil.URL, "x5c": []string{certificate}, "x5t": "AAAA"},
	} {
		text := jwtHeader().with(header).String()
		w.rejects(t, name, codes.Unauthenticated, "Bearer "+jwtToken(jwtForger(), text, jwtClaims().String()))
	}
	for name, header := range map[string]jwtObject{
		"jwk": {"jwk": jwtJWK(jwtForger(), "1")}, "jku": {"jku": evil.URL + "/keys"}, "x5u": {"x5u": evil.URL + "/cert"},
	} {
		text := jwtHeader().with(header).String()
		w.admits(t, name+" in a good token", jwtToken(jwtKey(), text, jwtClaims().String()))
	}
	if n := evil.requests(); n != 0 {
		t.Errorf("%d requests were made; want none", n)
	}
}

// A "kid" is compared, and nothing else.
func TestT05KeyID(t *testing.T) {
	hauberktest.CheckLeaks(t)
	site := newJWTSite(t, jwtServes("application/json", jwtKeySet(
		jwtJWK(jwtKey(), "1"), jwtJWK(jwtForger(), "twice"), jwtJWK(jwtKey(), "twice"))))
	config := jwtConfig()
	config.JWKSURL = site.URL
	w := jwtServe(t, authnjwt.New(config, authnjwt.WithHTTPClient(site.Client()), jwtDiscard), nil)
	w.admits(t, "a good token", jwtGood())
	for _, id := range []string{
		"../../../../dev/null", "../../etc/passwd", "'", `"`, `\`, "1' OR '1'='1", "1\r\nforged: line", "\x1b[31m", "1\x00", "", " 1", "1 ", "０", "%31",
		strings.Repeat("k", 257), strings.Repeat("k", 8<<10),
	} {
		for key, token := range map[string]string{
			"forged": jwtToken(jwtForger(), jwtHeader().with(jwtObject{"kid": id}).String(), jwtClaims().String()),
			"empty":  jwtToken([]byte{}, jwtObject{"alg": "HS256", "kid": id}.String(), jwtClaims().String()),
			"right":  jwtToken(jwtKey(), jwtHeader().with(jwtObject{"kid": id}).String(), jwtClaims().String()),
		} {
			w.rejects(t, fmt.Sprintf("%s, kid %.20q", key, id), codes.Unauthenticated, "Bearer "+token)
		}
	}
	for _, id := range []string{`1`, `null`, `["1"]`, `{"1":1}`, `"1","kid":"1"`} {
		token := jwtToken(jwtKey(), `{"alg":"RS256","kid":`+id+`}`, jwtClaims().String())
		w.rejects(t, "kid "+id, codes.Unauthenticated, "Bearer "+token)
	}
	long := jwtToken(jwtKey(), jwtHeader().with(jwtObject{"kid": strings.Repeat("k", 64<<10)}).String(), jwtClaims().String())
	w.rejects(t, "kid of 64 KiB", codes.Unauthenticated, "Bearer "+long)
	w.admits(t, "duplicate kid", jwtToken(jwtKey(), jwtHeader().with(jwtObject{"kid": "twice"}).String(), jwtClaims().String()))
	w.admits(t, "no kid", jwtToken(jwtKey(), jwtObject{"alg": "RS256"}.String(), jwtClaims().String()))
	w.rejects(t, "no kid, forged", codes.Unauthenticated, "Bearer "+jwtToken([]byte("x"), jwtObject{"alg": "RS256"}.String(), jwtClaims().String()))
}

// A flood of unknown "kid"s causes one fetch each 30 seconds, and leaves good tokens alone. The clock
// moves through 20 seconds during the flood.
func TestT06UnknownKeyFlood(t *testing.T) {
	for name, set := range map[string]string{"keys": jwtKeySet(jwtJWK(jwtKey(), "1")), "no keys": jwtKeySet()} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			site := newJWTSite(t, jwtServes("application/json", set))
			clock := hauberktest.NewClock()
			config := jwtConfig()
			config.JWKSURL = site.URL
			w := jwtServe(t, authnjwt.New(config, authnjwt.WithHTTPClient(site.Client()), authnjwt.WithClock(clock.Now), jwtDiscard), nil)
			good, canary := jwtGood(), codes.OK
			if name == "no keys" {
				canary = codes.Unauthenticated
			}
			flood := func(expect int) {
				t.Helper()
				var next atomic.Int64
				var group sync.WaitGroup
				for range 20 {
					group.Go(func() {
						for i := next.Add(1); i <= 2000; i = next.Add(1) {
							id := fmt.Sprint("unknown ", i)
							token := jwtToken([]byte("x"), jwtHeader().with(jwtObject{"kid": id}).String(), jwtClaims().String())
							if err := w.call(t, hauberk.Unary, "Bearer "+token); status.Code(err) != codes.Unauthenticated {
								t.Errorf("%v; want UNAUTHENTICATED", err)
							}
							if i%100 == 0 {
								clock.Advance(time.Second) // 20 times
								if err := w.call(t, hauberk.Unary, "Bearer "+good); status.Code(err) != canary {
									t.Errorf("a good token: %v; want %v", err, canary)
								}
							}
						}
					})
				}
				group.Wait()
				list, users := w.executed()
				for _, user := range users {
					if canary != codes.OK || user != "alice" {
						t.Errorf("%q were executed, one of them for %q", list, user)
					}
				}
				if len(list) != len(users) {
					t.Errorf("%q were executed for %q", list, users)
				}
				if n := site.requests(); n != expect {
					t.Errorf("%d requests for keys; want %d", n, expect)
				}
			}
			flood(1)
			clock.Advance(10*time.Second - 1)
			flood(2)
		})
	}
}

// TestSoakT06UnknownKeyFlood floods a server with 5,000 unknown "kid"s a second for the duration in
// HAUBERK_SOAK, with and without keys in the set. One fetch is made each 30 seconds, and good tokens
// are admitted.
func TestSoakT06UnknownKeyFlood(t *testing.T) {
	length := soakTime(t) / 2
	for name, set := range map[string]string{"keys": jwtKeySet(jwtJWK(jwtKey(), "1")), "no keys": jwtKeySet()} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			site := newJWTSite(t, jwtServes("application/json", set))
			config := jwtConfig()
			config.JWKSURL = site.URL
			w := jwtServe(t, authnjwt.New(config, authnjwt.WithHTTPClient(site.Client()), jwtDiscard), nil)
			good, canary := "Bearer "+jwtGood(), codes.OK
			if name == "no keys" {
				canary = codes.Unauthenticated
			}
			unknown := make(chan int, 100)
			var group sync.WaitGroup
			for range 20 {
				group.Go(func() {
					for i := range unknown {
						id := fmt.Sprint("unknown ", i)
						token := jwtToken([]byte("x"), jwtHeader().with(jwtObject{"kid": id}).String(), jwtClaims().String())
						if err := w.call(t, hauberk.Unary, "Bearer "+token); status.Code(err) != codes.Unauthenticated {
							t.Errorf("%v; want UNAUTHENTICATED", err)
						}
					}
				})
			}
			start, sent, admitted := time.Now(), 0, 0
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for time.Since(start) < length {
				<-ticker.C
				for due := int(time.Since(start).Seconds() * 5000); sent < due; sent++ {
					unknown <- sent
				}
				if err := w.call(t, hauberk.Unary, good); status.Code(err) != canary {
					t.Errorf("a good token: %v; want %v", err, canary)
				} else if err == nil {
					admitted++
				}
			}
			close(unknown)
			group.Wait()
			took := time.Since(start)
			if list, users := w.executed(); len(list) != admitted || len(users) != admitted {
				t.Errorf("%d calls were executed; want the %d of good tokens", len(list), admitted)
			}
			if n, most := site.requests(), 1+int(took/(30*time.Second)); n > most {
				t.Errorf("%d requests for keys in %v; want at most %d", n, took, most)
			}
			t.Logf("%d unknown keys in %v, %d good tokens, %d requests for keys", sent, took, admitted, site.requests())
		})
	}
}

// With each bad answer of a server of keys, the last good keys remain until MaxStale; then calls end with
// UNAVAILABLE, and nothing is executed.
func TestT07BadKeyServer(t *testing.T) {
	other := newJWTSite(t, jwtServes("application/json", jwtKeySet(jwtJWK(jwtForger(), "2"))))
	var sent atomic.Int64
	for name, bad := range map[string]http.HandlerFunc{
		"down": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"slow": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"500": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, jwtKeySet(jwtJWK(jwtForger(), "2")), http.StatusInternalServerError)
		},
		"HTML": jwtServes("text/html", "<html>"+jwtKeySet(jwtJWK(jwtForger(), "2"))),
		"1 GiB": func(w http.ResponseWriter, _ *http.Request) {
			zeros := make([]byte, 1<<16)
			for range 1 << 14 {
				n, err := w.Write(zeros)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		},
		"other host":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"10,000 keys": jwtServes("application/json", `{"keys":[`+strings.Repeat(`{"kty":"OKP"},`, 9_999)+`{"kty":"OKP"}]}`),
		"bad TLS":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			site := newJWTSite(t, jwtServes("application/json", jwtKeySet(jwtJWK(jwtKey(), "1"))))
			clock := hauberktest.NewClock()
			transport := site.Client().Transport.(*http.Transport)
			config := jwtConfig()
			config.JWKSURL = site.URL
			// The clock moves on by MinInterval, which the timers of the refresh never reach.
			config.Refresh = authnjwt.Refresh{MinInterval: time.Hour, MaxInterval: time.Hour, MaxStale: 5 * time.Hour, Timeout: 5 * time.Second}
			if name == "slow" {
				config.Refresh.Timeout = 50 * time.Millisecond
			}
			client := &http.Client{Transport: transport}
			w := jwtServe(t, authnjwt.New(config, authnjwt.WithHTTPClient(client), authnjwt.WithClock(clock.Now), jwtDiscard), nil)
			w.admits(t, "before", jwtGood())
			if bad == nil {
				transport.CloseIdleConnections()
				transport.TLSClientConfig.RootCAs = x509.NewCertPool()
			} else {
				site.set(bad)
			}
			forged := jwtToken(jwtForger(), jwtHeader().with(jwtObject{"kid": "2"}).String(), jwtClaims().String())
			for range 4 {
				clock.Advance(time.Hour)
				w.rejects(t, "an unknown key", codes.Unauthenticated, "Bearer "+forged)
				w.admits(t, "a good token", jwtGood())
			}
			clock.Advance(time.Hour)
			for range 3 {
				w.rejects(t, "stale", codes.Unavailable, "Bearer "+jwtGood())
				w.rejects(t, "stale", codes.Unavailable, "Bearer "+forged)
			}
			if n := site.requests(); bad != nil && (n < 6 || n > 7) { // one more if a connection was reused
				t.Errorf("%d requests for keys; want one in each hour", n)
			}
			clock.Advance(time.Hour)
			if bad != nil {
				site.set(jwtServes("application/json", jwtKeySet(jwtJWK(jwtKey(), "1"))))
				w.admits(t, "good again", jwtGood())
			}
			transport.CloseIdleConnections()
		})
	}
	if n := other.requests(); n != 0 {
		t.Errorf("%d requests were made to the other host; want none", n)
	}
	if n := sent.Load(); n > 5*(16<<20) {
		t.Errorf("%d bytes of the endless response were read", n)
	}
}

// Times and claims are judged as RFC 7519 says; a token that does not expire is rejected.
func TestT09TimesAndClaims(t *testing.T) {
	hauberktest.CheckLeaks(t)
	config := jwtConfig()
	config.Leeway = time.Minute
	w := jwtStatic(t, config)
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, changes := range map[string]jwtObject{
		"exp within the leeway": {"exp": at(-30 * time.Second)}, "nbf within the leeway": {"nbf": at(30 * time.Second)},
		"aud is one of several": {"aud": []string{"bank", "shop"}}, "exp with a fraction": {"exp": float64(at(time.Hour)) + 0.5},
	} {
		w.admits(t, name, jwtToken(jwtKey(), jwtHeader().String(), jwtClaims().with(changes).String()))
	}
	for name, changes := range map[string]jwtObject{
		"no exp": {"exp": nil}, "exp before the leeway": {"exp": at(-90 * time.Second)}, "nbf after the leeway": {"nbf": at(90 * time.Second)},
		"exp is a string": {"exp": fmt.Sprint(at(time.Hour))}, "exp is 1e400": {"exp": json.Number("1e400")}, "exp is 1e300": {"exp": 1e300},
		"exp is negative": {"exp": -1}, "exp is true": {"exp": true}, "exp is a list": {"exp": []int64{at(time.Hour)}}, "nbf is a string": {"nbf": "0"},
		"no aud": {"aud": nil}, "aud is another": {"aud": "bank"}, "aud is empty": {"aud": []string{}}, "aud is nested": {"aud": [][]string{{"shop"}}},
		"aud has a number": {"aud": []any{"shop", 1}}, "aud is longer": {"aud": "shop.evil.example"}, "iss is longer": {"iss": jwtIssuer + ".evil.example"},
		"iss is a prefix": {"iss": jwtIssuer[:12]}, "iss is a list": {"iss": []string{jwtIssuer}}, "no iss": {"iss": nil}, "no sub": {"sub": nil}, "sub is a number": {"sub": 1},
	} {
		w.rejects(t, name, codes.Unauthenticated, "Bearer "+jwtToken(jwtKey(), jwtHeader().String(), jwtClaims().with(changes).String()))
	}
	w.rejects(t, "sub twice", codes.Unauthenticated, "Bearer "+jwtToken(jwtKey(), jwtHeader().String(), strings.Replace(jwtClaims().String(), "{", `{"sub":"root",`, 1)))
	w.rejects(t, "deep", codes.Unauthenticated, "Bearer "+jwtToken(jwtKey(), jwtHeader().String(),
		strings.Replace(jwtClaims().String(), "{", `{"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,`, 1)))
	w.rejects(t, "64 KiB", codes.Unauthenticated, "Bearer "+jwtToken(jwtKey(), jwtHeader().String(), jwtClaims().with(jwtObject{"x": strings.Repeat("x", 64<<10)}).String()))
}

// Encrypted tokens and the JSON forms are rejected by their shape; nothing is decrypted or inflated.
func TestT11EncryptedAndJSON(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w := jwtStatic(t, jwtConfig())
	part := func(s string) string { return jwtBase64.EncodeToString([]byte(s)) }
	parts := strings.Split(jwtGood(), ".")
	for name, token := range map[string]string{
		"PBES2":             part(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAA"}`) + ".AAAA.AAAA.AAAA.AAAA",
		"PBES2, more":       part(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":1e300,"p2s":"AAAA"}`) + ".AAAA.AAAA.AAAA.AAAA",
		"DEF bomb":          part(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`) + "..AAAA." + strings.Repeat("A", 8<<10) + ".AAAA",
		"JWE, three parts":  part(`{"alg":"dir","enc":"A256GCM"}`) + ".AAAA.AAAA",
		"JWE, RS256":        part(`{"alg":"RS256","enc":"A256GCM"}`) + ".AAAA.AAAA.AAAA.AAAA",
		"nested":            jwtToken(jwtKey(), jwtHeader().with(jwtObject{"cty": "JWT"}).String(), jwtGood()),
		"critical":          jwtToken(jwtKey(), jwtHeader().with(jwtObject{"crit": []string{"b64"}, "b64": false}).String(), jwtClaims().String()),
		"64 KiB of dots":    strings.Repeat(".", 64<<10),
		"64 KiB of a token": jwtGood() + strings.Repeat("A", 64<<10),
	} {
		w.rejects(t, name, codes.Unauthenticated, "Bearer "+token)
	}
	for name, text := range map[string]string{
		"flattened": `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"nil":       `{"payload":"` + parts[1] + `","signatures":[null]}`, "no signatures": `{"payload":"` + parts[1] + `","signatures":[]}`,
	} {
		w.rejects(t, name, codes.Unauthenticated, "Bearer "+text)
		w.rejects(t, name+", encoded", codes.Unauthenticated, "Bearer "+part(text))
	}
	w.admits(t, "a good token", jwtGood())
}

// Several authorizations are rejected, in each order and joined, also while there are no keys
// (CVE-2025-64527).
func TestZ06TwoAuthorizations(t *testing.T) {
	hauberktest.CheckLeaks(t)
	site := newJWTSite(t, jwtServes("text/html", "down"))
	config := jwtConfig()
	config.JWKSURL = site.URL
	clock := hauberktest.NewClock() // it does not advance, so that no fetch is made again
	failing := jwtServe(t, authnjwt.New(config, authnjwt.WithHTTPClient(site.Client()), authnjwt.WithClock(clock.Now), jwtDiscard), nil)
	good := jwtGood()
	for state, w := range map[string]*jwtWorld{"keys": jwtStatic(t, jwtConfig()), "no keys": failing} {
		for name, values := range map[string][]string{
			"good, bad": {"Bearer " + good, "Bearer bad"}, "bad, good": {"Bearer bad", "Bearer " + good}, "good twice": {"Bearer " + good, "Bearer " + good},
			"good, empty": {"Bearer " + good, ""}, "empty, good": {"", "Bearer " + good}, "good, basic": {"Bearer " + good, "Basic YTpi"}, "basic, good": {"Basic YTpi", "Bearer " + good},
			"joined": {"Bearer " + good + ", Bearer bad"}, "joined, bad first": {"Bearer bad,Bearer " + good}, "joined, no scheme": {"Bearer " + good + "," + good},
			"three": {"Bearer " + good, "Bearer " + good, "Bearer bad"},
		} {
			w.rejects(t, state+", "+name, codes.Unauthenticated, values...)
		}
	}
	failing.rejects(t, "one, no keys", codes.Unavailable, "Bearer "+good)
	if n := site.requests(); n != 1 {
		t.Errorf("%d requests for keys; want one", n)
	}
}

// A caller without an identity cannot distinguish methods that exist from others.
func TestZ16Enumeration(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const methods = 200
	v := authnjwt.New(jwtConfig(), authnjwt.WithPublicKeys(jwtKey().Public()), jwtDiscard)
	var w *jwtWorld
	w = jwtServe(t, v, func(srv *hauberk.Server) {
		desc := &grpc.ServiceDesc{ServiceName: "secret.v1.Vault", HandlerType: (*any)(nil)}
		for i := range methods {
			name := fmt.Sprint("Real", i)
			desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: func(
				_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor, //nolint:forbidigo // the type of a handler of grpc-go
			) (any, error) {
				in := new(testpb.Request)
				if err := decode(in); err != nil {
					return nil, err
				}
				w.ledger.add(name)
				return new(testpb.Response), nil
			}})
		}
		srv.RegisterService(desc, struct{}{})
	})
	answer := func(method string, values ...string) string {
		var header, trailer metadata.MD
		ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"authorization": values})
		err := w.conn.Invoke(ctx, method, &testpb.Request{}, &testpb.Response{}, grpc.Header(&header), grpc.Trailer(&trailer))
		service, _, _ := strings.Cut(method[1:], "/")
		text := fmt.Sprint(status.Code(err), status.Convert(err).Message(), status.Convert(err).Details(), header)
		trailer.Delete("grpc-status-details-bin") // the details, which name the service that was asked for
		return strings.ReplaceAll(text, service, "SERVICE") + trailer.String()
	}
	for name, values := range map[string][]string{"anonymous": nil, "opaque": {"Bearer x"}, "forged": {"Bearer " + jwtGood() + "AAAA"}, "basic": {"Basic YTpi"}} {
		first := answer("/secret.v1.Vault/Real0", values...)
		for i := range methods {
			for _, method := range []string{fmt.Sprint("/secret.v1.Vault/Real", i), fmt.Sprint("/secret.v1.Vault/Fake", i), fmt.Sprint("/no.such.Service/Fake", i)} {
				if got := answer(method, values...); got != first {
					t.Fatalf("%s, %s: %s; the first method answered %s", name, method, got, first)
				}
			}
		}
	}
	if list, _ := w.executed(); len(list) > 0 {
		t.Errorf("%q were executed", list)
	}
	err := w.conn.Invoke(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+jwtGood()), "/secret.v1.Vault/Real7", &testpb.Request{}, &testpb.Response{})
	if list, _ := w.executed(); err != nil || len(list) != 1 {
		t.Errorf("with a good token: %v, executed %q", err, list)
	}
}
