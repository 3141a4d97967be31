package policy

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// fileForm is a whole file, without the entries.
type fileForm struct {
	// Version is the version of the format, 1.
	Version int `policy:"required"`
	// RequireEnd demands the line "..." at the end of the file, so that a file that is not written completely is
	// not valid.
	RequireEnd bool
	// Gateway holds the settings of the sidecar. A program that attaches the chains itself has none.
	Gateway *Gateway

	hauberk.Config

	// Policy is set by the program.
	Policy struct{} `policy:"-"`
}

// reader reads a file.
type reader struct {
	*settings

	catalog *catalog.Catalog
	data    []byte
	file    *yamlfile.File
	policy  *Policy
	decoder *shape.Decoder // of what is not in entries
	form    fileForm
	entries []*entry
	ids     map[string]int // the line of each id
	taken   map[*instance]bool
	said    map[string]bool // errors about keys outside of entries, which both chains have
}

func newReader(s *settings, c *catalog.Catalog, name string, data []byte) *reader {
	r := &reader{
		settings: s, catalog: c, data: data, file: yamlfile.ParseDepth(name, data, MaxDepth),
		policy: &Policy{
			name: name, held: new(held), auditFiles: s.deps.AuditFiles, keyMemories: s.deps.KeyMemories,
		},
		ids: make(map[string]int), taken: make(map[*instance]bool),
		said: make(map[string]bool),
	}
	r.decoder = r.newDecoder()
	return r
}

func (r *reader) newDecoder() *shape.Decoder {
	return &shape.Decoder{
		Types: r.catalog.Types, Env: r.env, Dir: r.dir,
		Places: make(map[string]yamlfile.Value), Named: make(map[string]yamlfile.Value),
	}
}

// read reads the file, and makes the policy if nothing is wrong with it.
func (r *reader) read() {
	root := r.file.Root()
	if root.Kind() == yamlfile.None || !r.decode(root) {
		return
	}
	r.check(root)
	r.checkPatterns()
	for _, e := range r.entries {
		r.build(e)
	}
	if !root.Failed() {
		r.assemble(root)
	}
}

// decode reads the values. It returns false if the file has none.
func (r *reader) decode(root yamlfile.Value) bool {
	if bytes.HasPrefix(r.data, []byte("\xef\xbb\xbf")) || bytes.HasPrefix(r.data, []byte("\xff\xfe")) ||
		bytes.HasPrefix(r.data, []byte("\xfe\xff")) {
		root.Errorf("the file begins with a byte order mark; want UTF-8 without one")
		return false
	}
	r.decoder.Struct(root, "the file", fileShape(r.catalog), reflect.ValueOf(&r.form).Elem(),
		map[string]func(yamlfile.Value){
			"version": readVersion,
			"server":  func(v yamlfile.Value) { r.readEntries(v, hauberk.ServerSide) },
			"client":  func(v yamlfile.Value) { r.readEntries(v, hauberk.ClientSide) },
		})
	return root.Kind() == yamlfile.Mapping
}

func readVersion(v yamlfile.Value) {
	if v.Type() != "int" || v.Raw() != "1" {
		v.Errorf("version is %s; want the number 1", v.Describe())
	}
}

// fileShape returns the shape of a file.
func fileShape(c *catalog.Catalog) *shape.Shape { return c.Types.Of(reflect.TypeFor[fileForm]()) }

// check reports what is wrong with the keys outside of entries.
func (r *reader) check(root yamlfile.Value) {
	if v, ok := root.Get("require_end"); ok && r.form.RequireEnd && !ended(r.data) {
		v.Errorf(`require_end is true, and the file does not end with the line "..."; it may not be written completely`)
	}
	r.policy.settings = sectionSettings(root, fileShape(r.catalog))
	if v, ok := root.Get("gateway"); ok && r.form.Gateway != nil {
		g := r.form.Gateway
		g.places = make(map[string]place)
		for key, value := range v.Pairs() {
			line, column := value.Place()
			g.places[key.Raw()] = place{line, column}
		}
		g.settings = sectionSettings(v, fileShape(r.catalog).FieldOf("Gateway").Shape)
		g.check(v)
	}
}

// hideSecrets replaces errors that have a part of the value of a reference.
func (r *reader) hideSecrets() {
	secrets := slices.Clone(r.decoder.Secrets)
	for _, e := range r.entries {
		secrets = append(secrets, e.decoder.Secrets...)
	}
	if len(secrets) == 0 {
		return
	}
	r.file.Rewrite(func(at yamlfile.Value, text string) string {
		if shape.Reveals(secrets, text, hasReference(at)) {
			return "the value of a reference, such as ${env:NAME}, is not valid; it is not shown"
		}
		return text
	})
}

// hasReference reports whether a value has a reference in it.
func hasReference(v yamlfile.Value) bool {
	for _, value := range v.Pairs() {
		if hasReference(value) {
			return true
		}
	}
	return shape.IsReference(v.Raw()) || slices.ContainsFunc(v.Items(), hasReference)
}

// ended reports whether a file ends with the end marker of YAML. Comments and empty lines may follow.
func ended(data []byte) bool {
	last := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, " \t\r\n")
		if line != "" && !strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			last = line
		}
	}
	return last == "..." || strings.HasPrefix(last, "... #")
}

// release closes what was made, for a file that is not valid.
func (r *reader) release() {
	for _, e := range r.entries {
		_ = e.instance.release()
	}
}
