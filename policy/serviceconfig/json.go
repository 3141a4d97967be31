package serviceconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
)

// errList collects what is wrong with a file.
type errList struct{ errs []error }

// value is a JSON value, which is valid JSON, at a path of the file.
type value struct {
	errs *errList
	path string
	raw  []byte
}

// root returns the value of a whole file, or the error of its syntax.
func root(data []byte, errs *errList) (value, error) {
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := data[:min(int(syntax.Offset), len(data))]
		line, column := 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n')
		return value{}, fmt.Errorf("line %d, column %d: %w, want a JSON object", line, max(column-1, 1), err)
	}
	return value{errs: errs, raw: bytes.TrimSpace(raw)}, err
}

// wrong records that the value is not what is wanted.
func (v value) wrong(want string, args ...any) {
	raw := v.raw
	if bytes.ContainsAny(raw, "\r\n") { // errors have a line each
		var line bytes.Buffer
		_ = json.Compact(&line, raw)
		raw = line.Bytes()
	}
	v.failf("%.100s, want %s", raw, fmt.Sprintf(want, args...))
}

// fail records an error at the path of the value.
func (v value) failf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if v.path != "" {
		text = v.path + ": " + text
	}
	v.errs.errs = append(v.errs.errs, errors.New(text))
}

// at returns the value of a key.
func (v value) at(key string, raw []byte) value {
	if v.path != "" {
		key = v.path + "." + key
	}
	return value{v.errs, key, raw}
}

func (v value) isNull() bool { return string(v.raw) == "null" }

// field is a key of an object, with its value.
type field struct {
	key string
	value
}

// fields returns the fields of an object, in their order, without those that are null. It records keys that are
// there twice.
func (v value) fields() (fields []field, ok bool) {
	if len(v.raw) == 0 || v.raw[0] != '{' {
		v.wrong("an object")
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(v.raw))
	_, _ = dec.Token() // the errors are those of root
	seen := make(map[string]bool)
	for dec.More() {
		token, _ := dec.Token()
		key, _ := token.(string)
		var raw json.RawMessage
		_ = dec.Decode(&raw)
		f := field{key, v.at(key, bytes.TrimSpace(raw))}
		if seen[key] {
			f.failf("twice in its object, want it once")
		}
		seen[key] = true
		if !f.isNull() {
			fields = append(fields, f)
		}
	}
	return fields, true
}

// object reads an object with a function for each key that it may have.
func (v value) object(keys map[string]func(value)) {
	fields, _ := v.fields()
	for _, f := range fields {
		if read := keys[f.key]; read != nil {
			read(f.value)
			continue
		}
		known := make([]string, 0, len(keys))
		for k := range keys {
			known = append(known, k)
		}
		slices.Sort(known)
		f.failf("an unknown key, want one of %s", strings.Join(known, ", "))
	}
}

// list reads an array.
func (v value) list(each func(value)) {
	if v.raw[0] != '[' {
		v.wrong("a list")
		return
	}
	dec := json.NewDecoder(bytes.NewReader(v.raw))
	_, _ = dec.Token()
	for i := 0; dec.More(); i++ {
		var raw json.RawMessage
		_ = dec.Decode(&raw)
		each(value{v.errs, fmt.Sprintf("%s[%d]", v.path, i), bytes.TrimSpace(raw)})
	}
}

// text returns a string, or "".
func (v value) text() (s string) {
	if v.raw[0] != '"' || json.Unmarshal(v.raw, &s) != nil {
		v.wrong("a string")
		return ""
	}
	return s
}

// boolean returns true or false.
func (v value) boolean() *bool {
	var b bool
	if json.Unmarshal(v.raw, &b) != nil {
		v.wrong("true or false")
		return nil
	}
	return &b
}

// integer returns a number without a fraction, of at least least.
func (v value) integer(least int64) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(v.raw), 10, 64)
	if err != nil || n < least {
		v.wrong("a whole number of at least %d", least)
		return 0, false
	}
	return n, true
}

// positive returns a number above 0.
func (v value) positive() (x float64, ok bool) {
	if err := json.Unmarshal(v.raw, &x); err != nil || x <= 0 {
		v.wrong("a number above 0")
		return 0, false
	}
	return x, true
}

// duration returns a duration in the JSON form of protobuf, of at least least. One that a time.Duration cannot
// hold, of more than 292 years, becomes the greatest.
func (v value) duration(least time.Duration) (d time.Duration) {
	var pb durationpb.Duration
	s, isText := "", v.raw[0] == '"'
	if isText {
		isText = json.Unmarshal(v.raw, &s) == nil
	}
	if !isText || strings.HasPrefix(s, "+") || protojson.Unmarshal(v.raw, &pb) != nil {
		v.wrong(`seconds as text, such as "1.5s"`)
		return 0
	}
	if d = pb.AsDuration(); d < least {
		want := "more than 0"
		if least == 0 {
			want = "0 or more"
		}
		v.wrong(`%s, such as "1.5s"`, want)
		return 0
	}
	return d
}

// statusCodes returns a list of codes of errors: names, as in UNAVAILABLE, or numbers. It is not nil.
func (v value) statusCodes() []codes.Code {
	list := []codes.Code{}
	v.list(func(v value) {
		var code codes.Code
		if v.isNull() || code.UnmarshalJSON(v.raw) != nil || code == codes.OK {
			v.wrong(`the code of an error, such as "UNAVAILABLE" or 14`)
			return
		}
		if !slices.Contains(list, code) {
			list = append(list, code)
		}
	})
	return list
}
