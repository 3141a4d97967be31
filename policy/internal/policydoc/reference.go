package policydoc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// Reference returns the list of all interceptors and keys in Markdown, with an introduction before it.
func (s *Source) Reference(intro string) (string, error) {
	r := &reference{Source: s, seen: make(map[string]bool)}
	r.b.WriteString(intro)
	r.b.WriteString("\n## The file\n\n")
	r.table(s.File, [][2]string{
		{"server", "The chain for incoming calls: a list of entries, outermost first."},
		{"client", "The chain for outgoing calls: a list of entries, outermost first."},
	}, nil)
	r.b.WriteString("\n## Entries\n\nThese keys are the same for all interceptors:\n\n| key | meaning |\n|---|---|\n")
	for _, pair := range EntryKeys() {
		fmt.Fprintf(&r.b, "| `%s` | %s |\n", pair[0], pair[1])
	}
	r.b.WriteString("\n## Interceptors\n")
	rows := slices.Clone(s.Catalog.Rows)
	slices.SortStableFunc(rows, func(a, b *catalog.Row) int { return cmp.Compare(a.Use, b.Use) })
	for _, row := range rows {
		r.row(row)
	}
	r.b.WriteString("\n## Types\n")
	for len(r.types) > 0 {
		next := r.types
		r.types = nil
		slices.SortFunc(next, func(a, b *shape.Shape) int { return cmp.Compare(TypeName(a), TypeName(b)) })
		for _, sh := range next {
			r.section(sh)
		}
	}
	return r.b.String(), r.err
}

// reference writes the list.
type reference struct {
	*Source

	b     strings.Builder
	types []*shape.Shape // to be written
	seen  map[string]bool
}

func (r *reference) row(row *catalog.Row) {
	sides := map[hauberk.Sides]string{
		hauberk.BothSides: "servers and clients", hauberk.OnlyServers: "servers", hauberk.OnlyClients: "clients",
	}[row.Sides]
	title := row.Use
	if row.Sides == hauberk.OnlyClients && row.Use == "authn" {
		title += " (client)"
	}
	fmt.Fprintf(&r.b, "\n### %s\n\n%s For %s.\n\n", title, row.Doc, sides)
	r.table(row.Shape, nil, row)
}

// table writes the keys of a struct. of is the interceptor whose settings they are, or nil.
func (r *reference) table(sh *shape.Shape, more [][2]string, of *catalog.Row) {
	if len(sh.Fields)+len(more) == 0 {
		r.b.WriteString("It has no other keys.\n")
		return
	}
	r.b.WriteString("| key | value | meaning |\n|---|---|---|\n")
	for _, f := range sh.Fields {
		doc, err := r.Comments.Field(f, sh)
		if err != nil {
			r.err = err
		}
		if f.Key == "methods" && of != nil && of.TakesMethods() {
			doc = takenMethods
		}
		key := "`" + strings.Join(append([]string{f.Key}, f.Also...), "` or `") + "`"
		if f.Required && !strings.Contains(strings.ToLower(doc), "required") {
			doc = "Required. " + doc
		}
		value := r.value(f.Shape)
		if f.Secret {
			value = "reference"
		} else if f.Path {
			value = "name of a file"
		}
		fmt.Fprintf(&r.b, "| %s | %s | %s |\n", key, value, strings.ReplaceAll(doc, "|", "\\|"))
	}
	for _, pair := range more {
		fmt.Fprintf(&r.b, "| `%s` | list | %s |\n", pair[0], pair[1])
	}
}

// value describes how a shape is written.
func (r *reference) value(sh *shape.Shape) string {
	switch sh.Kind {
	case shape.Bool:
		return "true or false"
	case shape.Int, shape.Float:
		return "number"
	case shape.Text:
		return "text"
	case shape.Duration:
		return "time"
	case shape.Rate:
		return "number/time"
	case shape.List:
		return "list of " + r.value(sh.Elem)
	case shape.Map:
		return "map of " + r.value(sh.Elem)
	case shape.Struct:
		return r.anchor(sh)
	case shape.Words:
		if len(sh.Special.Words) > 8 {
			return "status code"
		}
		return "`" + strings.Join(words(sh.Special), "`, `") + "`"
	default:
		return r.special(sh)
	}
}

func (r *reference) special(sh *shape.Shape) string {
	x := sh.Special
	switch {
	case x.Example != "":
		return "text such as `" + x.Example + "`"
	case x.Form.Kind == shape.Text:
		return x.What
	case len(x.Words) > 0:
		return "`" + strings.Join(words(x), "`, `") + "`, or " + r.anchor(x.Form)
	default:
		return r.value(x.Form)
	}
}

// anchor returns the name of a struct, as a reference to its section.
func (r *reference) anchor(sh *shape.Shape) string {
	name := TypeName(sh)
	if !r.seen[name] {
		r.seen[name] = true
		r.types = append(r.types, sh)
	}
	id := strings.ToLower(strings.ReplaceAll(name, ".", ""))
	return "[" + name + "](#" + id + ")"
}

func (r *reference) section(sh *shape.Shape) {
	doc, err := r.Comments.Type(sh.Type, sh)
	if err != nil {
		r.err = err
	}
	fmt.Fprintf(&r.b, "\n### %s\n\n", TypeName(sh))
	if doc != "" {
		r.b.WriteString(doc + "\n\n")
	}
	r.table(sh, nil, nil)
}
