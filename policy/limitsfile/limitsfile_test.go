package limitsfile_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
	"github.com/hauberk-rpc/hauberk/policy/limitsfile"
)

// whole has everything that a file can have.
const whole = `# the limits of the shop
unknown: error
overrides: true
override_algorithm: sliding_window
headers: x-ratelimit
max_keys: 1000
limits:
  - domain: shop
    descriptors:
      - key: user
        limit: 100/1m
        burst: 20
        name: "users"
      - key: user
        value: 007
        limit: 10/1h30m
        algorithm: fixed_window
        mode: shadow
        charge_rejected: true
        descriptors:
          - {key: method, limit: 5/1s, mode: off}
      - key: host
        value: free
        unlimited: true
  - domain: other
`

func TestParse(t *testing.T) {
	got, err := limitsfile.Parse("limits.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := rlsserver.Config{
		Unknown: rlsserver.FailUnknown, Overrides: true, OverrideAlgorithm: ratelimit.SlidingWindow,
		Headers: ratelimit.XRateLimit, MaxKeys: 1000,
		Domains: []rlsserver.Domain{
			{Name: "shop", Descriptors: []rlsserver.Descriptor{
				{Key: "user", Limit: &rlsserver.Limit{Name: "users", Permits: 100, Per: time.Minute, Burst: 20}},
				{
					Key: "user", Value: "007",
					Limit: &rlsserver.Limit{
						Permits: 10, Per: 90 * time.Minute, Algorithm: ratelimit.FixedWindow, Mode: rlsserver.Shadow, ChargeRejected: true,
					},
					Descriptors: []rlsserver.Descriptor{
						{Key: "method", Limit: &rlsserver.Limit{Permits: 5, Per: time.Second, Mode: rlsserver.Off}},
					},
				},
				{Key: "host", Value: "free", Unlimited: true},
			}},
			{Name: "other"},
		},
	}
	if diff := cmp.Diff(limitsfile.File{Limits: want}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := rlsserver.New(got.Limits); err != nil {
		t.Error(err)
	}
}

// descriptor is a file with one descriptor, in lines 4 and later.
func descriptor(lines ...string) string {
	return "limits:\n- domain: shop\n  descriptors:\n  - " + strings.Join(lines, "\n    ") + "\n"
}

// What is wrong is reported with its place, and what would be right.
func TestErrors(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"empty", "", "f:1:1: the file is empty"},
		{"a comment", "# nothing\n", "f:1:1: the file is empty"},
		{"not YAML", "limits: [\n", "f:2:1: not YAML: "},
		{"a tab", "limits:\n\t- domain: a\n", "f:2:1: not YAML: "},
		{"two documents", "limits: []\n---\nlimits: []\n", "f:2:1: the file has a second document; want one"},
		{"a list", "- a\n", "f:1:1: the file is a list; want keys and values"},
		{"a text", "limits\n", `f:1:1: the file is "limits"; want keys and values`},
		{"no limits", "unknown: ok\n", "f:1:1: the file has no limits; want limits:"},
		{"an unknown key", "limits: []\nlimit: 3\n", `f:2:1: the file has the unknown key "limit"; want one of headers, limits, `},
		{"a key twice", "limits: []\nlimits: []\n", `f:2:1: `},
		{"a map as key", "limits: []\n{a: b}: c\n", "f:2:1: "},
		{"limits of another kind", "limits: {a: b}\n", "f:1:9: limits is a map; want a list"},
		{"no value", "limits:\n", "f:1:8: limits is empty; want a list"},
		{"unknown", "unknown: perhaps\nlimits: []\n", `f:1:10: unknown is "perhaps"; want one of ok, error`},
		{"overrides", "overrides: yes\nlimits: []\n", `f:1:12: overrides is "yes"; want true or false`},
		{"headers", "headers: [all]\nlimits: []\n", "f:1:10: headers is a list; want a text"},
		{"max_keys", "max_keys: 0\nlimits: []\n", `f:1:11: max_keys is "0"; want a number from 1 to 67108864`},
		{"a domain without a name", "limits:\n- descriptors: [{key: a, limit: 1/1s}]\n", "f:2:3: a domain has no name"},
		{"a domain without descriptors", "limits:\n- domain: shop\n", `f:2:3: the domain "shop" has no descriptors; want some, or overrides: true`},
		{"an empty domain", "limits:\n- domain: \"\"\n", `f:2:11: domain is ""; want a text`},
		{"a domain twice", "overrides: true\nlimits:\n- domain: a\n- domain: a\n", `f:4:11: the domain "a" is there twice`},
		{"no key", descriptor("value: x", "limit: 1/1s"), "f:4:5: a descriptor has no key"},
		{"an empty value", descriptor("key: user", `value: ""`, "limit: 1/1s"), `f:5:12: value is ""; want a text`},
		{"an unknown key of a descriptor", descriptor("key: user", "limits: 1/1s"), `f:5:5: a descriptor has the unknown key "limits"; want one of algorithm, burst, `},
		{"no limit", descriptor("key: user"), "f:4:5: a descriptor has neither a limit nor descriptors; want one, or unlimited: true"},
		{"an empty list", descriptor("key: user", "descriptors: []"), "f:4:5: a descriptor has neither a limit nor descriptors"},
		{"a burst without a limit", descriptor("key: user", "burst: 3", "mode: off"), "f:4:5: a descriptor has burst, mode without a limit"},
		{"both", descriptor("key: user", "limit: 1/1s", "unlimited: true"), "f:4:5: a descriptor has a limit and is unlimited"},
		{"twice", descriptor("key: user", "limit: 1/1s\n  - key: user\n    limit: 2/1s"), `f:6:5: the key "user" with the value "" is there twice`},
		{"a limit", descriptor("key: user", "limit: 100"), `f:5:12: limit is "100"; want a number and a time, such as 100/1m`},
		{"a unit", descriptor("key: user", "limit: 100/minute"), `f:5:12: limit is "100/minute"; want a number and a time`},
		{"a limit of 0", descriptor("key: user", "limit: 0/1m"), "f:5:12: the limit is 0 permits; want 1 to 4294967295"},
		{"a negative limit", descriptor("key: user", "limit: -1/1m"), "f:5:12: the limit is -1 permits"},
		{"an absurd limit", descriptor("key: user", "limit: 99999999999999999999/1m"), "f:5:12: limit is "},
		{"a great limit", descriptor("key: user", "limit: 4294967296/1m"), "f:5:12: the limit is 4294967296 permits"},
		{"a rate", descriptor("key: user", "limit: 4000000000/1ms"), "f:5:12: a bad combination of limit, period and burst: "},
		{"no time", descriptor("key: user", "limit: 1/0s"), "f:5:12: the period is 0s; want at least 1ms"},
		{"a burst", descriptor("key: user", "limit: 1/1s", "burst: -1"), `f:6:12: burst is "-1"; want a number from 1 to `},
		{"a burst of a window", descriptor("key: user", "limit: 1/1s", "burst: 3", "algorithm: fixed_window"), "f:5:12: the burst is 3, which FixedWindow does not have"},
		{"an algorithm", descriptor("key: user", "limit: 1/1s", "algorithm: token_bucket"), `f:6:16: algorithm is "token_bucket"; want one of gcra, sliding_window, fixed_window`},
		{"a mode", descriptor("key: user", "limit: 1/1s", "mode: on"), `f:6:11: mode is "on"; want one of enforce, shadow, off`},
		{"an alias", "limits: &a []\noverrides: *a\n", "f:1:9: anchors and aliases are not supported"},
		{"a tag", "limits: !!seq []\n", "f:1:9: the tag "},
		{"depth", deep(33), "descriptors are nested deeper than 32"},
		{"great depth", "limits: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "values are nested deeper than 100"},
		{"size", strings.Repeat("#\n", 1<<19+1), "f:1:1: the file has 1048578 bytes; want at most 1048576"},
		{"bad UTF-8", "limits: \"\xff\"\n", "not YAML: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := limitsfile.Parse("f", []byte(test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want an error with %s", err, test.want)
			}
			checkPlaces(t, err)
		})
	}
	if _, err := limitsfile.Parse("f", []byte(deep(32))); err != nil {
		t.Error(err)
	}
}

// All errors are reported at once, in the order of the file.
func TestAllErrors(t *testing.T) {
	_, err := limitsfile.Parse("f", []byte("headers: some\nunknown: perhaps\nlimits:\n- domain: a\n  descriptors:\n  - key: b\n    limit: 3\n"))
	want := `f:1:10: headers is "some"; want one of none, ratelimit, x-ratelimit, all
f:2:10: unknown is "perhaps"; want one of ok, error
f:7:12: limit is "3"; want a number and a time, such as 100/1m`
	if err == nil || err.Error() != want {
		t.Errorf("%v; want\n%s", err, want)
	}
}

// deep returns a file with descriptors inside each other.
func deep(n int) string {
	inner := "{key: a, limit: 1/1s}"
	for range n - 1 {
		inner = "{key: a, descriptors: [" + inner + "]}"
	}
	return "limits: [{domain: shop, descriptors: [" + inner + "]}]"
}

var place = regexp.MustCompile(`^f:[1-9]\d*:[1-9]\d*: .`)

// checkPlaces checks that each line of an error begins with a place.
func checkPlaces(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !place.MatchString(line) {
			t.Errorf("an error without a place: %q", line)
		}
	}
}

// FuzzParse holds that a file is either valid for a server, or has errors with places.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add(descriptor("key: user", "limit: 0/1m"))
	f.Add("limits: [{domain: a, descriptors: [{key: b, unlimited: true, descriptors: [{key: c, value: \"\\xff\"}]}]}]")
	f.Add(withRedis)
	f.Add("a: &a [*a]")
	f.Add("? {a: b}\n: c")
	f.Add("limits: !!binary /w==")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := limitsfile.Parse("f", []byte(text))
		checkPlaces(t, err)
		if err != nil {
			return
		}
		var opts []rlsserver.Option
		if file.Redis != nil {
			opts = append(opts, rlsserver.WithStore(noStore{}))
		}
		file.Limits.MaxKeys = 10
		if _, err := rlsserver.New(file.Limits, opts...); err != nil {
			t.Errorf("%q is valid for limitsfile, but not for rlsserver: %v", text, err)
		}
	})
}
