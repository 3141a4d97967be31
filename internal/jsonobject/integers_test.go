package jsonobject_test

import (
	"encoding/json"
	"math/big"
	"reflect"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/jsonobject"
)

// TestWithIntegers: integers that a float64 cannot hold are exact, wherever they are. Other numbers stay float64.
func TestWithIntegers(t *testing.T) {
	for text, want := range map[string]any{
		`1`:                      1.0,
		`-0`:                     0.0,
		`1234567890.123456789`:   1234567890.123456789,
		`9007199254740991`:       9007199254740991.0,
		`9007199254740992`:       int64(9007199254740992),
		`9007199254740993`:       int64(9007199254740993),
		`-9007199254740993`:      int64(-9007199254740993),
		`-9223372036854775808`:   int64(-9223372036854775808),
		`9223372036854775808`:    uint64(9223372036854775808),
		`18446744073709551615`:   uint64(18446744073709551615),
		`18446744073709551616`:   18446744073709551616.0,
		`1e20`:                   1e20,
		`9007199254740993.0`:     9007199254740993.0,
		`"9007199254740993"`:     "9007199254740993",
		`[9007199254740993, 1]`:  []any{int64(9007199254740993), 1.0},
		`{"b":9007199254740993}`: map[string]any{"b": int64(9007199254740993)},
		`[[], {}, null, true]`:   []any{[]any{}, map[string]any{}, nil, true},
	} {
		data := []byte(`{"a":` + text + `,"text":"1234567890123456"}`)
		object, err := jsonobject.Parse(data, 10)
		if err != nil {
			t.Fatal(err)
		}
		if got := jsonobject.WithIntegers(data, object)["a"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v (%T); want %v (%T)", text, got, got, want, want)
		}
	}
}

// FuzzWithIntegers: each integer that has an integer type is exact, and everything else is as before.
func FuzzWithIntegers(f *testing.F) {
	for text := range texts {
		f.Add(text)
	}
	f.Add(`{"a":[9007199254740993,-9223372036854775809,18446744073709551616,1e16,1234567890123456.5]}`)
	f.Fuzz(func(t *testing.T, text string) {
		object, err := jsonobject.Parse([]byte(text), 10)
		if err != nil {
			return
		}
		before, _ := json.Marshal(object)
		exact := jsonobject.WithIntegers([]byte(text), object)
		if got := floats(exact); !reflect.DeepEqual(got, any(object)) {
			t.Errorf("%q: %v; want %s", text, got, before)
		}
	})
}

// floats returns a value with float64 in place of integers.
func floats(value any) any {
	switch value := value.(type) {
	case int64:
		f, _ := new(big.Float).SetInt64(value).Float64()
		return f
	case uint64:
		f, _ := new(big.Float).SetUint64(value).Float64()
		return f
	case []any:
		list := make([]any, len(value))
		for i := range value {
			list[i] = floats(value[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(value))
		for name := range value {
			object[name] = floats(value[name])
		}
		return object
	default:
		return value
	}
}
