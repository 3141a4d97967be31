package authnjwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fetched is a set of keys from a URL.
type fetched struct {
	set    *keySet
	maxAge time.Duration // that the response may be kept; negative if it does not say
}

// fetcher gets the keys of an issuer.
type fetcher struct {
	client *http.Client
	config Config
	parse  func([]byte) (*keySet, error)
}

func newFetcher(v *Validator) *fetcher {
	client := http.Client{}
	if v.client != nil {
		client = *v.client
	} else if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		own := transport.Clone()
		own.DisableKeepAlives = true // requests are minutes apart
		own.MaxResponseHeaderBytes = 64 << 10
		client.Transport = own
	}
	client.CheckRedirect = sameHost
	return &fetcher{client: &client, config: v.config, parse: parseKeySet(v.config.Refresh.MaxKeys)}
}

// maxRedirects limits the redirects of one request.
const maxRedirects = 3

// sameHost follows redirects to the same scheme and host only.
func sameHost(req *http.Request, via []*http.Request) error {
	if from := via[0].URL; req.URL.Scheme != from.Scheme || req.URL.Host != from.Host {
		return fmt.Errorf("it redirects to %s://%s; want the same host", req.URL.Scheme, req.URL.Host)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("it redirects more than %d times", maxRedirects)
	}
	return nil
}

// keys fetches the keys, and before them their URL if that is to be discovered.
func (f *fetcher) keys(ctx context.Context) (*fetched, error) {
	address := f.config.JWKSURL
	if f.config.Discovery {
		var err error
		if address, err = f.discover(ctx); err != nil {
			return nil, err
		}
	}
	body, header, err := f.get(ctx, address)
	if err != nil {
		return nil, err
	}
	set, err := f.parse(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return &fetched{set, maxAge(header)}, nil
}

// discover returns the URL of the keys (OpenID Connect Discovery 1.0, 4).
func (f *fetcher) discover(ctx context.Context) (string, error) {
	address := strings.TrimSuffix(f.config.Issuer, "/") + "/.well-known/openid-configuration"
	body, _, err := f.get(ctx, address)
	if err != nil {
		return "", err
	}
	document, err := parseObject(body, claimsDepth)
	if err != nil {
		return "", fmt.Errorf("%s %w", address, err)
	}
	if document["issuer"] != f.config.Issuer {
		return "", fmt.Errorf("%s is of another issuer; want %q, byte by byte", address, f.config.Issuer)
	}
	uri, _ := document["jwks_uri"].(string)
	if err := allowed(uri, f.config.AllowHTTP); err != nil {
		return "", fmt.Errorf("%s has the jwks_uri %s: %w", address, quoted(uri), err)
	}
	return uri, nil
}

var errTooLong = errors.New("the response is too long")

// get returns the body and the header of a response.
func (f *fetcher) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers %d; want 200", address, resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err == nil && strings.Contains(kind, "html") {
		return nil, nil, fmt.Errorf("%s answers with %s; want JSON", address, kind)
	}
	limit := f.config.Refresh.MaxBytes
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s: %w", address, err)
	case int64(len(body)) > limit:
		return nil, nil, fmt.Errorf("%s: %w: want at most %d bytes", address, errTooLong, limit)
	default:
		return body, resp.Header, nil
	}
}

// maxAge returns how long a response may be kept (RFC 9111, 5.2.2), or a negative time if it does
// not say.
func maxAge(header http.Header) time.Duration {
	const none = -1
	for _, value := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(value, ",") {
			name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(argument, `"`), 10, 31)
			if err != nil {
				return none
			}
			return time.Duration(seconds) * time.Second
		}
	}
	return none
}
