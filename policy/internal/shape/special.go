package shape

import (
	"reflect"
	"regexp"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/nearest"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// special reads a value of a type that has words or another form.
func (d *Decoder) special(v yamlfile.Value, what string, s *Shape, into reflect.Value) bool {
	x := s.Special
	if x.Combine != nil && v.Kind() == yamlfile.Sequence {
		return d.combine(v, what, s, into)
	}
	if v.Kind() == yamlfile.Scalar && len(x.Words) > 0 && (x.Form == nil || x.Form.Kind != Text) {
		return x.word(v, what, into)
	}
	if x.Form == nil {
		v.Errorf("%s is %s; want one of %s", what, v.Describe(), x.words())
		return false
	}
	for _, w := range x.Words {
		if v.Raw() == w.Text && v.Type() == "str" {
			into.Set(w.Value)
			return true
		}
	}
	return d.form(v, what, x, into)
}

// form reads the other form of a special type.
func (d *Decoder) form(v yamlfile.Value, what string, x *Special, into reflect.Value) bool {
	form := reflect.New(x.Form.Type).Elem()
	if !d.Value(v, what, x.Form, form) {
		return false
	}
	if x.Match != "" && !regexp.MustCompile(x.Match).MatchString(form.String()) {
		v.Errorf("%s is %s; want %s such as %s", what, v.Describe(), x.What, x.Example)
		return false
	}
	value, err := x.Make(form)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			v.Errorf("%s: %s", what, line)
		}
		return false
	}
	into.Set(value)
	return true
}

// word reads a word.
func (x *Special) word(v yamlfile.Value, what string, into reflect.Value) bool {
	for _, w := range x.Words {
		if v.Raw() == w.Text && v.Type() == "str" {
			into.Set(w.Value)
			return true
		}
	}
	hint := "want one of " + x.words()
	if x.Form != nil {
		hint += ", or keys and values"
	}
	var names []string
	for _, w := range x.Words {
		names = append(names, w.Text)
	}
	for _, name := range []string{v.Raw(), strings.ToLower(v.Raw()), strings.ToUpper(v.Raw())} {
		if like := nearest.Of(name, names); like != "" {
			hint = "did you mean \"" + like + "\"?"
			break
		}
	}
	v.Errorf("%s is %s; %s", what, v.Describe(), hint)
	return false
}

// words returns the words as a text.
func (x *Special) words() string {
	names := make([]string, len(x.Words))
	for i, w := range x.Words {
		names[i] = w.Text
	}
	return strings.Join(names, ", ")
}

// combine reads a list of values that are combined into one.
func (d *Decoder) combine(v yamlfile.Value, what string, s *Shape, into reflect.Value) bool {
	items := v.Items()
	if len(items) == 0 {
		v.Errorf("%s is an empty list; want at least one value", what)
		return false
	}
	values := make([]reflect.Value, len(items))
	ok := true
	for i, item := range items {
		if item.Kind() == yamlfile.Sequence {
			item.Errorf("%s has a list in a list", what)
			ok = false
			continue
		}
		values[i] = reflect.New(s.Type).Elem()
		ok = d.special(item, what, s, values[i]) && ok
	}
	if ok {
		into.Set(s.Special.Combine(values))
	}
	return ok
}
