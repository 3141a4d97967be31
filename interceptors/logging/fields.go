package logging

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/hauberk-rpc/hauberk"
)

// MaxFields is how many attributes [AddFields] keeps for one call.
const MaxFields = 64

// AddFields adds attributes to the record of the call that ctx belongs to, for
// handlers and for interceptors. Of two with the same key the later one stays. Beyond
// [MaxFields] they are dropped, and the record says how many. Where ctx belongs to
// no call, or no interceptor logs it, AddFields does nothing. Safe for concurrent use.
//
// Keys that the record has of its own are to be avoided: it would have two.
func AddFields(ctx context.Context, attrs ...slog.Attr) {
	if call := hauberk.FromContext(ctx); call != nil {
		fieldsOf(call).add(attrs)
	}
}

// fields are what was added to a call's record.
type fields struct {
	mu      sync.Mutex
	attrs   []slog.Attr
	dropped int64
}

var fieldsKey = hauberk.NewKey[*fields]("log_fields")

// making lets one of several goroutines make the fields of a call.
var making sync.Mutex //nolint:gochecknoglobals // a call has no lock to lend; it is held for a first AddFields only

func fieldsOf(call *hauberk.Call) *fields {
	if f, ok := fieldsKey.Get(call); ok {
		return f
	}
	making.Lock()
	defer making.Unlock()
	if f, ok := fieldsKey.Get(call); ok {
		return f
	}
	f := new(fields)
	fieldsKey.Set(call, f)
	return f
}

func (f *fields) add(attrs []slog.Attr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range attrs {
		at := slices.IndexFunc(f.attrs, func(b slog.Attr) bool { return a.Key != "" && a.Key == b.Key })
		switch {
		case at >= 0:
			f.attrs[at] = a
		case len(f.attrs) < MaxFields:
			f.attrs = append(f.attrs, a)
		default:
			f.dropped++
		}
	}
}

func appendFields(list []slog.Attr, call *hauberk.Call) []slog.Attr {
	f, ok := fieldsKey.Get(call)
	if !ok {
		return list
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list = append(list, f.attrs...)
	if f.dropped > 0 {
		list = append(list, slog.Int64(KeyFieldsDropped, f.dropped))
	}
	return list
}
