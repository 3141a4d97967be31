package quota

import (
	"strconv"
	"strings"
	"time"
)

// Policy describes a limit to clients.
type Policy struct {
	Name    string
	Permits int
	Per     time.Duration
}

// RateLimit returns the headers of draft-ietf-httpapi-ratelimit-headers-10 as pairs of a key and
// a value: all policies, and the state of one of them.
func RateLimit(policies []Policy, of Policy, remaining int, reset time.Duration) []string {
	texts := make([]string, len(policies))
	for i := range policies {
		texts[i] = policies[i].label() + ";q=" + strconv.Itoa(policies[i].Permits) + ";w=" + seconds(policies[i].Per)
	}
	return []string{
		"ratelimit-policy", strings.Join(texts, ", "),
		"ratelimit", of.label() + ";r=" + strconv.Itoa(remaining) + ";t=" + seconds(reset),
	}
}

// XRateLimit returns the headers x-ratelimit-*, in the form that Envoy writes, as pairs of a key and
// a value.
func XRateLimit(of Policy, remaining int, reset time.Duration) []string {
	limit := strconv.Itoa(of.Permits)
	return []string{
		"x-ratelimit-limit", limit + ", " + limit + ";w=" + seconds(of.Per),
		"x-ratelimit-remaining", strconv.Itoa(remaining),
		"x-ratelimit-reset", seconds(reset),
	}
}

// label is the name of a limit as a string of RFC 9651.
func (p Policy) label() string {
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, p.Name) + `"`
}

// seconds returns a time in seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
