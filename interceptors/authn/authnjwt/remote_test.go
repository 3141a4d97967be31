package authnjwt_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

const keysURL = issuer + "/keys"

// web answers requests in place of a network, and counts them.
type web struct {
	mu      sync.Mutex
	answer  func(req *http.Request) (*http.Response, error)
	urls    []string
	flying  int
	highest int // number of requests at once
}

func (w *web) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.urls = append(w.urls, req.URL.String())
	w.flying++
	w.highest = max(w.highest, w.flying)
	answer := w.answer
	w.mu.Unlock()
	resp, err := answer(req)
	w.mu.Lock()
	w.flying--
	w.mu.Unlock()
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

func (w *web) set(answer func(req *http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

func (w *web) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.urls)
}

func (w *web) option() authnjwt.Option {
	return authnjwt.WithHTTPClient(&http.Client{Transport: w})
}

// answers returns a response of a status, a body, and header fields.
func answers(code int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// slowly answers after a time, or when the request is given up.
func slowly(after time.Duration, then func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		select {
		case <-time.After(after):
			return then(req)
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
}

func failing(*http.Request) (*http.Response, error) { return nil, errors.New("no route to the issuer") }

func fromURL() authnjwt.Config {
	c := config()
	c.JWKSURL = keysURL
	return c
}

// long is a token that is valid for days, by a key with a "kid".
func long(key any, id string) string {
	return signed("EdDSA", key, object{"alg": "EdDSA", "kid": id}.String(), claims(time.Now().Add(1000*time.Hour)).String())
}

// bubble runs a test in fake time with a network.
func bubble(t *testing.T, test func(t *testing.T, w *web)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, new(web)) })
}

func wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // synctest: the clock is fake
	synctest.Wait()
}

func setOf(ids ...string) string {
	list := make([]object, len(ids))
	for i, id := range ids {
		list[i] = jwk(edKey().Public(), object{"kid": id})
	}
	return jwks(list...)
}

// TestFirstFetch: the first calls wait for one fetch, each at most until its context is done; later
// calls do not wait, also if the server is slow.
func TestFirstFetch(t *testing.T) {
	bubble(t, func(t *testing.T, w *web) {
		w.set(slowly(3*time.Second, answers(200, setOf("1"))))
		v := validator(t, fromURL(), w.option())
		wait(time.Hour)
		if w.requests() != 0 {
			t.Errorf("%d requests before the first call", w.requests())
		}
		start := time.Now()
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if _, err := v.Validate(t.Context(), long(edKey(), "1")); err != nil {
					t.Error(err)
				}
			})
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Validate(short, long(edKey(), "1")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want the error of the context", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("a call waited %v; want no longer than its context", took)
		}
		group.Wait()
		if took := time.Since(start); took != 3*time.Second || w.requests() != 1 || w.highest != 1 {
			t.Errorf("%v and %d requests, %d at once; want 3s and one", took, w.requests(), w.highest)
		}
		w.set(slowly(4*time.Second, answers(200, setOf("1"))))
		wait(5 * time.Minute) // a refresh is under way, or was
		start = time.Now()
		for range 100 {
			accepts(t, v, long(edKey(), "1"))
			wait(100 * time.Millisecond)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("100 calls took %v; want no wait for the refresh", took)
		}
	})
}

// TestBreakingClient: a client of the program that panics, or ends its goroutine, fails the fetch. The
// last good keys remain, and the next fetch is made.
func TestBreakingClient(t *testing.T) {
	for name, breaks := range map[string]func(*http.Request) (*http.Response, error){
		"panic":  func(*http.Request) (*http.Response, error) { panic("client") },
		"Goexit": func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				v := validator(t, fromURL(), w.option())
				w.set(breaks)
				if _, err := v.Validate(t.Context(), long(edKey(), "1")); !errors.Is(err, authnjwt.ErrKeys) {
					t.Errorf("%v; want %v", err, authnjwt.ErrKeys)
				}
				w.set(answers(200, setOf("1")))
				wait(time.Minute)
				accepts(t, v, long(edKey(), "1"))
				w.set(breaks)
				wait(10 * time.Minute)
				accepts(t, v, long(edKey(), "1"))
			})
		})
	}
}

// TestIntervals: keys are refreshed after Interval, or what Cache-Control says within the limits,
// at most a tenth earlier.
func TestIntervals(t *testing.T) {
	for name, test := range map[string]struct {
		header string
		want   time.Duration
	}{
		"none":           {"", 5 * time.Minute},
		"max-age":        {"public, max-age=600", 10 * time.Minute},
		"other case":     {`Max-Age="600"`, 10 * time.Minute},
		"below the min":  {"max-age=1", 30 * time.Second},
		"zero":           {"max-age=0", 30 * time.Second},
		"above the max":  {"max-age=86400", time.Hour},
		"not a number":   {"max-age=soon", 5 * time.Minute},
		"negative":       {"max-age=-1", 5 * time.Minute},
		"overflow":       {"max-age=99999999999999999999", 5 * time.Minute},
		"no-store":       {"no-store, no-cache", 5 * time.Minute},
		"another member": {"s-maxage=600", 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				w.set(answers(200, setOf("1"), "Cache-Control", test.header))
				v := validator(t, fromURL(), w.option())
				accepts(t, v, long(edKey(), "1"))
				least := max(test.want*9/10-time.Second, 30*time.Second)
				wait(least - time.Nanosecond)
				if w.requests() != 1 {
					t.Errorf("%d requests after %v; want one", w.requests(), least)
				}
				wait(test.want - least + time.Nanosecond)
				if w.requests() != 2 {
					t.Errorf("%d requests after %v; want two", w.requests(), test.want)
				}
			})
		})
	}
}

// badAnswers are those of a server that is down, slow or wrong. None is treated as a set of keys.
var badAnswers = map[string]func(*http.Request) (*http.Response, error){
	"down":            failing,
	"too slow":        slowly(time.Hour, answers(200, setOf("evil"))),
	"500":             answers(500, setOf("evil")),
	"404":             answers(404, setOf("evil")),
	"204":             answers(204, ""),
	"HTML":            answers(200, setOf("evil"), "Content-Type", "text/html; charset=utf-8"),
	"HTML as JSON":    answers(200, "<html>"),
	"XHTML":           answers(200, setOf("evil"), "Content-Type", "application/xhtml+xml"),
	"empty":           answers(200, ""),
	"half":            answers(200, setOf("evil")[:30]),
	"too long":        answers(200, setOf("evil")+strings.Repeat(" ", 1<<20)),
	"endless":         endless,
	"closes":          closes,
	"10,000 keys":     answers(200, `{"keys":[`+strings.Repeat(`{"kty":"OKP"},`, 9_999)+`{"kty":"OKP"}]}`),
	"no usable key":   answers(200, jwks(object{"kty": "oct", "k": "AAAA", "kid": "evil"})),
	"other host":      answers(302, "", "Location", "https://evil.example/keys"),
	"to plain HTTP":   answers(301, "", "Location", "http://issuer.example/keys"),
	"other port":      answers(307, "", "Location", "https://issuer.example:8443/keys"),
	"round and round": answers(302, "", "Location", "/keys"),
}

func endless(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(zeros{})}, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func closes(*http.Request) (*http.Response, error) {
	body := io.MultiReader(strings.NewReader(setOf("evil")[:30]), broken{})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body)}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestBadServer: with each bad answer, the last good keys remain in force until MaxStale, and
// then no token is judged; it is asked once each MinInterval, and the first good answer counts.
func TestBadServer(t *testing.T) {
	for name, bad := range badAnswers {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				w.set(answers(200, setOf("1")))
				c := fromURL()
				c.Refresh = authnjwt.Refresh{MaxInterval: 10 * time.Minute, MaxStale: 20 * time.Minute}
				var log buffer
				v := validator(t, c, w.option(), log.option())
				kept := long(edKey(), "1")
				accepts(t, v, kept)
				w.set(func(req *http.Request) (*http.Response, error) {
					if req.URL.String() != keysURL {
						t.Errorf("%s was requested", req.URL)
					}
					return bad(req)
				})
				wait(20*time.Minute - time.Nanosecond)
				accepts(t, v, kept)
				accepts(t, v, long(edKey(), "1"))
				// Once each 30s after the first 4.5m to 5m; a slow one takes 5s more.
				least, most := 1+15*60/35, 2+(20*60-270)/30
				if name == "round and round" {
					most *= 4
				}
				if n := w.requests(); n > most || n < least || w.highest != 1 {
					t.Errorf("%d requests, %d at once; want %d to %d, one at once", n, w.highest, least, most)
				}
				if text := log.take(); !strings.Contains(text, "level=WARN") || strings.Contains(text, "evil\"") {
					t.Errorf("the log is %.300q", text)
				}
				wait(time.Nanosecond)
				for _, token := range []string{kept, long(edKey(), "1"), long(edKey2(), "evil")} {
					_, err := v.Validate(t.Context(), token)
					if !errors.Is(err, authnjwt.ErrKeys) || errors.Is(err, authn.ErrInvalidToken) || errors.Is(err, authn.ErrOtherMethod) {
						t.Errorf("%v; want %v", err, authnjwt.ErrKeys)
					}
				}
				w.set(answers(200, setOf("2")))
				wait(40 * time.Second)
				accepts(t, v, long(edKey(), "2"))
				rejects(t, v, kept, authnjwt.ErrUnknownKey)
			})
		})
	}
}

// TestNeverFetched: without any keys each kind of call ends with UNAVAILABLE, and the server is
// asked once each MinInterval.
func TestNeverFetched(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			w := new(web)
			w.set(failing)
			clock := hauberktest.NewClock()
			v := validator(t, fromURL(), w.option(), authnjwt.WithClock(clock.Now))
			var cause error
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				cause = next(ctx, call)
				return cause
			})
			env := server(kind).Start(t, outer, authn.New(authn.Config{}, v, authn.Bearer(
				func(context.Context, string) (*authn.Identity, error) { return &authn.Identity{Subject: "second"}, nil })))
			for i := range 100 {
				if i == 50 {
					clock.Advance(30 * time.Second)
				}
				err := env.Call(bearer(t.Context(), long(edKey(), "1"))).Err
				if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "Token validation failed" || !errors.Is(cause, authnjwt.ErrKeys) {
					t.Fatalf("%v, on the server %v; want UNAVAILABLE", err, cause)
				}
			}
			if w.requests() != 2 {
				t.Errorf("%d requests; want two", w.requests())
			}
		})
	}
}

// TestUnknownKey: an unknown "kid" is looked for once MinInterval has passed. The call waits for
// that, and is accepted if the key has come. If not, the next call after MinInterval looks for it again.
func TestUnknownKey(t *testing.T) {
	bubble(t, func(t *testing.T, w *web) {
		w.set(answers(200, setOf("1"), "Cache-Control", "max-age=3600"))
		v := validator(t, fromURL(), w.option())
		accepts(t, v, long(edKey(), "1"))
		expect := func(step string, requests int) {
			t.Helper()
			if w.requests() != requests {
				t.Errorf("%s: %d requests; want %d", step, w.requests(), requests)
			}
		}
		rejects(t, v, long(edKey(), "2"), authnjwt.ErrUnknownKey)
		expect("within MinInterval", 1)
		wait(30 * time.Second)
		rejects(t, v, long(edKey(), "2"), authnjwt.ErrUnknownKey)
		rejects(t, v, long(edKey(), "2"), authnjwt.ErrUnknownKey)
		expect("after MinInterval", 2)
		w.set(slowly(time.Second, answers(200, setOf("1", "2"))))
		wait(30*time.Second - 1)
		rejects(t, v, long(edKey(), "2"), authnjwt.ErrUnknownKey)
		expect("just before the next MinInterval has passed", 2)
		wait(1)
		start := time.Now()
		accepts(t, v, long(edKey(), "2"))
		expect("a new key", 3)
		if took := time.Since(start); took != time.Second {
			t.Errorf("the call waited %v; want until the fetch has ended", took)
		}
	})
}

// TestRotation: tokens of a key that has left the set are rejected although they were kept, also if the
// set listed the key more than once.
func TestRotation(t *testing.T) {
	for name, sets := range map[string][3]string{
		"once":       {setOf("1"), setOf("1", "2"), setOf("2")},
		"twice":      {setOf("1", "1"), setOf("1", "1", "2"), setOf("2")},
		"twice once": {setOf("1", "1"), setOf("1", "2"), setOf("2", "2")},
		"once twice": {setOf("1"), setOf("2", "1", "1"), setOf("2")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				w.set(answers(200, sets[0]))
				v := validator(t, fromURL(), w.option())
				kept := long(edKey(), "1")
				first := accepts(t, v, kept)
				w.set(answers(200, sets[1]))
				wait(5 * time.Minute)
				if again := accepts(t, v, kept); again != first {
					t.Error("a token of a key that remains was verified again")
				}
				w.set(answers(200, sets[2]))
				wait(5 * time.Minute)
				rejects(t, v, kept, authnjwt.ErrUnknownKey)
				accepts(t, v, long(edKey(), "2"))
			})
		})
	}
}

// TestDiscovery: the URL of the keys comes from the issuer's configuration, which must be of the
// issuer, and the URL safe.
func TestDiscovery(t *testing.T) {
	const document = issuer + "/.well-known/openid-configuration"
	good := object{"issuer": issuer, "jwks_uri": "https://keys.example/set"}
	for name, test := range map[string]struct {
		document string
		http     bool
		fails    string
	}{
		"good":            {good.String(), false, ""},
		"another issuer":  {good.with(object{"issuer": issuer + "/"}).String(), false, "of another issuer"},
		"no issuer":       {good.with(object{"issuer": nil}).String(), false, "of another issuer"},
		"no URL":          {good.with(object{"jwks_uri": nil}).String(), false, "jwks_uri"},
		"plain HTTP":      {good.with(object{"jwks_uri": "http://keys.example/set"}).String(), false, "AllowHTTP"},
		"allowed HTTP":    {good.with(object{"jwks_uri": "http://keys.example/set"}).String(), true, ""},
		"file":            {good.with(object{"jwks_uri": "file:///etc/passwd"}).String(), true, "no host"},
		"URL is an array": {good.with(object{"jwks_uri": []string{"https://keys.example/set"}}).String(), false, "jwks_uri"},
		"issuer twice":    {strings.Replace(good.String(), "{", `{"issuer":"`+issuer+`",`, 1), false, "distinct members"},
		"HTML":            {"<html>", false, "is not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			w := new(web)
			w.set(func(req *http.Request) (*http.Response, error) {
				if req.URL.String() == document {
					return answers(200, test.document)(req)
				}
				return answers(200, setOf("1"))(req)
			})
			c := config()
			c.Discovery, c.AllowHTTP = true, test.http
			v := validator(t, c, w.option())
			if test.fails == "" {
				accepts(t, v, long(edKey(), "1"))
				if len(w.urls) != 2 || w.urls[0] != document || !strings.Contains(w.urls[1], "keys.example/set") {
					t.Errorf("%q were requested", w.urls)
				}
				return
			}
			if _, err := v.Validate(t.Context(), long(edKey(), "1")); !errors.Is(err, authnjwt.ErrKeys) || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%v; want %q", err, test.fails)
			}
			if len(w.urls) != 1 {
				t.Errorf("%q were requested", w.urls)
			}
		})
	}
}

// TestRedirect: a redirect to the same host is followed.
func TestRedirect(t *testing.T) {
	w := new(web)
	w.set(func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == "/keys" {
			return answers(302, "", "Location", "/v2/keys")(req)
		}
		return answers(200, setOf("1"))(req)
	})
	accepts(t, validator(t, fromURL(), w.option()), long(edKey(), "1"))
}

// TestClose: Close ends a fetch and the timer; calls go on with the keys while they are fresh.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, w *web) {
		w.set(answers(200, setOf("1")))
		v := validator(t, fromURL(), w.option())
		token := long(edKey(), "1")
		accepts(t, v, token)
		w.set(slowly(time.Hour, failing))
		wait(5*time.Minute + time.Second) // a fetch is under way, or one has failed
		v.Close()
		v.Close()
		n := w.requests()
		accepts(t, v, token)
		wait(24 * time.Hour)
		if _, err := v.Validate(t.Context(), token); !errors.Is(err, authnjwt.ErrKeys) {
			t.Errorf("%v; want %v", err, authnjwt.ErrKeys)
		}
		if w.requests() != n {
			t.Errorf("%d requests after Close", w.requests()-n)
		}
		unused := authnjwt.New(fromURL(), w.option(), silent)
		unused.Close()
		if _, err := unused.Validate(t.Context(), token); !errors.Is(err, authnjwt.ErrKeys) {
			t.Errorf("%v; want %v", err, authnjwt.ErrKeys)
		}
	})
}
