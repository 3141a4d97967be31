package frametransport

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"
)

func TestTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1n": 1, "5u": 5 * time.Microsecond, "20m": 20 * time.Millisecond, "3S": 3 * time.Second,
		"2M": 2 * time.Minute, "1H": time.Hour, "99999999H": 1<<63 - 1, "0n": 0,
	} {
		if got, err := parseTimeout(text); err != nil || got != want {
			t.Errorf("%s is %v, %v; want %v", text, got, err, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-1: "1n", 0: "1n", 99_999_999: "99999999n", 100_000_000: "100000u", time.Hour: "3600000m", 1<<63 - 1: "2562047H",
	} {
		if got := formatTimeout(d); got != want {
			t.Errorf("%v is written as %s, want %s", d, got, want)
		}
	}
}

func TestBinaryMetadata(t *testing.T) {
	md := metadata.MD{}
	for _, v := range []string{"AAE", "AAE=", "AAE,,/w=="} {
		if err := addMetadata(md, hpack.HeaderField{Name: "x-bin", Value: v}); err != nil {
			t.Fatal(err)
		}
	}
	want := metadata.MD{"x-bin": {"\x00\x01", "\x00\x01", "\x00\x01", "", "\xff"}}
	if diff := cmp.Diff(want, md); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A timeout never grows on its way, and a message and a status survive it.
func FuzzHeaders(f *testing.F) {
	f.Add("1S", "100% \u00fc", int64(1))
	f.Add("99999999H", "%", int64(1<<62))
	f.Add("abc", "%4", int64(-1))
	f.Fuzz(func(t *testing.T, timeout, message string, d int64) {
		if parsed, err := parseTimeout(timeout); err == nil {
			if again, err := parseTimeout(formatTimeout(parsed)); err != nil || again > max(parsed, 1) {
				t.Errorf("%s became %v, %v", timeout, again, err)
			}
		}
		if got, err := parseTimeout(formatTimeout(time.Duration(d))); err != nil || got > time.Duration(max(d, 1)) {
			t.Errorf("%v became %v, %v", time.Duration(d), got, err)
		}
		if got := decodeMessage(encodeMessage(message)); got != message {
			t.Errorf("%q became %q", message, got)
		}
		st, _, err := statusOf([]hpack.HeaderField{
			{Name: keyStatus, Value: timeout}, {Name: keyMessage, Value: message}, {Name: keyDetails, Value: timeout},
		})
		if st.Raw.Message != message || err == nil && timeout == "" {
			t.Errorf("the status is %+v, %v", st, err)
		}
	})
}
