package policy

import (
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// hiddenText is in place of values that are not shown.
const hiddenText = "(hidden)"

// settingsOf returns the keys of an entry with their values as they are written.
func settingsOf(e *entry) []Setting {
	var l lister
	for key, value := range e.value.Pairs() {
		switch key.Raw() {
		case keyUse, keyID, keyMethods, keyExcept, keyMode:
		default:
			if f := e.row.Shape.Field(key.Raw()); f != nil {
				l.list(f.Key, value, f.Shape, f.Hidden)
			}
		}
	}
	return l.settings
}

// sectionSettings returns the keys of a section outside of entries.
func sectionSettings(v yamlfile.Value, of *shape.Shape) []Setting {
	var l lister
	for key, value := range v.Pairs() {
		if f := of.Field(key.Raw()); f != nil {
			l.list(f.Key, value, f.Shape, f.Hidden)
		}
	}
	return l.settings
}

// lister collects settings.
type lister struct{ settings []Setting }

func (l *lister) add(key string, v yamlfile.Value, text string) {
	line, _ := v.Place()
	l.settings = append(l.settings, Setting{key, text, line})
}

func (l *lister) list(key string, v yamlfile.Value, s *shape.Shape, hidden bool) {
	if s != nil && s.Special != nil {
		s = s.Special.Form
	}
	switch v.Kind() {
	case yamlfile.Mapping:
		for k, value := range v.Pairs() {
			inner, hide := under(s, k.Raw(), hidden)
			l.list(key+"."+k.Raw(), value, inner, hide)
		}
	case yamlfile.Sequence:
		if texts, ok := scalars(v, hidden); ok {
			l.add(key, v, "["+strings.Join(texts, ", ")+"]")
			return
		}
		for i, item := range v.Items() {
			l.list(fmt.Sprintf("%s[%d]", key, i), item, elem(s), hidden)
		}
	default:
		l.add(key, v, shown(v, hidden))
	}
}

// under returns the shape of the value of a key, or nil, and whether it is hidden.
func under(s *shape.Shape, key string, hidden bool) (*shape.Shape, bool) {
	if of := structOf(s); of != nil {
		if f := of.Field(key); f != nil {
			return f.Shape, hidden || f.Hidden
		}
	}
	if s != nil && s.Kind == shape.List { // its one element
		s = s.Elem
	}
	return elem(s), hidden
}

// elem returns the shape of elements, or nil.
func elem(s *shape.Shape) *shape.Shape {
	if s == nil {
		return nil
	}
	return s.Elem
}

// structOf returns the struct that a map is read as: of a list of structs, its one element.
func structOf(s *shape.Shape) *shape.Shape {
	if s != nil && s.Kind == shape.List {
		s = s.Elem
	}
	if s != nil && s.Kind == shape.Struct {
		return s
	}
	return nil
}

// scalars returns the texts of a list that has nothing else.
func scalars(v yamlfile.Value, hidden bool) (texts []string, ok bool) {
	for _, item := range v.Items() {
		if item.Kind() != yamlfile.Scalar {
			return nil, false
		}
		texts = append(texts, shown(item, hidden))
	}
	return texts, true
}

// shown returns a scalar as it is written. A reference is shown, and what is around it is not.
func shown(v yamlfile.Value, hidden bool) string {
	if hidden && !shape.OnlyReference(v.Raw()) {
		return hiddenText
	}
	return v.Raw()
}
