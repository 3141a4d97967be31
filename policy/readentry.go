package policy

import (
	"reflect"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/nearest"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// maxID is the length of the longest id, in bytes.
const maxID = 128

// entry is an entry while the file is read.
type entry struct {
	Entry

	value    yamlfile.Value
	row      *catalog.Row
	form     reflect.Value
	decoder  *shape.Decoder
	build    *catalog.Build
	ok       bool // the form was read
	content  string
	instance *instance
	writes   []string // files that the interceptor writes
}

// Keys that all entries have.
const (
	keyUse     = "use"
	keyID      = "id"
	keyMethods = "methods"
	keyExcept  = "except"
	keyMode    = "mode"
)

// readEntries reads the list server or client.
func (r *reader) readEntries(v yamlfile.Value, side hauberk.Side) {
	if v.Kind() != yamlfile.Sequence {
		v.Errorf("%s is %s; want a list of interceptors, each with the key use", side, v.Describe())
		return
	}
	items := v.Items()
	if len(items) > MaxEntries {
		v.Errorf("%s has %d entries; want at most %d", side, len(items), MaxEntries)
		return
	}
	for _, item := range items {
		r.readEntry(item, side)
	}
}

func (r *reader) readEntry(v yamlfile.Value, side hauberk.Side) {
	if v.Kind() != yamlfile.Mapping {
		v.Errorf("an entry of %s is %s; want keys and values, with the key use", side, v.Describe())
		return
	}
	e := &entry{value: v, decoder: r.newDecoder()}
	e.Side = side
	e.Line, e.Column = v.Place()
	if e.row = r.row(v, side); e.row == nil {
		return
	}
	e.Use = e.row.Use
	e.form = e.row.New()
	listed := reflect.New(reflect.TypeFor[[]string]()).Elem()
	list := func(key string, to *[]string) func(yamlfile.Value) {
		return func(v yamlfile.Value) {
			if e.decoder.Patterned(v, key, listed) && listed.Len() == 0 {
				v.Errorf("%s is an empty list; want at least one pattern, such as shop.v1.Cart/*", key)
			}
			*to, _ = reflect.TypeAssert[[]string](listed)
		}
	}
	e.ok = e.decoder.Struct(v, e.Use, e.row.Shape, e.form.Elem(), map[string]func(yamlfile.Value){
		keyUse:     func(yamlfile.Value) {},
		keyID:      func(v yamlfile.Value) { r.readID(v, e) },
		keyMode:    func(v yamlfile.Value) { readMode(v, &e.Mode) },
		keyMethods: list(keyMethods, &e.Methods),
		keyExcept:  list(keyExcept, &e.Except),
	})
	if e.row.TakesMethods() {
		e.form.Elem().FieldByName("Methods").Set(reflect.ValueOf(e.Methods))
	}
	e.Hash = e.contentHash()
	e.Settings = settingsOf(e)
	r.entries = append(r.entries, e)
}

// noUse reports an entry that has no use, such as one whose key is the name of an interceptor.
func noUse(v yamlfile.Value, side hauberk.Side, names []string) {
	for _, name := range names {
		if _, is := v.Get(name); is {
			v.Errorf("an entry of %s has the key %s, and no use; want \"use: %[2]s\", "+
				"and its settings as keys next to it", side, name)
			return
		}
	}
	v.Errorf("an entry of %s has no use; want the name of an interceptor: %s", side, strings.Join(names, ", "))
}

// row returns the row that use names, or nil after an error.
func (r *reader) row(v yamlfile.Value, side hauberk.Side) *catalog.Row {
	use, ok := v.Get(keyUse)
	names := r.catalog.Names(side)
	if !ok {
		noUse(v, side, names)
		return nil
	}
	if use.Type() != "str" {
		use.Errorf("use is %s; want the name of an interceptor: %s", use.Describe(), strings.Join(names, ", "))
		return nil
	}
	row, other := r.catalog.Row(use.Raw(), side)
	like := nearest.Of(use.Raw(), names)
	switch {
	case row != nil:
	case other:
		use.Errorf("%s does not work on a %s; want it in the other list", use.Raw(), side)
	case like != "":
		use.Errorf("use is %s, which does not exist; did you mean %q?", use.Describe(), like)
	default:
		use.Errorf("use is %s, which does not exist; want one of %s", use.Describe(), strings.Join(names, ", "))
	}
	return row
}

func (r *reader) readID(v yamlfile.Value, e *entry) {
	line, _ := v.Place()
	switch {
	case v.Type() != "str" || v.Raw() == "" || len(v.Raw()) > maxID || strings.ContainsFunc(v.Raw(), notInID):
		v.Errorf("id is %s; want 1 to %d letters, digits, \"-\", \"_\" and \".\", such as per-user",
			v.Describe(), maxID)
	case r.ids[v.Raw()] > 0:
		v.Errorf("id is %q, as that of the entry in line %d; want an id once", v.Raw(), r.ids[v.Raw()])
	default:
		e.ID = v.Raw()
		r.ids[e.ID] = line
	}
}

func notInID(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
}

func readMode(v yamlfile.Value, to *Mode) {
	for _, mode := range []Mode{Enforce, Shadow, Off} {
		if v.Raw() == mode.String() {
			*to = mode
			return
		}
	}
	v.Errorf("mode is %s; want one of enforce, shadow, off", v.Describe())
}
