package field

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/internal/fieldpath"
)

// Field is a field of requests. Make it with [String], [Int], [Bool], [Enum] or [Marked]. A Field is immutable and safe
// for concurrent use.
type Field struct {
	paths      []string          // or the name of the mark
	marked     bool              // by an option in the .proto file
	reader     *fieldpath.Reader // nil for the zero Field
	optional   bool
	perMessage bool
	fixed      bool
	err        error
}

// String is the string at the first of several paths that the type of a request has.
func String(path string, others ...string) Field {
	return newField("String", fieldpath.String, path, others)
}

// Int is the integer, of any integer type, at the first of several paths that the type of a request has.
func Int(path string, others ...string) Field { return newField("Int", fieldpath.Int, path, others) }

// Bool is the bool at the first of several paths that the type of a request has.
func Bool(path string, others ...string) Field { return newField("Bool", fieldpath.Bool, path, others) }

// Enum is the enum at the first of several paths that the type of a request has.
func Enum(path string, others ...string) Field { return newField("Enum", fieldpath.Enum, path, others) }

// Marked is the field that the option (hauberk.v1.key) of hauberk/v1/policy.proto marks with a name: a string, an
// integer, a bool or an enum. It may have another path in each type of requests.
//
//	message Repository {
//	  string storage_name = 1 [(hauberk.v1.key) = "storage"];
//	}
//
// The field is in the request, or in a message of it that is not repeated. A request with two such fields is an
// error: use a path for its methods.
func Marked(name string) Field {
	f := Field{paths: []string{name}, marked: true}
	if f.reader, f.err = fieldpath.NewMarkReader(name); f.err != nil {
		f.err = fmt.Errorf("field.Marked: %w", f.err)
	}
	return f
}

func newField(function string, kinds fieldpath.Kinds, path string, others []string) Field {
	f := Field{paths: append([]string{path}, others...)}
	if f.reader, f.err = fieldpath.NewReader(kinds, f.paths...); f.err != nil {
		f.err = errors.Join(errors.New("field."+function+" was given a bad path"), f.err)
	}
	return f
}

// Optional returns the field for methods of which some do not have it, and for [Set] and [Tenant] for calls
// without a value: they are not rejected.
func (f Field) Optional() Field {
	f.optional = true
	return f
}

// PerMessage returns the field for a [Field.Key] of messages: each message of a stream has the key of its
// field. It is for limits that count messages (ratelimit.Cost.Message and Byte).
func (f Field) PerMessage() Field {
	f.perMessage = true
	return f
}

// Fixed returns the field for [Set] on streams of requests: one with another value than the first ends the call with
// INVALID_ARGUMENT and [ReasonChanged], before the handler of a server, or the transport of a client, gets it. Requests
// after the first need no value. Without Fixed the first request decides, and further ones may have any value.
func (f Field) Fixed() Field {
	f.fixed = true
	return f
}

// Name returns the paths as text, "repository.storage_name or storage_name", or the name that [Marked] was given.
func (f Field) Name() string { return strings.Join(f.paths, " or ") }

// what names the field in errors.
func (f Field) what() string {
	if f.marked {
		return fmt.Sprintf("a field with the option (hauberk.v1.key) = %q", f.Name())
	}
	return f.Name()
}

// Err returns what is wrong with the paths. [hauberk.New] reports it for the interceptors that use the field.
func (f Field) Err() error {
	if f.reader == nil {
		return errors.New("a zero Field has no path; make one with field.String")
	}
	return f.err
}

// Key returns the field as a key of limits:
//
//	ratelimit.Config{Limit: 100, Per: time.Second, By: field.String("repository.storage_name").Key()}
//
// A call whose request has no value, is of a type without the field, or cannot be read, has no key:
// interceptors count it by its peer, and a circuit breaker by its service or method. Values of any length are
// keys; the interceptors bound what they keep of them.
func (f Field) Key() callkey.Key {
	err := f.Err()
	if f.fixed {
		err = errors.Join(err, errors.New("Fixed is for field.Set; want a field without it, or PerMessage"))
	}
	if err != nil {
		return callkey.Failed(f.Name(), err)
	}
	return callkey.FromRequest(f.Name(), request{f}, f.perMessage)
}

// Of returns the value of the field in the first request of a call, before next. It waits for the request as
// [hauberk.Call.ReadFirst] does. ok is false if there is no value, or the request cannot be read.
func (f Field) Of(ctx context.Context, call *hauberk.Call) (value string, ok bool) {
	value, ok, _ = f.read(ctx, call)
	return value, ok
}

// OfMessage returns the value of the field in a message.
func (f Field) OfMessage(msg any) (value string, ok bool) {
	if !f.works() {
		return "", false
	}
	return f.reader.Text(msg)
}

func (f Field) works() bool { return f.reader != nil && f.err == nil }

// read is Of with the error of the request. The request of an unknown method has no type.
func (f Field) read(ctx context.Context, call *hauberk.Call) (value string, ok bool, err error) {
	if !f.works() || !call.Method().Known() {
		return "", false, nil
	}
	msg, err := call.ReadFirst(ctx)
	if err == nil {
		value, ok = f.reader.Text(msg)
	} else if errors.Is(err, io.EOF) { // there is no request
		err = nil
	}
	return value, ok, err
}

// request is a Field as a callkey.Request.
type request struct{ Field }

// Invalid returns what is wrong with the field for methods.
func (r request) Invalid(methods []*hauberk.Method) []string { return r.check(describe(methods)) }

// Label returns a function for metrics.WithLabel that returns a value that [Set] has kept, or "" if there is
// none. Labels are read when a call reaches the interceptor of the metrics, so place it inside of Set.
func Label(key hauberk.Key[string]) func(ctx context.Context, call *hauberk.Call) string {
	return func(_ context.Context, call *hauberk.Call) string {
		value, _ := key.Get(call)
		return value
	}
}
