package shape

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/nearest"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// Decoder reads values of a file. Its fields other than Types, Env and Dir grow as it reads. It is for one
// goroutine.
type Decoder struct {
	Types *Types
	// Env returns the value of an environment variable.
	Env func(name string) (string, bool)
	// Dir is the folder that names of files are relative to.
	Dir string

	// Secrets are the values of references.
	Secrets []string
	// Files are the files that references and settings name.
	Files []string
	// Places are the values by their path in Go, such as "Also[0].Limit".
	Places map[string]yamlfile.Value
	// Named are the values with the names of files, by the path of the file.
	Named map[string]yamlfile.Value
	// Patterns are patterns of methods.
	Patterns []Pattern

	at     string // the path in Go of what is read
	hidden bool
	secret bool
	isPath bool
}

// Pattern is a pattern of methods in a file.
type Pattern struct {
	Text string
	Key  string // that has it
	At   yamlfile.Value
}

// Regular expressions of texts, for JSON Schema as well.
const (
	durationPart    = `(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+`
	DurationPattern = `^(0|-?` + durationPart + `)$`
	RatePattern     = `^\d+/` + durationPart + `$`
)

var (
	duration = regexp.MustCompile(DurationPattern)
	rate     = regexp.MustCompile(RatePattern)
)

// Struct reads a map into a struct. what is the name of the map in errors. keys are read by the caller in
// place of fields of the same name.
func (d *Decoder) Struct(
	v yamlfile.Value, what string, s *Shape, into reflect.Value, keys map[string]func(yamlfile.Value),
) bool {
	if v.Kind() != yamlfile.Mapping {
		v.Errorf("%s is %s; want keys and values", what, v.Describe())
		return false
	}
	ok := true
	seen := make(map[string]string)
	for key, value := range v.Pairs() {
		field, id := s.Field(key.Raw()), key.Raw()
		if field != nil {
			id = field.Key
		}
		if v.Full() {
			return false
		}
		read := keys[id]
		switch {
		case key.Kind() != yamlfile.Scalar || read == nil && field == nil:
			d.unknown(key, what, s, keys)
			ok = false
		case seen[id] != "" && seen[id] != key.Raw():
			key.Errorf("%s has %s and %s, which are the same key", what, seen[id], key.Raw())
			ok = false
		case seen[id] != "":
			key.Errorf("%s has the key %q twice", what, id)
			ok = false
		case read != nil:
			read(value)
		default:
			ok = d.field(value, field, into) && ok
		}
		seen[id] = key.Raw()
	}
	return d.required(v, what, s, seen) && ok
}

// required reports the missing keys that must be there.
func (d *Decoder) required(v yamlfile.Value, what string, s *Shape, seen map[string]string) bool {
	ok := true
	for _, f := range s.Fields {
		if f.Required && seen[f.Key] == "" {
			hint := ""
			if f.Per != nil {
				hint = "; want a number and a time, such as 100/1m"
			}
			v.Errorf("%s has no %s%s", what, f.Key, hint)
			ok = false
		}
	}
	return ok
}

// unknown reports a key that does not exist.
func (d *Decoder) unknown(key yamlfile.Value, what string, s *Shape, keys map[string]func(yamlfile.Value)) {
	names := s.KeyNames()
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if key.Kind() != yamlfile.Scalar {
		key.Errorf("%s has %s as a key; want a text", what, key.Describe())
		return
	}
	if like := nearest.Of(key.Raw(), names); like != "" {
		key.Errorf("%s has the unknown key %.100q; did you mean %q?", what, key.Raw(), like)
		return
	}
	key.Errorf("%s has the unknown key %.100q; want one of %s", what, key.Raw(), strings.Join(names, ", "))
}

// field reads a field of a struct.
func (d *Decoder) field(v yamlfile.Value, f *Field, into reflect.Value) bool {
	was := *d
	defer func() { d.at, d.hidden, d.secret, d.isPath = was.at, was.hidden, was.secret, was.isPath }()
	if d.at != "" {
		d.at += "."
	}
	d.at += f.Name
	d.Places[d.at] = v
	if f.Per != nil {
		d.Places[strings.TrimSuffix(d.at, f.Name)+"Per"] = v
	}
	d.hidden, d.secret, d.isPath = d.hidden || f.Hidden, f.Secret, f.Path
	if d.hidden {
		v = v.Hidden()
	}
	if f.Pattern {
		d.patterns(v, f.Key, f.Shape.Kind == Map)
	}
	if f.Per != nil {
		return d.rate(v, f, into)
	}
	return d.Value(v, f.Key, f.Shape, into.FieldByIndex(f.Index))
}

// patterns keeps the patterns in a text, a list or, for a map, its keys.
func (d *Decoder) patterns(v yamlfile.Value, key string, keys bool) {
	add := func(v yamlfile.Value) {
		if v.Type() == "str" {
			d.Patterns = append(d.Patterns, Pattern{v.Raw(), key, v})
		}
	}
	add(v)
	for _, item := range v.Items() {
		add(item)
	}
	for key := range v.Pairs() {
		if keys {
			add(key)
		}
	}
}

// Value reads a value. what is its key, for errors.
func (d *Decoder) Value(v yamlfile.Value, what string, s *Shape, into reflect.Value) bool {
	if into.Kind() == reflect.Pointer {
		p := reflect.New(into.Type().Elem())
		ok := d.Value(v, what, s, p.Elem())
		into.Set(p)
		return ok
	}
	switch s.Kind {
	case Bool:
		return d.bool(v, what, into)
	case Int:
		return d.int(v, what, into)
	case Float:
		return d.float(v, what, into)
	case Text:
		text, ok := d.text(v, what, d.isPath)
		into.SetString(text)
		return ok
	case Duration:
		return d.duration(v, what, into)
	case List:
		return d.list(v, what, s, into)
	case Map:
		return d.mapOf(v, what, s, into)
	case Struct:
		return d.Struct(v, what, s, into, nil)
	default:
		return d.special(v, what, s, into)
	}
}

func (d *Decoder) bool(v yamlfile.Value, what string, into reflect.Value) bool {
	if v.Type() != "bool" {
		v.Errorf("%s is %s; want true or false", what, v.Describe())
		return false
	}
	into.SetBool(strings.EqualFold(v.Raw(), "true"))
	return true
}

func (d *Decoder) int(v yamlfile.Value, what string, into reflect.Value) bool {
	text := v.Raw()
	if v.Type() != "int" || len(text) > 1 && strings.HasPrefix(strings.TrimLeft(text, "+-"), "0") {
		hint := "want a whole number, such as 10"
		if v.Type() == "str" && duration.MatchString(text) {
			hint = "want a whole number, without a unit"
		}
		v.Errorf("%s is %s; %s", what, v.Describe(), hint)
		return false
	}
	if into.CanUint() {
		n, err := strconv.ParseUint(text, 10, into.Type().Bits())
		if err != nil {
			v.Errorf("%s is %s; want a whole number from 0 to %d", what, v.Describe(),
				uint64(math.MaxUint64)>>(64-into.Type().Bits()))
			return false
		}
		into.SetUint(n)
		return true
	}
	n, err := strconv.ParseInt(text, 10, into.Type().Bits())
	if err != nil {
		v.Errorf("%s is %s; want a whole number of at most %d bits", what, v.Describe(), into.Type().Bits())
		return false
	}
	into.SetInt(n)
	return true
}

func (d *Decoder) float(v yamlfile.Value, what string, into reflect.Value) bool {
	x, err := strconv.ParseFloat(v.Raw(), 64)
	if t := v.Type(); t != "int" && t != "float" || err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		v.Errorf("%s is %s; want a number, such as 0.5", what, v.Describe())
		return false
	}
	into.SetFloat(x)
	return true
}

// text reads a text, and replaces its references.
func (d *Decoder) text(v yamlfile.Value, what string, path bool) (string, bool) {
	switch t := v.Type(); {
	case v.Kind() != yamlfile.Scalar || t == "null":
		v.Errorf("%s is %s; want a text", what, v.Describe())
		return "", false
	case t != "str" && t != "timestamp":
		v.Errorf("%s is %s; want a text: write %q in quotes", what, v.Describe(), v.Raw())
		return "", false
	case d.secret && !IsReference(v.Raw()):
		v.Errorf("%s is a secret; want it outside of the file: ${env:NAME} or ${file:PATH}", what)
		return "", false
	}
	if !strings.Contains(v.Raw(), "${") {
		if path {
			return d.named(v, v.Raw()), true
		}
		return v.Raw(), true
	}
	text, err := d.resolve(v.Raw())
	if err != nil {
		v.Errorf("%s: %v", what, err)
		return "", false
	}
	if path {
		text = d.named(v, text)
	}
	return text, true
}

// named returns the path of a file that a setting names.
func (d *Decoder) named(v yamlfile.Value, name string) string {
	path := d.path(name)
	if path != "" {
		d.Files = append(d.Files, path)
		d.Named[path] = v
	}
	return path
}

func (d *Decoder) duration(v yamlfile.Value, what string, into reflect.Value) bool {
	text := v.Raw()
	value, err := time.ParseDuration(text)
	if v.Type() == "int" && text != "0" || v.Type() == "float" {
		v.Errorf("%s is %s, without a unit; want a time such as 30s or 500ms", what, v.Describe())
		return false
	}
	if v.Kind() != yamlfile.Scalar || !duration.MatchString(text) || err != nil {
		v.Errorf("%s is %s; want a time such as 30s, 500ms or 1h30m", what, v.Describe())
		return false
	}
	into.SetInt(int64(value))
	return true
}

// rate reads "100/1m" into two fields.
func (d *Decoder) rate(v yamlfile.Value, f *Field, into reflect.Value) bool {
	number, per, _ := strings.Cut(v.Raw(), "/")
	n, err := strconv.Atoi(number)
	period, bad := time.ParseDuration(per)
	if !rate.MatchString(v.Raw()) || err != nil || bad != nil {
		v.Errorf("%s is %s; want a number and a time, such as 100/1m", f.Key, v.Describe())
		return false
	}
	into.FieldByIndex(f.Index).SetInt(int64(n))
	into.FieldByIndex(f.Per).SetInt(int64(period))
	return true
}

// list reads a list, or its one element.
func (d *Decoder) list(v yamlfile.Value, what string, s *Shape, into reflect.Value) bool {
	items := v.Items()
	if v.Kind() != yamlfile.Sequence {
		items = []yamlfile.Value{v}
		if v.Kind() == yamlfile.Scalar && (v.Type() == "null" || s.Elem.Kind == Struct) ||
			v.Kind() == yamlfile.Mapping && s.Elem.Kind != Struct && s.Elem.Kind != Other {
			v.Errorf("%s is %s; want a list", what, v.Describe())
			return false
		}
	}
	ok := true
	list := reflect.MakeSlice(into.Type(), len(items), len(items))
	was := d.at
	for i, item := range items {
		if v.Full() {
			return false
		}
		d.at = fmt.Sprintf("%s[%d]", was, i)
		d.Places[d.at] = item
		if d.hidden {
			item = item.Hidden()
		}
		ok = d.Value(item, what, s.Elem, list.Index(i)) && ok
	}
	d.at = was
	into.Set(list)
	return ok
}

func (d *Decoder) mapOf(v yamlfile.Value, what string, s *Shape, into reflect.Value) bool {
	if v.Kind() != yamlfile.Mapping {
		v.Errorf("%s is %s; want keys and values", what, v.Describe())
		return false
	}
	ok := true
	all := reflect.MakeMap(into.Type())
	was := d.at
	secret := d.secret
	for key, value := range v.Pairs() {
		if v.Full() {
			return false
		}
		d.at, d.secret = fmt.Sprintf("%s[%q]", was, key.Raw()), false
		k, e := reflect.New(into.Type().Key()).Elem(), reflect.New(into.Type().Elem()).Elem()
		good := d.Value(key, what, s.Keys, k)
		d.Places[d.at], d.secret = value, secret
		if good && all.MapIndex(k).IsValid() {
			key.Errorf("%s has the key %q twice", what, key.Raw())
			good = false
		}
		if d.hidden {
			value = value.Hidden()
		}
		ok = d.Value(value, what+"."+key.Raw(), s.Elem, e) && good && ok
		all.SetMapIndex(k, e)
	}
	d.at = was
	into.Set(all)
	return ok
}

// Patterned reads a list of patterns of methods that is no field.
func (d *Decoder) Patterned(v yamlfile.Value, key string, into reflect.Value) bool {
	d.patterns(v, key, false)
	return d.Value(v, key, d.Types.Of(into.Type()), into)
}
