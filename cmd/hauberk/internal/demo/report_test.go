package demo

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

func sample() *totals {
	return &totals{
		Seconds: 12.5, Calls: 2513, OK: 1688,
		Errors: map[string]uint64{
			"CANCELLED": 167, "DEADLINE_EXCEEDED": 55, "INTERNAL": 112, "INVALID_ARGUMENT": 56, "NOT_FOUND": 112,
			"RESOURCE_EXHAUSTED": 55, "UNAVAILABLE": 112, "UNIMPLEMENTED": 111, "UNKNOWN": 45,
		},
		Rejections: map[string]uint64{"CART_FULL": 45, "NOT_A_BUYER": 10},
		Methods: map[string]methodTotals{
			"/shop.v1.Cart/Get":       {Calls: 1402, Errors: 214, P50: 1.024, P99: 20.5},
			"/shop.v1.Catalog/Search": {Calls: 1000000, Errors: 500, P50: 4.2, P99: 10000},
			"unknown":                 {Calls: 111, Errors: 111, P50: 0.312, P99: 1.25},
			"/shop.v1.Cart/Watch":     {},
		},
		Retries:  retryTotals{Attempts: 12, Succeeded: 7},
		Breakers: map[string]string{"shop.v1.Catalog": "half_open", "shop.v1.Cart": "closed"},
	}
}

const sampleTable = `so far   12.5 s   2513 calls   202/s   1688 ok   825 errors

METHOD                      CALLS    PER S   ERRORS      %    P50 MS    P99 MS
/shop.v1.Cart/Get            1402    100.5      214   15.3      1.02     20.50
/shop.v1.Cart/Watch             0      0.0        0    0.0      0.00      0.00
/shop.v1.Catalog/Search   1000000 500000.0      500    0.1      4.20  10000.00
unknown                       111     55.5      111  100.0      0.31      1.25

errors      CANCELLED 167  DEADLINE_EXCEEDED 55  INTERNAL 112  INVALID_ARGUMENT 56  NOT_FOUND 112
            RESOURCE_EXHAUSTED 55  UNAVAILABLE 112  UNIMPLEMENTED 111  UNKNOWN 45
rejections  CART_FULL 45  NOT_A_BUYER 10
retries     12 attempts  7 succeeded
breakers    shop.v1.Cart closed  shop.v1.Catalog half_open
`

func TestTable(t *testing.T) {
	since := &totals{
		Seconds: 10.5, Calls: 2109,
		Methods: map[string]methodTotals{"/shop.v1.Cart/Get": {Calls: 1201}},
	}
	got := sample().table("so far", since)
	if got != sampleTable {
		t.Errorf("got\n%s\nwant\n%s", got, sampleTable)
	}
	for line := range strings.Lines(got) {
		if len(line) > maxColumns+1 {
			t.Errorf("a line of %d columns: %q", len(line)-1, line)
		}
	}
}

// Two tables of the same instant have the rate 0, not an infinite one.
func TestTableWithoutTime(t *testing.T) {
	if got := sample().table("so far", sample()); !strings.HasPrefix(got, "so far   12.5 s   2513 calls   0/s ") {
		t.Errorf("got %q", got)
	}
}

func TestScreen(t *testing.T) {
	tests := []struct {
		name    string
		inPlace bool
		want    string
	}{
		{"in place", true, "\ra\nb\n\r\x1b[2A\x1b[Jnew\nc\n\r\x1b[1A\x1b[Jd\n"},
		{"one after the other", false, "a\nb\n\nnew\nc\n\nd\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			s := screen{w: &out, inPlace: test.inPlace}
			for _, show := range []struct{ above, block string }{{"", "a\nb\n"}, {"new\n", "c\n"}, {"", "d\n"}} {
				if err := s.show(show.above, show.block); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != test.want {
				t.Errorf("wrote %q; want %q", out.String(), test.want)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := newReport(&options{}, func() string { return "" }, &out, nil)
		began := time.Now()
		ended := make(chan struct{})
		count := func() *totals {
			seconds := time.Since(began).Seconds()
			return &totals{Seconds: seconds, Calls: uint64(seconds * seconds * 10)}
		}
		time.AfterFunc(3500*time.Millisecond, func() { close(ended) })
		if err := r.follow(count, ended); err != nil {
			t.Fatal(err)
		}
		var heads []string
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "so far") {
				heads = append(heads, strings.Fields(line)[4]+" "+strings.Fields(line)[6])
			}
		}
		if got, want := strings.Join(heads, ", "), "10 10/s, 40 30/s, 90 50/s"; got != want {
			t.Errorf("calls and rates %s; want %s", got, want)
		}
	})
}

func TestFollowAsJSONIsSilent(t *testing.T) {
	var out, errOut bytes.Buffer
	r := newReport(&options{json: true}, nil, &out, &errOut)
	ended := make(chan struct{})
	close(ended)
	if err := r.follow(nil, ended); err != nil || out.Len()+errOut.Len() > 0 {
		t.Errorf("error %v, wrote %q and %q", err, &out, &errOut)
	}
}

func TestNoTerminal(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) || isTerminal(&bytes.Buffer{}) {
		t.Error("a file or a buffer is reported as a terminal")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	t.Setenv("TERM", "dumb")
	if isTerminal(null) {
		t.Error("a dumb terminal is reported to support escape sequences")
	}
}

func TestTotals(t *testing.T) {
	side := metrics.SideSnapshot{
		Methods: map[string]metrics.MethodSnapshot{
			"/shop.v1.Cart/Get": {
				Calls: 8, Ended: 7, InFlight: 1, Errors: 3, P50: 1500 * time.Microsecond, P99: 20 * time.Millisecond,
				Codes: metrics.Codes{codes.OK: 4, codes.Canceled: 2, codes.NotFound: 1},
			},
			"/shop.v1.Cart/Pay":     {Ended: 2, Errors: 2, P50: 3 * time.Millisecond, P99: 4 * time.Millisecond, Codes: metrics.Codes{codes.Unimplemented: 2}},
			"/shop.v1.Wishlist/Get": {Ended: 1, Errors: 1, P50: time.Millisecond, P99: 9 * time.Millisecond, Codes: metrics.Codes{codes.Unimplemented: 1}},
		},
		Rejections:       map[string]uint64{"BREAKER_OPEN": 1, "RATE_LIMITED": 2},
		RemoteRejections: map[string]uint64{"RATE_LIMITED": 3},
	}
	var out bytes.Buffer
	known := map[string]bool{"/shop.v1.Cart/Get": true}
	if err := newTotals(side, known, 1500*time.Millisecond+7).writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	want := `{"seconds":1.5,"calls":10,"ok":4,` +
		`"errors":{"CANCELLED":2,"NOT_FOUND":1,"UNIMPLEMENTED":3},` +
		`"rejections":{"BREAKER_OPEN":1,"RATE_LIMITED":5},` +
		`"methods":{"/shop.v1.Cart/Get":{"calls":7,"errors":3,"p50_ms":1.5,"p99_ms":20},` +
		`"unknown":{"calls":3,"errors":3,"p50_ms":3,"p99_ms":9}},` +
		`"retries":{"attempts":0,"succeeded":0},"breakers":{}}` + "\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
