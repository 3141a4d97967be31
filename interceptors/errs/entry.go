package errs

import (
	"fmt"
	"reflect"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk/internal/errorinfo"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Entry is an error of a [Table]: a sentinel or a type, with its status. Make it with [Sentinel], [Type],
// [TypeWithDetail] or [TypeWithMetadata].
type Entry struct{ of *entry }

// entry is what an Entry has. It does not change after it was made.
type entry struct {
	domain     string // of its table
	code       codes.Code
	reason     string
	sentinel   error // nil for a type
	codec      codec // nil for a sentinel
	message    string
	wholeText  bool
	retryAfter time.Duration
	details    []proto.Message
	errs       []error
}

func (e *entry) failf(format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf(format, args...))
}

// Sentinel is an entry for an error value, such as of errors.New, and for those that wrap it. The client
// receives the same value.
func Sentinel(err error, code codes.Code, reason string, opts ...EntryOption) Entry {
	return newEntry(&entry{code: code, reason: reason, sentinel: err}, opts)
}

// Type is an entry for the errors of a type that needs no codec: a struct without fields, or a pointer to one, of
// which the client receives an empty one; or a generated protobuf message with an Error method, which is sent as a
// detail. [NewTable] reports other types: use [TypeWithDetail] or [TypeWithMetadata] for them.
func Type[E error](code codes.Code, reason string, opts ...EntryOption) Entry {
	return newEntry(&entry{code: code, reason: reason, codec: plainCodec[E]()}, opts)
}

// TypeWithDetail is an entry for the errors of a type, whose fields are sent as a protobuf message in the details
// of the status. E may be an interface, and M is a generated message. encode returns the detail of an error; decode
// returns the error for a detail, which may have any content, since it comes from the peer. Both must be safe for
// concurrent use. [NewTable] calls both once, with an empty error and an empty message, and reports panics.
func TypeWithDetail[E error, M proto.Message](
	code codes.Code, reason string, encode func(E) M, decode func(M) (E, error), opts ...EntryOption,
) Entry {
	return newEntry(&entry{code: code, reason: reason, codec: newDetailCodec(encode, decode)}, opts)
}

// TypeWithMetadata is [TypeWithDetail] with texts in the metadata of the google.rpc.ErrorInfo. Keys should match
// [a-z][a-zA-Z0-9-_]+ and have at most 64 characters, as the comments of ErrorInfo state.
func TypeWithMetadata[E error](
	code codes.Code, reason string,
	encode func(E) map[string]string, decode func(map[string]string) (E, error), opts ...EntryOption,
) Entry {
	c := metadataCodec[E]{encodeFunc: encode, decodeFunc: decode}
	return newEntry(&entry{code: code, reason: reason, codec: c}, opts)
}

func newEntry(e *entry, opts []EntryOption) Entry {
	if err := options.ApplyTo("the entry", opts, func(o EntryOption) { o.applyTo(e) }); err != nil {
		e.errs = append(e.errs, err)
	}
	return Entry{e}
}

// EntryOption is an option of an [Entry].
type EntryOption interface{ applyTo(e *entry) }

type entryOption func(e *entry)

func (f entryOption) applyTo(e *entry) { f(e) }

// WithMessage sets the text of the status, the same for all errors of the entry. The default is the text of the
// sentinel, or of the error of the type.
func WithMessage(text string) EntryOption {
	return entryOption(func(e *entry) {
		if e.message = text; text == "" {
			e.failf("WithMessage was given an empty text")
		}
	})
}

// WithWholeText sends the whole text of the handler's error, with the texts that it wraps the entry's error with.
// Clients then see what handlers put there, such as addresses and queries.
func WithWholeText() EntryOption { return entryOption(func(e *entry) { e.wholeText = true }) }

// WithRetryAfter sends after how long clients should call again, as google.rpc.RetryInfo.
func WithRetryAfter(wait time.Duration) EntryOption {
	return entryOption(func(e *entry) {
		if e.retryAfter = wait; wait <= 0 {
			e.failf("WithRetryAfter was given %v; want more than 0", wait)
		}
	})
}

// WithDetails adds messages to the details of the status, the same for all errors of the entry, such as
// google.rpc.Help.
func WithDetails(details ...proto.Message) EntryOption {
	return entryOption(func(e *entry) {
		for i, m := range details {
			if isNil(m) {
				e.failf("detail %d of WithDetails is nil", i+1)
			} else if _, err := proto.Marshal(m); err != nil {
				e.failf("detail %d of WithDetails, a %s, cannot be encoded: %w", i+1, nameOf(m), err)
			} else {
				e.details = append(e.details, proto.Clone(m))
			}
		}
	})
}

func isNil(m proto.Message) bool {
	if m == nil {
		return true
	}
	v := reflect.ValueOf(m)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

func nameOf(m proto.Message) protoreflect.FullName { return m.ProtoReflect().Descriptor().FullName() }

// errorInfo is the detail that the table itself makes.
const errorInfo = "google.rpc.ErrorInfo"

// check notes what is wrong with the entry apart from others.
func (e *entry) check() {
	if e.code == codes.OK || e.code > codes.Unauthenticated {
		e.failf("the code is %v; want that of an error", e.code)
	}
	if !errorinfo.ValidReason(e.reason) {
		e.failf("the reason is %q; %s", e.reason, errorinfo.WantReason)
	}
	if isReserved(e.reason) {
		e.failf("the reason %s is reserved; want another", e.reason)
	}
	if e.wholeText && e.message != "" {
		e.failf("it has WithMessage and WithWholeText; want one of them")
	}
	if e.codec == nil {
		e.checkSentinel()
		e.checkDetails("")
		return
	}
	if e.codec.check(e.failf) {
		e.checkDetails(e.codec.detail())
	}
}

// checkDetails notes details that a client would mistake for others.
func (e *entry) checkDetails(own protoreflect.FullName) {
	if own == errorInfo {
		e.failf("the detail is a %s, which the table makes; want another message, or TypeWithMetadata", errorInfo)
	}
	for _, m := range e.details {
		switch name := nameOf(m); name {
		case errorInfo:
			e.failf("WithDetails has a %s, which the table makes; use TypeWithMetadata", errorInfo)
		case own:
			e.failf("WithDetails has a %s, which is the detail of the type", name)
		}
	}
}
