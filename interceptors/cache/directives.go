package cache

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// header is the metadata key of the directives.
const header = "cache-control"

// directives are those of a request or a response that have an effect.
type directives struct {
	noCache, noStore, private, onlyIfCached, mustRevalidate, hasMaxAge bool

	maxAge time.Duration // if hasMaxAge
}

// parse reads the values of cache-control (RFC 9111, section 5.2). Of several values of max-age the
// least counts.
func parse(values []string) (d directives) {
	for _, value := range values {
		for part := range splitOutsideQuotes(value) {
			name, argument, _ := strings.Cut(strings.Trim(part, " \t"), "=")
			switch strings.ToLower(strings.TrimRight(name, " \t")) {
			case "no-cache":
				d.noCache = true
			case "no-store":
				d.noStore = true
			case "private":
				d.private = true
			case "only-if-cached":
				d.onlyIfCached = true
			case "must-revalidate":
				d.mustRevalidate = true
			case "max-age":
				age := seconds(argument)
				if !d.hasMaxAge || age < d.maxAge {
					d.hasMaxAge, d.maxAge = true, age
				}
			}
		}
	}
	return d
}

// splitOutsideQuotes yields the parts of a list that commas separate. A quoted string may contain them:
// private="set-cookie, x".
func splitOutsideQuotes(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(list); i++ {
			switch c := list[i]; {
			case c == '\\' && quoted:
				i++
			case c == '"':
				quoted = !quoted
			case c == ',' && !quoted:
				if !yield(list[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(list[start:])
	}
}

// seconds reads a number of seconds (RFC 9111, section 1.2.2), which may be quoted. One that is not
// valid is 0, and one that is too large is the greatest.
func seconds(text string) time.Duration {
	text = strings.Trim(text, " \t")
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		if text, ok = strings.CutSuffix(quoted, `"`); !ok {
			return 0
		}
	}
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0
	}
	const most = math.MaxInt64 / int64(time.Second) / 2
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > most {
		n = most
	}
	return time.Duration(n) * time.Second
}
