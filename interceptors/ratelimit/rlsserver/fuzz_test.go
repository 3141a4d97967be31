package rlsserver_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// reference finds the limit of a descriptor in the configuration itself.
func reference(all []rlsserver.Descriptor, entries [][2]string) (permits int) {
	var found *rlsserver.Descriptor
	for _, e := range entries {
		found = nil
		for _, value := range []string{e[1], ""} {
			for i := range all {
				if found == nil && all[i].Key == e[0] && all[i].Value == value {
					found = &all[i]
				}
			}
		}
		if found == nil {
			return 0
		}
		all = found.Descriptors
	}
	if found == nil || found.Limit == nil {
		return 0
	}
	return found.Limit.Permits
}

// FuzzMatch compares the limit that a request finds with that of a plain search.
func FuzzMatch(f *testing.F) {
	f.Add("user=alice")
	f.Add("user=batch,method=list")
	f.Add("user=,method=search,region=eu")
	f.Add("a=,=b,,")
	f.Add("user=x\xff")
	config := shop(
		by("user", "", 3, by("method", "", 5, by("region", "eu", 9)), by("method", "search", 2)),
		by("user", "batch", 1), by("user", "root", 0, by("method", "", 7)),
		by("a", "", 0, by("a", "", 0, by("a", "b", 4))),
	)
	f.Fuzz(func(t *testing.T, text string) {
		var pairs []string
		var entries [][2]string
		for part := range strings.SplitSeq(text, ",") {
			key, value, _ := strings.Cut(part, "=")
			pairs, entries = append(pairs, key, value), append(entries, [2]string{key, value})
		}
		l := newLimiter(t, config)
		resp, err := l.ShouldRateLimit(t.Context(), request(of(pairs...)))
		if err != nil {
			if status.Code(err) != codes.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		if got, want := int(resp.GetStatuses()[0].GetCurrentLimit().GetRequestsPerUnit()), reference(config.Domains[0].Descriptors, entries); got != want {
			t.Errorf("%q: limit %d; want %d", text, got, want)
		}
	})
}
