package policy

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

var (
	// goPath is the path of a setting at the beginning of an error: "Also[0].Cost.Methods".
	goPath = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(\[[^\[\]]*\])?(\.[A-Z][A-Za-z0-9]*(\[[^\[\]]*\])?)*`)
	// goPackage is the package in front of an error.
	goPackage = regexp.MustCompile(`^(hauberk|[a-z0-9]+)(\.New)?: `)
	// goConfig is the type in front of a setting.
	goConfig = regexp.MustCompile(`^[A-Z]?[A-Za-z]*Config\.`)
	// goSeconds is a duration in Go.
	goSeconds = regexp.MustCompile(`\b(\d+)\*time\.Second\b`)
	// inList is a rule of authz, and nameOfRule its name after its place.
	inList     = regexp.MustCompile(`\b(Allow|Deny)\[\d+\]`)
	nameOfRule = regexp.MustCompile(`^ "(?:[^"\\]|\\.)*"`)
	// goName is a name in Go.
	goName = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*\b`)
	// lastStep is the last part of a path.
	lastStep = regexp.MustCompile(`(\.[^.\[]*|\[[^\[\]]*\]|^[^.\[]+)$`)
)

// report reports an error of the construction of an entry at the places of its settings.
func (e *entry) report(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		v, text := e.locate(line)
		v.Errorf("%s", text)
	}
}

// locate returns the value that an error is about, and the error in the words of the file.
func (e *entry) locate(line string) (yamlfile.Value, string) {
	path, rest := e.path(bare(line))
	names := make(map[string]string)
	addNames(e.row.Shape, names, make(map[*shape.Shape]bool))
	v := e.place(path)
	if v == e.value {
		v = e.file(rest)
	}
	return v, inFile(path, names) + inFile(rest, names)
}

// bare returns an error without the packages and the types in front of it.
func bare(line string) string {
	for {
		short := goConfig.ReplaceAllString(goPackage.ReplaceAllString(line, ""), "")
		if short == line {
			return line
		}
		line = short
	}
}

// path splits an error into the path of its setting in the form and the rest.
func (e *entry) path(line string) (path, rest string) {
	path = goPath.FindString(line)
	rest = line[len(path):]
	from := ""
	for known := range e.build.Renames {
		if strings.HasPrefix(path, known) && len(known) > len(from) {
			from = known
		}
	}
	if from == "" {
		return path, rest
	}
	path = e.build.Renames[from] + path[len(from):]
	rest = inList.ReplaceAllStringFunc(rest, func(match string) string {
		if to := e.build.Renames["Policy."+match]; to != "" {
			return to
		}
		return match
	})
	rest = nameOfRule.ReplaceAllString(rest, "")
	if tail, ok := strings.CutPrefix(rest, ": "); ok {
		if field := goPath.FindString(tail); field != "" {
			return path + "." + field, tail[len(field):]
		}
	}
	return path, rest
}

// file returns the value with the name of the file that an error is about, or the entry.
func (e *entry) file(text string) yamlfile.Value {
	found, longest := e.value, 0
	for path, v := range e.decoder.Named {
		if len(path) > longest && (strings.Contains(text, path) || strings.Contains(text, filepath.Dir(path)+": ")) {
			found, longest = v, len(path)
		}
	}
	return found
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

// addNames adds the names in Go of the settings of a shape, with their keys, and of constants, with their words.
func addNames(s *shape.Shape, names map[string]string, seen map[*shape.Shape]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	for _, f := range s.Fields {
		names[f.Name] = f.Key
		if f.Per != nil {
			names["Per"] = "the period of limit"
		}
		addNames(f.Shape, names, seen)
	}
	if s.Special != nil {
		for _, w := range s.Special.Words {
			if w.Go != "" {
				names[w.Go] = w.Text
			}
		}
		addNames(s.Special.Form, names, seen)
	}
	addNames(s.Elem, names, seen)
	addNames(s.Keys, names, seen)
}

// inFile replaces names in Go by those of the file, except in quoted texts.
func inFile(text string, names map[string]string) string {
	return shape.Unquoted(text, func(part string) string {
		part = goSeconds.ReplaceAllString(strings.ReplaceAll(part, "Config.", ""), "${1}s")
		return goName.ReplaceAllStringFunc(part, func(name string) string {
			if key := names[name]; key != "" {
				return key
			}
			return name
		})
	})
}

// setting reports an error about a key outside of entries.
func (r *reader) setting(root yamlfile.Value, text string) {
	text = bare(text)
	if r.said[text] {
		return
	}
	r.said[text] = true
	names := make(map[string]string)
	for _, f := range fileShape(r.catalog).Fields {
		names[f.Name] = f.Key
		if f.Name == "Drain" {
			addNames(f.Shape, names, make(map[*shape.Shape]bool))
		}
	}
	v := root
	for path := goPath.FindString(text); path != ""; path = lastStep.ReplaceAllString(path, "") {
		if at, ok := r.decoder.Places[path]; ok {
			v = at
			break
		}
	}
	v.Errorf("%s", inFile(text, names))
}
