package errs

import (
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/errtree"
)

// codec encodes the errors of a type. The functions of the application may panic in its methods.
type codec interface {
	// typ returns the type.
	typ() reflect.Type
	// in returns the error of the type that an error is, or that its As method returns, or nil.
	in(err error) error
	// check reports what is wrong with the codec, and returns false if it cannot be used.
	check(failf func(format string, args ...any)) bool
	// detail returns the name of the message with the fields, or "".
	detail() protoreflect.FullName
	// encode adds the fields of an error of the type to a rejection.
	encode(value error, r *hauberk.Rejection) error
	// decode returns the error for a status.
	decode(metadata map[string]string, details []*anypb.Any) (error, error)
}

// typed is what the codecs for a type have in common.
type typed[E error] struct{}

func (typed[E]) typ() reflect.Type { return reflect.TypeFor[E]() }

func (typed[E]) in(err error) error {
	if e, ok := err.(E); ok { //nolint:errorlint // the caller searches the tree
		return e
	}
	if c, ok := err.(interface{ As(target any) bool }); ok {
		var e E
		if c.As(&e) {
			return e
		}
	}
	return nil
}

// zero returns an error of the type without content, or false for an interface.
func (typed[E]) zero() (e E, ok bool) {
	switch t := reflect.TypeFor[E](); t.Kind() {
	case reflect.Interface:
		return e, false
	case reflect.Pointer:
		e, ok = reflect.TypeAssert[E](reflect.New(t.Elem()))
		return e, ok
	default:
		return e, true
	}
}

// panicError is a panic of a function of the application.
type panicError struct {
	what  string
	value any
}

func (e *panicError) Error() string { return fmt.Sprintf("%s panics: %v", e.what, e.value) }

// contained returns the error of f, or its panic as an error.
func contained(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{what, v}
		}
	}()
	return errtree.Bounded(f())
}

// decoded returns what a decode function has returned for an error.
func decoded[E error](e E, err error) (error, error) {
	if err != nil {
		return nil, err
	}
	switch v := reflect.ValueOf(e); {
	case !v.IsValid(), v.Kind() == reflect.Pointer && v.IsNil():
		return nil, errors.New("decode returned nil")
	default:
		return e, nil
	}
}

// detailCodec sends the fields in a protobuf message.
type detailCodec[E error] struct {
	typed[E]

	empty      proto.Message // without content; nil if there is no generated type
	encodeFunc func(E) proto.Message
	decodeFunc func(proto.Message) (E, error)
}

// newDetailCodec returns the codec for messages of the type M.
func newDetailCodec[E error, M proto.Message](encode func(E) M, decode func(M) (E, error)) codec {
	var m M
	c := detailCodec[E]{empty: emptyMessage(m)}
	if encode != nil {
		c.encodeFunc = func(e E) proto.Message { return encode(e) }
	}
	if decode != nil {
		c.decodeFunc = func(m proto.Message) (E, error) { return decode(m.(M)) }
	}
	return c
}

// emptyMessage returns a message of the type of another one, which may be nil; or nil if the type is not a
// generated one.
func emptyMessage(m any) (empty proto.Message) {
	_ = contained("", func() error {
		made := m.(proto.Message).ProtoReflect().Type().New().Interface()
		if reflect.TypeOf(made) == reflect.TypeOf(m) {
			empty = made
		}
		return nil
	})
	return empty
}

func (c detailCodec[E]) detail() protoreflect.FullName { return nameOf(c.empty) }

func (c detailCodec[E]) check(failf func(format string, args ...any)) bool {
	if c.empty == nil {
		failf("the detail is not a generated message; want the type of one, such as *shopv1.Stock")
		return false
	}
	checkFuncs(failf, c.encodeFunc, c.decodeFunc, c.empty)
	return true
}

// checkFuncs calls the functions of a codec with an empty error and with what an empty one has.
func checkFuncs[E error, F any](
	failf func(format string, args ...any), encode func(E) F, decode func(F) (E, error), empty F,
) {
	if encode == nil || decode == nil {
		failf("encode or decode is nil")
		return
	}
	if e, ok := (typed[E]{}).zero(); ok {
		if err := contained("encode", func() error { encode(e); return nil }); err != nil {
			failf("%w, for an empty %v", err, typed[E]{}.typ())
		}
	}
	err := contained("decode", func() error {
		_, _ = decode(empty)
		return nil
	})
	if err != nil {
		failf("%w, for an empty detail, which peers can send", err)
	}
}

func (c detailCodec[E]) encode(value error, r *hauberk.Rejection) error {
	m := c.encodeFunc(value.(E)) //nolint:errorlint // it is what in has returned
	if isNil(m) {
		return errors.New("encode returned nil")
	}
	if _, err := proto.Marshal(m); err != nil {
		return fmt.Errorf("the detail cannot be encoded: %w", err)
	}
	r.Details = append(r.Details, m)
	return nil
}

func (c detailCodec[E]) decode(_ map[string]string, details []*anypb.Any) (error, error) {
	m := c.empty.ProtoReflect().Type().New().Interface()
	for _, packed := range details {
		if packed.MessageIs(m) {
			if err := packed.UnmarshalTo(m); err != nil {
				return nil, fmt.Errorf("the detail cannot be decoded: %w", err)
			}
			return decoded(c.decodeFunc(m))
		}
	}
	return nil, fmt.Errorf("the status has no %s", c.detail())
}

// metadataCodec sends the fields as texts in the ErrorInfo.
type metadataCodec[E error] struct {
	typed[E]

	encodeFunc func(E) map[string]string
	decodeFunc func(map[string]string) (E, error)
}

func (metadataCodec[E]) detail() protoreflect.FullName { return "" }

func (c metadataCodec[E]) check(failf func(format string, args ...any)) bool {
	checkFuncs(failf, c.encodeFunc, c.decodeFunc, nil)
	return true
}

func (c metadataCodec[E]) encode(value error, r *hauberk.Rejection) error {
	r.Metadata = c.encodeFunc(value.(E)) //nolint:errorlint // it is what in has returned
	return nil
}

func (c metadataCodec[E]) decode(metadata map[string]string, _ []*anypb.Any) (error, error) {
	return decoded(c.decodeFunc(metadata))
}

// emptyCodec is for types without fields.
type emptyCodec[E error] struct{ typed[E] }

func (emptyCodec[E]) detail() protoreflect.FullName          { return "" }
func (emptyCodec[E]) encode(error, *hauberk.Rejection) error { return nil }

func (c emptyCodec[E]) check(failf func(format string, args ...any)) bool {
	t := c.typ()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.NumField() > 0 {
		failf("%v cannot be encoded without a codec: it is neither a struct without fields nor a protobuf message; "+
			"use TypeWithDetail or TypeWithMetadata", c.typ())
		return false
	}
	return true
}

func (c emptyCodec[E]) decode(map[string]string, []*anypb.Any) (error, error) {
	e, _ := c.zero()
	return e, nil
}

// plainCodec returns the codec of a type that needs no functions.
func plainCodec[E error]() codec {
	var e E
	if _, isMessage := any(e).(proto.Message); !isMessage {
		return emptyCodec[E]{}
	}
	return detailCodec[E]{
		empty:      emptyMessage(e),
		encodeFunc: func(e E) proto.Message { return any(e).(proto.Message) },
		decodeFunc: func(m proto.Message) (E, error) { return m.(E), nil },
	}
}
