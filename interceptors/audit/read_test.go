package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
)

// full is a record with all members.
func full(text string, n int64) audit.Record {
	return audit.Record{
		Time: time.Unix(n>>16, 5).UTC(), Call: text, Stage: audit.StageEnd, Side: text, Kind: text, Method: text, Peer: text, Client: text,
		State: map[string]string{text: text, text + "2": "x"}, Who: audit.Who{Subject: text, Issuer: text, Tenant: text, Method: "jwt"},
		Request: map[string]string{text: text}, Code: codes.Code(uint32(n)), Reason: text, Panic: n%2 == 0,
		Decisions: []hauberk.Decision{
			{Interceptor: text, Rule: text, Verdict: hauberk.Rejected, Reason: text, Shadow: true}, {Interceptor: text},
		},
		Sent: n, Received: -n, Duration: time.Duration(n), Cut: n%3 == 0,
	}
}

// A record is read as it was written.
func TestReadRecord(t *testing.T) {
	for _, want := range []audit.Record{
		full("a \"b\"\n\x00\u2028</script>", 7), {Stage: audit.StageStart, Time: time.Unix(1, 0).UTC()}, {Stage: audit.StageEnd, Time: time.Unix(1, 0).UTC()},
	} {
		text, err := want.MarshalJSON()
		if err != nil || bytes.ContainsAny(text, "\n\x00\u2028") {
			t.Errorf("%s, %v; want one line", text, err)
		}
		var got audit.Record
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v\nwant %+v", got, err, want)
		}
	}
}

// Lines that are no records are errors with their numbers, and those after them are read.
func TestRead(t *testing.T) {
	good, _ := full("x", 1).MarshalJSON()
	lines := []string{
		string(good), "", "{}", `{"stage":"start"`, `{"stage":"end"}`, `{"stage":"end","code":"no"}`,
		`{"stage":"start","decisions":[{"verdict":"x"}]}`, `{"stage":"start","call":1}`, strings.Repeat("x", 3<<20),
		"\x00\x00", string(good), string(good[:20]),
	}
	text := strings.Join(lines, "\n")
	var got []string
	number := 0
	for r, err := range audit.Read(strings.NewReader(text)) {
		number++
		switch {
		case err == nil:
			got = append(got, r.Call)
		case errors.Is(err, audit.ErrTorn):
			got = append(got, "torn")
		case strings.Contains(err.Error(), "audit: line ") && !reflect.DeepEqual(r, audit.Record{}):
			t.Errorf("%+v with %v", r, err)
		}
	}
	if want := []string{"x", "x", "torn"}; !reflect.DeepEqual(got, want) || number != len(lines) {
		t.Errorf("%v of %d lines; want %v of %d", got, number, want, len(lines))
	}
	for _, err := range audit.Read(iotest.ErrReader(errSecret)) {
		if !errors.Is(err, errSecret) {
			t.Errorf("%v; want the error of the reader", err)
		}
	}
	for r, err := range audit.Read(strings.NewReader(text)) {
		if err != nil || r.Call != "x" {
			t.Errorf("%+v, %v", r, err)
		}
		break
	}
}

// FuzzRead reads any bytes as a file: each line is a record or an error, and a record that is written again is
// read the same.
func FuzzRead(f *testing.F) {
	good, _ := full("x\n", 1).MarshalJSON()
	f.Add(append(append(good, '\n'), good...))
	f.Add([]byte("{\"stage\":\"start\"}\n\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := bytes.Count(text, []byte("\n"))
		if len(text) > 0 && text[len(text)-1] != '\n' {
			lines++
		}
		read := 0
		for r, err := range audit.Read(bytes.NewReader(text)) {
			read++
			if err != nil {
				continue
			}
			again, err := r.MarshalJSON()
			if err != nil || bytes.ContainsRune(again, '\n') || !utf8.Valid(again) {
				t.Fatalf("%q, %v", again, err)
			}
			var second audit.Record
			if err := second.UnmarshalJSON(again); err != nil {
				t.Fatalf("%v: %q", err, again)
			}
			if third, _ := second.MarshalJSON(); !bytes.Equal(again, third) {
				t.Fatalf("%q\nthen %q", again, third)
			}
		}
		if read != lines {
			t.Fatalf("%d results of %d lines", read, lines)
		}
	})
}

// FuzzRecord writes records with any texts: each is one line of valid JSON, which is read the same.
func FuzzRecord(f *testing.F) {
	f.Add("a\nb\r\u2028\x00\xff\"\\</script>", int64(1))
	f.Fuzz(func(t *testing.T, text string, n int64) {
		want := full(text, n)
		line, err := want.MarshalJSON()
		if err != nil || !json.Valid(line) || bytes.ContainsAny(line, "\n\r") {
			t.Fatalf("%q, %v", line, err)
		}
		var got audit.Record
		if err := got.UnmarshalJSON(line); err != nil {
			if y := want.Time.Year(); y >= 0 && y <= 9999 {
				t.Fatalf("%v: %q", err, line)
			}
			return
		}
		if utf8.ValidString(text) && !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\nwant %+v", got, want)
		}
	})
}
