package ratelimit

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// Headers are response headers with which a server reports quotas to its clients. They are
// those of the limit of which the smallest part remains. They are in the header of calls that send
// a message or succeed, and in the trailer of others, so that the responses of failed calls stay
// Trailers-Only.
type Headers uint8

// The values of Headers.
const (
	NoHeaders Headers = 0
	// RateLimit is "ratelimit-policy" and "ratelimit" of draft-ietf-httpapi-ratelimit-headers-10,
	// such as `"user";q=100;w=60` and `"user";r=42;t=35`: permits, and seconds, rounded up.
	RateLimit Headers = 1
	// XRateLimit is "x-ratelimit-limit", "x-ratelimit-remaining" and "x-ratelimit-reset", in the form
	// that Envoy writes: "100, 100;w=60", "42" and "35".
	XRateLimit Headers = 2
	// AllHeaders is RateLimit and XRateLimit.
	AllHeaders = RateLimit | XRateLimit
)

// headers are the headers of one call.
type headers struct {
	x *Interceptor
	s outcome
}

func headersOf(x *Interceptor, s *outcome) headers { return headers{x, *s} }

// Send passes the headers to set.
func (h headers) Send(call *hauberk.Call, set func(*hauberk.Call, metadata.MD) error) error {
	return set(call, h.metadata())
}

func (h headers) metadata() metadata.MD {
	md := make(metadata.MD)
	remaining, reset := strconv.Itoa(h.s.Remaining), seconds(h.s.ResetAfter)
	if h.x.config.Headers&RateLimit != 0 {
		policies := make([]string, len(h.x.limits))
		for i := range h.x.limits {
			policies[i] = h.x.limits[i].policy()
		}
		md["ratelimit-policy"] = []string{strings.Join(policies, ", ")}
		md["ratelimit"] = []string{h.s.limit.label() + ";r=" + remaining + ";t=" + reset}
	}
	if h.x.config.Headers&XRateLimit != 0 {
		limit := strconv.Itoa(h.s.limit.config.Limit)
		md["x-ratelimit-limit"] = []string{limit + ", " + limit + ";w=" + seconds(h.s.limit.config.Per)}
		md["x-ratelimit-remaining"] = []string{remaining}
		md["x-ratelimit-reset"] = []string{reset}
	}
	return md
}

// policy describes the limit, as in "ratelimit-policy".
func (l *limit) policy() string {
	return l.label() + ";q=" + strconv.Itoa(l.config.Limit) + ";w=" + seconds(l.config.Per)
}

// label is the kind of key as a string of RFC 9651.
func (l *limit) label() string {
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, l.config.By.Name()) + `"`
}

// seconds returns a time in seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// report puts the headers into the trailer of a rejected call.
func (x *Interceptor) report(call *hauberk.Call, s *outcome) {
	if x.config.Headers != NoHeaders && s.limit != nil && call.Side() == hauberk.ServerSide && !call.DryRun() {
		_ = headersOf(x, s).Send(call, (*hauberk.Call).SetTrailer) // the call is over: no one needs it
	}
}
