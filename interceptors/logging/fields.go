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
//   - An attribute replaces an earlier one with the same key, and that of an option [State].
//     One of an option [WithAttrs] replaces it.
//   - Beyond [MaxFields] attributes are dropped, and the record has their number.
//   - If ctx belongs to no call, or no interceptor logs the call, AddFields does nothing.
//   - An attribute with the name of one of the record's own attributes ([Names]) is dropped,
//     and counted too.
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

// appendFields appends the fields, in place of attributes of the same names from place from.
func (x *Interceptor) appendFields(list []slog.Attr, from int, call *hauberk.Call) []slog.Attr {
	f, ok := fieldsKey.Get(call)
	if !ok {
		return list
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	dropped := f.dropped
	for _, a := range f.attrs {
		if x.reserved[a.Key] {
			dropped++
			continue
		}
		list = put(list, from, a)
	}
	if dropped > 0 {
		list = with(list, x.names.FieldsDropped, slog.Int64Value(dropped))
	}
	return list
}

// put appends an attribute, or replaces one of its name from place from.
func put(list []slog.Attr, from int, a slog.Attr) []slog.Attr {
	for i := from; i < len(list) && a.Key != ""; i++ {
		if list[i].Key == a.Key {
			list[i] = a
			return list
		}
	}
	return append(list, a)
}
