package callstate_test

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callstate"
)

// Add reports everything that is wrong with a value, and keeps the values in their order.
func TestAdd(t *testing.T) {
	key := hauberk.NewKey[string]("request id")
	var list callstate.List[hauberk.Key[string]]
	taken := func(name string) bool { return name == "code" }
	for _, test := range []struct {
		name  string
		key   hauberk.Key[string]
		taken func(string) bool
		want  string // in the error; "" for none
	}{
		{"request_id", key, taken, ""},
		{"request_id", key, taken, `State "request_id" is there twice`},
		{"code", key, taken, `State "code" has the name of one of the record's own attributes`},
		{"reason", key, nil, ""},
		{"", key, taken, "State was given an empty name"},
		{"", hauberk.Key[string]{}, taken, "a key without a name"},
		{"", hauberk.Key[string]{}, taken, "an empty name"},
		{strings.Repeat("x", callstate.MaxName), key, nil, ""},
		{strings.Repeat("x", callstate.MaxName+1), key, nil, "a name of 257 bytes; want at most 256"},
	} {
		err := list.Add(test.name, test.key, test.key, test.taken)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.20q: %v; want %q", test.name, err, test.want)
		}
	}
	if len(list) != 9 || list[0].Name != "request_id" || list[3].Name != "reason" {
		t.Errorf("the list is %v", list)
	}
}
