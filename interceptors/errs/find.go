package errs

import (
	"context"
	"reflect"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// carrier is an error with a status.
type carrier interface {
	error
	GRPCStatus() *status.Status
}

// found is the error that decides the status of a tree of errors. One of its fields is set.
type found struct {
	entry   *entry         // of the table
	value   error          // that the entry is for: the sentinel, or the error of the type
	settled bool           // the status is that of another table
	remote  *remoteError   // of a call to another service
	passed  *passedError   // whose status is passed on
	carrier carrier        // with another code than OK
	status  *status.Status // of the carrier, or of a context error
	context bool
}

// find searches a tree in the order of errors.Is for the first error that decides. It returns false if none does.
func (t *Table) find(err error) (f found, ok bool) {
	if err == nil {
		return found{}, false
	}
	if f, ok = t.at(err); ok {
		return f, true
	}
	switch x := err.(type) { //nolint:errorlint // this is the search
	case interface{ Unwrap() error }:
		return t.find(x.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range x.Unwrap() {
			if f, ok = t.find(inner); ok {
				return f, true
			}
		}
	}
	return found{}, false
}

// at returns what an error decides, without those that it wraps.
func (t *Table) at(err error) (f found, ok bool) {
	switch x := err.(type) { //nolint:errorlint // as in find
	case *translatedError:
		return found{settled: true}, true
	case *remoteError:
		return found{remote: x}, true
	case *passedError:
		return found{passed: x}, true
	}
	if f, ok = t.entryOf(err); ok {
		return f, true
	}
	if c, ok := err.(carrier); ok && !addsDomain(c) { //nolint:errorlint // as in find
		if st := c.GRPCStatus(); st.Code() != codes.OK {
			return found{carrier: c, status: st}, true
		}
	}
	switch is := isFunc(err); {
	case err == context.DeadlineExceeded, is(context.DeadlineExceeded): //nolint:errorlint // as in find
		return found{status: status.New(codes.DeadlineExceeded, context.DeadlineExceeded.Error()), context: true}, true
	case err == context.Canceled, is(context.Canceled): //nolint:errorlint // as in find
		return found{status: status.New(codes.Canceled, context.Canceled.Error()), context: true}, true
	default:
		return found{}, false
	}
}

// addsDomain reports whether a carrier is what a chain wraps an error in to give the rejection in it a domain. The
// errors inside of it decide.
func addsDomain(c carrier) bool {
	r := hauberk.RejectionOf(c)
	return r != nil && error(r) != error(c) //nolint:errorlint // whether it is the rejection itself
}

// isFunc returns the Is method of an error.
func isFunc(err error) func(target error) bool {
	if x, ok := err.(interface{ Is(target error) bool }); ok {
		return x.Is
	}
	return func(error) bool { return false }
}

// entryOf returns the entry for an error, with the sentinel or the error of the type.
func (t *Table) entryOf(err error) (f found, ok bool) {
	typ := reflect.TypeOf(err)
	if typ.Comparable() && reflect.ValueOf(err).Comparable() {
		if e := t.sentinels[err]; e != nil {
			return found{entry: e, value: err}, true
		}
	}
	if e := t.types[typ]; e != nil {
		return found{entry: e, value: err}, true
	}
	for _, e := range t.interfaces {
		if value := e.codec.in(err); value != nil {
			return found{entry: e, value: value}, true
		}
	}
	_, hasIs := err.(interface{ Is(target error) bool })
	_, hasAs := err.(interface{ As(target any) bool })
	if !hasIs && !hasAs {
		return found{}, false
	}
	return t.entryByMethods(err, isFunc(err), hasAs)
}

// entryByMethods returns the entry that the Is or the As method of an error finds.
func (t *Table) entryByMethods(err error, is func(error) bool, hasAs bool) (f found, ok bool) {
	for _, e := range t.entries {
		switch {
		case e.codec == nil:
			if is(e.sentinel) {
				return found{entry: e, value: e.sentinel}, true
			}
		case hasAs:
			if value := e.codec.in(err); value != nil {
				return found{entry: e, value: value}, true
			}
		}
	}
	return found{}, false
}
