package logging

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/hauberk-rpc/hauberk"
)

// MaxFields is the number of attributes that [AddFields] keeps for one call.
const MaxFields = 64

// AddFields adds attributes to the record of the call that ctx belongs to. Handlers and
// interceptors may use it.
//
//   - An attribute replaces an earlier one with the same key.
//   - Beyond [MaxFields] attributes are dropped, and the record has their number.
//   - If ctx belongs to no call, or no interceptor logs the call, AddFields does nothing.
//   - Attributes with the name of one of the record's own attributes are not replaced:
//     the record then has that name twice.
//
// Safe for concurrent use.
func AddFields(ctx context.Context, attrs ...slog.Attr) {
	if call := hauberk.FromContext(ctx); call != nil {
		f, ok := fieldsKey.Get(call)
		if !ok {
			f = fieldsKey.GetOrSet(call, new(fields))
		}
		f.add(attrs)
	}
}

// fields are the attributes that AddFields added to a call.
type fields struct {
	mu      sync.Mutex
	attrs   []slog.Attr
	dropped int64
}

var fieldsKey = hauberk.NewKey[*fields]("log_fields")

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

func (x *Interceptor) appendFields(list []slog.Attr, call *hauberk.Call) []slog.Attr {
	f, ok := fieldsKey.Get(call)
	if !ok {
		return list
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list = append(list, f.attrs...)
	if f.dropped > 0 {
		list = with(list, x.names.FieldsDropped, slog.Int64Value(f.dropped))
	}
	return list
}
