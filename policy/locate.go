package policy

import (
	"regexp"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

//nolint:gochecknoglobals // never written
var (
	// goPath is the path of a setting at the beginning of an error: "Also[0].Cost.Methods".
	goPath = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(\[[^\[\]]*\])?(\.[A-Z][A-Za-z0-9]*(\[[^\[\]]*\])?)*`)
	// goPackage is the package in front of an error.
	goPackage = regexp.MustCompile(`^(hauberk|[a-z0-9]+)(\.New)?: `)
	// goName is a name in Go.
	goName = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*\b`)
	// quoted is a quoted text.
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	// lastStep is the last part of a path.
	lastStep = regexp.MustCompile(`(\.[^.\[]*|\[[^\[\]]*\]|^[^.\[]+)$`)
)

// report reports an error of the construction of an entry at the places of its settings.
func (e *entry) report(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		v, text := e.locate(line)
		if e.decoder.Reveals(text) {
			text = "a value that a reference such as ${env:NAME} stands for is not valid; the value is not shown"
		}
		v.Errorf("%s", text)
	}
}

// locate returns the value that an error is about, and the error in the words of the file.
func (e *entry) locate(line string) (yamlfile.Value, string) {
	for {
		short := strings.TrimPrefix(goPackage.ReplaceAllString(line, ""), "Config.")
		if short == line {
			break
		}
		line = short
	}
	path := goPath.FindString(line)
	rest := line[len(path):]
	for from, to := range e.build.Renames {
		if strings.HasPrefix(path, from) {
			path = to + path[len(from):]
			name := ` "` + strings.ToLower(to) + `"`
			rest = strings.TrimPrefix(rest, name)
			if field := goPath.FindString(strings.TrimPrefix(rest, ": ")); field != "" && strings.HasPrefix(rest, ": ") {
				path, rest = path+"."+field, rest[len(": ")+len(field):]
			}
			break
		}
	}
	names := make(map[string]string)
	e.names(e.row.Shape, names, make(map[*shape.Shape]bool))
	return e.place(path), inFile(path, names) + inFile(rest, names)
}

// place returns the value of a path in Go, or of what is around it, or the entry.
func (e *entry) place(path string) yamlfile.Value {
	for path != "" {
		if v, ok := e.decoder.Places[path]; ok {
			return v
		}
		found, depth := yamlfile.Value{}, 0
		for known, v := range e.decoder.Places {
			if strings.HasSuffix(known, "."+path) && (depth == 0 || len(known) < depth) {
				found, depth = v, len(known)
			}
		}
		if depth > 0 {
			return found
		}
		path = lastStep.ReplaceAllString(path, "")
	}
	return e.value
}

// names collects the names in Go of the settings of a shape, with their keys, and of constants, with their words.
func (e *entry) names(s *shape.Shape, names map[string]string, seen map[*shape.Shape]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	for _, f := range s.Fields {
		names[f.Name] = f.Key
		if f.Per != nil {
			names["Per"] = "its period"
		}
		e.names(f.Shape, names, seen)
	}
	if s.Special != nil {
		for _, w := range s.Special.Words {
			if w.Go != "" {
				names[w.Go] = w.Text
			}
		}
		e.names(s.Special.Form, names, seen)
	}
	e.names(s.Elem, names, seen)
	e.names(s.Keys, names, seen)
}

// inFile replaces names in Go by those of the file, except in quoted texts.
func inFile(text string, names map[string]string) string {
	replace := func(part string) string {
		return goName.ReplaceAllStringFunc(part, func(name string) string {
			if key := names[name]; key != "" {
				return key
			}
			return name
		})
	}
	var b strings.Builder
	at := 0
	for _, span := range quoted.FindAllStringIndex(text, -1) {
		b.WriteString(replace(text[at:span[0]]) + text[span[0]:span[1]])
		at = span[1]
	}
	b.WriteString(replace(text[at:]))
	return b.String()
}

// setting reports an error about a key outside of entries.
func (r *reader) setting(root yamlfile.Value, text string) {
	text = strings.TrimPrefix(text, "Config.")
	names := make(map[string]string)
	v := root
	for _, f := range fileShape(r.catalog).Fields {
		names[f.Name] = f.Key
	}
	if path := goPath.FindString(text); path != "" {
		for path != "" {
			if at, ok := r.decoder.Places[path]; ok {
				v = at
				break
			}
			path = lastStep.ReplaceAllString(path, "")
		}
	}
	v.Errorf("%s", inFile(text, names))
}
