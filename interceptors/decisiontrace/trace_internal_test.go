package decisiontrace

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

func TestEncode(t *testing.T) {
	rejected := hauberk.Decision{Interceptor: "l", Rule: "r", Verdict: hauberk.Rejected, Reason: "R", Shadow: true}
	for name, test := range map[string]struct {
		decisions []hauberk.Decision
		want      string
	}{
		"none":           {nil, `{"decisions":[]}`},
		"allowed":        {[]hauberk.Decision{{Interceptor: "authn"}}, `{"decisions":[{"interceptor":"authn","verdict":"allowed"}]}`},
		"all fields":     {[]hauberk.Decision{rejected}, `{"decisions":[{"interceptor":"l","rule":"r","verdict":"rejected","reason":"R","shadow":true}]}`},
		"beyond ASCII":   {[]hauberk.Decision{{Interceptor: "ä😀"}}, `{"decisions":[{"interceptor":"\u00e4\ud83d\ude00","verdict":"allowed"}]}`},
		"not UTF-8":      {[]hauberk.Decision{{Interceptor: "\xff"}}, `{"decisions":[{"interceptor":"\ufffd","verdict":"allowed"}]}`},
		"control":        {[]hauberk.Decision{{Interceptor: "\r\n\x7f\x00\""}}, `{"decisions":[{"interceptor":"\r\n\u007f\u0000\"","verdict":"allowed"}]}`},
		"line separator": {[]hauberk.Decision{{Interceptor: "\u2028"}}, `{"decisions":[{"interceptor":"\u2028","verdict":"allowed"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := encode(test.decisions, DefaultMaxBytes); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Rejections take precedence, then earlier decisions. The order is kept.
func TestEncodeTruncates(t *testing.T) {
	allowed := hauberk.Decision{Interceptor: strings.Repeat("a", 54)}
	rejected := hauberk.Decision{Interceptor: strings.Repeat("r", 54), Verdict: hauberk.Rejected}
	huge := hauberk.Decision{Interceptor: "huge", Rule: strings.Repeat("é", 100), Verdict: hauberk.Rejected}
	for name, test := range map[string]struct {
		decisions, want []hauberk.Decision
	}{
		"all fit":                {[]hauberk.Decision{allowed, rejected}, []hauberk.Decision{allowed, rejected}},
		"the last rejects":       {[]hauberk.Decision{allowed, allowed, allowed, rejected}, []hauberk.Decision{allowed, rejected}},
		"many reject":            {[]hauberk.Decision{allowed, rejected, rejected, rejected}, []hauberk.Decision{rejected, rejected}},
		"one is too large":       {[]hauberk.Decision{allowed, huge, rejected}, []hauberk.Decision{allowed, rejected}},
		"all are too large":      {[]hauberk.Decision{huge, huge}, nil},
		"hundreds of them":       {slices.Repeat([]hauberk.Decision{allowed}, 500), []hauberk.Decision{allowed, allowed}},
		"smaller one at the end": {[]hauberk.Decision{allowed, rejected, rejected, {Interceptor: "x"}}, []hauberk.Decision{rejected, rejected, {Interceptor: "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			value := encode(test.decisions, minMaxBytes)
			if len(value) > minMaxBytes {
				t.Errorf("%d bytes", len(value))
			}
			got, err := Parse(metadata.Pairs(DefaultTrailer, value))
			if !slices.Equal(got, test.want) {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
			if whole := len(got) == len(test.decisions); whole != (err == nil) || !whole && !errors.Is(err, ErrTruncated) {
				t.Errorf("%d of %d decisions, error %v", len(got), len(test.decisions), err)
			}
		})
	}
}

// The trace does not exceed the limit, and omits no decision that fits.
func TestEncodeFillsItsLimit(t *testing.T) {
	decisions := slices.Repeat([]hauberk.Decision{{}}, 40)
	one := len(encodeOne(decisions[0])) + len(",")
	for limit := minMaxBytes; limit < minMaxBytes+10*one; limit++ {
		value := encode(decisions, limit)
		if len(value) > limit || len(value) <= limit-one-len(",") {
			t.Errorf("%d bytes of %d, where a decision takes %d", len(value), limit, one)
		}
	}
}

func TestParse(t *testing.T) {
	one := `{"decisions":[{"interceptor":"a","verdict":"allowed"}]}`
	two := `{"decisions":[{"interceptor":"b","verdict":"rejected","later":"field"}],"more":1}`
	a, b := hauberk.Decision{Interceptor: "a"}, hauberk.Decision{Interceptor: "b", Verdict: hauberk.Rejected}
	for name, test := range map[string]struct {
		values []string
		want   []hauberk.Decision
		err    string // in the error; empty for none
	}{
		"none":               {nil, nil, ""},
		"one":                {[]string{one}, []hauberk.Decision{a}, ""},
		"of two servers":     {[]string{one, two}, []hauberk.Decision{a, b}, ""},
		"empty":              {[]string{""}, nil, "want the JSON of a trace"},
		"no JSON":            {[]string{"allowed"}, nil, "want the JSON of a trace"},
		"another JSON type":  {[]string{`[1]`}, nil, "want the JSON of a trace"},
		"trailing text":      {[]string{one + "]"}, nil, "want the JSON of a trace"},
		"one good, one not":  {[]string{one, "{"}, nil, "want the JSON of a trace"},
		"unknown verdict":    {[]string{`{"decisions":[{"verdict":"maybe"}]}`}, nil, `the verdict of decision 1 is "maybe"`},
		"negative remainder": {[]string{`{"omitted":-1}`}, nil, `"omitted" is -1`},
		"large remainder":    {[]string{`{"omitted":9223372036854775807}`}, nil, `"omitted" is 9223372036854775807`},
		"two remainders":     {[]string{`{"omitted":1048576}`, `{"omitted":1048576}`}, nil, "2097152 decisions were omitted"},
		"truncated":          {[]string{`{"decisions":[{"interceptor":"a","verdict":"allowed"}],"omitted":2}`}, []hauberk.Decision{a}, "2 decisions were omitted"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(metadata.MD{DefaultTrailer: test.values})
			if !slices.Equal(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v; want one with %q", err, test.err)
			}
		})
	}
}

// FuzzEncode checks for all decisions that the value is valid as metadata, does not exceed the limit, and
// can be parsed.
func FuzzEncode(f *testing.F) {
	f.Add("authn", "10/1s", "LIMITED", true, true, 512)
	f.Add("\xff\x00\r\n", "\u2028😀\x7f", `"},{"`, false, false, 256)
	f.Add("", strings.Repeat("é", 400), "", true, false, 300)
	f.Fuzz(func(t *testing.T, interceptor, rule, reason string, rejected, shadow bool, limit int) {
		limit = minMaxBytes + int(uint(limit)%4096)
		d := hauberk.Decision{Interceptor: interceptor, Rule: rule, Reason: reason, Shadow: shadow}
		if rejected {
			d.Verdict = hauberk.Rejected
		}
		value := encode([]hauberk.Decision{{Interceptor: "first"}, d}, limit)
		if at := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' }); at >= 0 {
			t.Fatalf("%q at %d", value[at], at)
		}
		if len(value) > limit || !json.Valid([]byte(value)) {
			t.Fatalf("%d bytes of %d: %s", len(value), limit, value)
		}
		got, err := Parse(metadata.Pairs(DefaultTrailer, value))
		if errors.Is(err, ErrTruncated) && len(got) < 2 {
			return
		}
		want := d
		want.Interceptor, want.Rule, want.Reason = valid(interceptor), valid(rule), valid(reason)
		if err != nil || len(got) != 2 || got[1] != want {
			t.Errorf("read back as %+v, %v; want %+v", got, err, want)
		}
	})
}

// valid replaces each byte that is not UTF-8 by the replacement character, like JSON.
func valid(s string) string { return string([]rune(s)) }

// FuzzParse checks for all values that they are parsed or rejected, and that parsed decisions survive
// encoding and parsing.
func FuzzParse(f *testing.F) {
	f.Add(`{"decisions":[{"interceptor":"a","rule":"b","verdict":"rejected","reason":"C","shadow":true}],"omitted":1}`)
	f.Add(`{"decisions":[{"interceptor":"\ud800","verdict":"allowed"}]}`)
	f.Add(`{"decisions":null}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, value string) {
		decisions, err := Parse(metadata.MD{DefaultTrailer: {value}})
		if err != nil && !errors.Is(err, ErrTruncated) {
			if decisions != nil {
				t.Errorf("%d decisions with the error %v", len(decisions), err)
			}
			return
		}
		for _, d := range decisions {
			if !utf8.ValidString(d.Interceptor + d.Rule + d.Reason) {
				t.Fatalf("%+v is not UTF-8", d)
			}
		}
		again, err := Parse(metadata.MD{DefaultTrailer: {encode(decisions, 1<<30)}})
		if err != nil || !slices.Equal(again, decisions) {
			t.Errorf("read %+v, then %+v, %v", decisions, again, err)
		}
	})
}
