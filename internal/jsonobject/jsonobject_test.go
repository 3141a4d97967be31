package jsonobject_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/jsonobject"
)

// texts are JSON texts, and what is wrong with them; "" for objects.
var texts = map[string]string{
	`{}`:                               "",
	`{"a":1,"A":[true,null,{"b":""}]}`: "",
	`{ "a" : "\u0061" }`:               "",
	`{"a":1,"a":1}`:                    "twice",
	`{"a":1,"\u0061":2}`:               "twice",
	`{"x":[{"a":1,"a":2}]}`:            "twice",
	`{"a":{"b":{"c":{}}}}`:             "nested more than 3 levels",
	`{"a":[[[1]]]}`:                    "nested more than 3 levels",
	`[]`:                               "is not a JSON object",
	`null`:                             "is not a JSON object",
	``:                                 "is not a JSON object",
	`{"a":1}{}`:                        "is not a JSON object",
	`{"a":1},`:                         "is not a JSON object",
	`{"a":}`:                           "is not a JSON object",
	`{"a":1`:                           "is not a JSON object",
	`{"a":1e999}`:                      "is not a JSON object",
	`{1:1}`:                            "is not a JSON object",
	`{"a":[1}`:                         "is not a JSON object",
	"{\"a\":\"\xff\"}":                 "is not UTF-8",
}

func TestParse(t *testing.T) {
	for text, want := range texts {
		object, err := jsonobject.Parse([]byte(text), 3)
		if want == "" != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || object != nil) {
			t.Errorf("%s: %v, %v; want %q", text, object, err, want)
		}
	}
}

// FuzzParse: what is parsed is what encoding/json parses.
func FuzzParse(f *testing.F) {
	for text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		object, err := jsonobject.Parse([]byte(text), 10)
		if err != nil {
			return
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(text), &want); err != nil || !reflect.DeepEqual(object, want) {
			t.Errorf("%q: %v; want %v, %v", text, object, want, err)
		}
	})
}
