package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
)

// build makes the instance of an entry, or takes that of the previous policy, and reports what is wrong with its
// settings.
func (r *reader) build(e *entry) {
	e.build = &catalog.Build{Deps: r.deps, Renames: make(map[string]string)}
	e.build.RequestID, e.build.Traced = r.around(e)
	if !e.ok {
		return
	}
	e.content = e.contentOf(r.dir)
	if e.instance = r.kept(e); e.instance != nil {
		e.Kept = true
	} else {
		r.make(e)
	}
	if e.instance == nil {
		return
	}
	e.writes = e.instance.build.Writes
	if v, ok := e.value.Get(keyMode); ok && e.Mode == Shadow {
		if err := hauberk.Shadow(e.instance.interceptor).Declare().Err; err != nil {
			v.Errorf("mode is shadow, and %s: %v", e.Use, err)
		}
	}
	if e.Mode == Off {
		_ = e.instance.release()
		e.instance = nil
		return
	}
	e.Interceptor = e.instance.interceptor
}

// make makes a new instance.
func (r *reader) make(e *entry) {
	if record := e.row.Shape.FieldOf("RecordAllowed"); record != nil && r.settings.around != nil {
		e.form.Elem().FieldByIndex(record.Index).SetBool(true) // tests show which rules admit calls
	}
	x, err := e.row.Build(e.build, e.form)
	if err == nil {
		if d, ok := x.(hauberk.Declarer); ok {
			err = errors.Join(d.Declare().Err, e.wrongSide(d.Declare().Sides))
		}
	}
	if err != nil {
		e.report(err)
		_ = e.build.Close()
		return
	}
	e.instance = &instance{interceptor: x, build: e.build, content: e.content, uses: 1}
}

// wrongSide returns an error if the interceptor, with its settings, does not work on the side of the entry.
func (e *entry) wrongSide(sides hauberk.Sides) error {
	if sides == hauberk.BothSides || (sides == hauberk.OnlyClients) == (e.Side == hauberk.ClientSide) {
		return nil
	}
	return fmt.Errorf("%s with these settings does not work on a %s", e.Use, e.Side)
}

// around reports what outer entries of the same chain add to an entry: the id of all calls, and spans.
func (r *reader) around(e *entry) (id, traced bool) {
	inside := false
	for _, other := range r.entries {
		if other.Side != e.Side || other.Mode != Enforce {
			continue
		}
		inside = inside || other == e
		always := len(other.Methods)+len(other.Except) == 0
		id = id || other.Use == "request_id" && always && !inside
		traced = traced || other.Use == "tracing"
	}
	return id, traced && r.deps.Tracer != nil
}

// assemble makes the chains, if nothing is wrong with the file.
func (r *reader) assemble(root yamlfile.Value) {
	p := r.policy
	config := r.form.Config
	config.Policy = r.descriptors
	p.server = r.chain(root, hauberk.ServerSide, config)
	p.client = r.chain(root, hauberk.ClientSide, hauberk.Config{
		ErrorDomain: config.ErrorDomain, ExposeErrors: config.ExposeErrors, CountBytes: config.CountBytes,
	})
	p.gateway = r.form.Gateway
	p.files = slices.Clone(r.decoder.Files)
	p.inputs = slices.Clone(p.files)
	for _, e := range r.entries {
		p.files = append(p.files, e.decoder.Files...)
		for _, path := range e.decoder.Files {
			if !slices.Contains(e.writes, path) {
				p.inputs = append(p.inputs, path)
			}
		}
	}
	for _, files := range []*[]string{&p.files, &p.inputs} {
		slices.Sort(*files)
		*files = slices.Compact(*files)
	}
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for _, e := range r.entries {
			if e.Side == side {
				p.entries = append(p.entries, e.Entry)
				p.instances = append(p.instances, e.instance)
			}
		}
	}
}

// ofInterceptor is the place in an error of hauberk.New.
var ofInterceptor = regexp.MustCompile(
	`^hauberk: interceptor ([0-9]+)(?:: (?:For|Except): interceptor [0-9]+)*: `)

// chain makes the chain of a side.
func (r *reader) chain(root yamlfile.Value, side hauberk.Side, config hauberk.Config) *hauberk.Chain {
	var list []hauberk.Interceptor
	var of []*entry
	for _, e := range r.entries {
		if e.Side == side && e.Interceptor != nil {
			list, of = append(list, e.wrapped(r.tested(e))), append(of, e)
		}
	}
	outer := 0
	if r.outermost != nil && (side == hauberk.ServerSide || len(list) > 0) {
		list, outer = append([]hauberk.Interceptor{r.outermost}, list...), 1
	}
	chain, err := config.New(list...)
	if err == nil {
		return chain
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		m := ofInterceptor.FindStringSubmatch(line)
		n := 0
		if m != nil {
			n, _ = strconv.Atoi(m[1])
			n -= outer
		}
		if n < 1 {
			r.setting(root, strings.TrimPrefix(line, "hauberk: "))
			continue
		}
		of[n-1].value.Errorf("%s", entryNames(strings.TrimPrefix(line, m[0]), of, outer))
	}
	return nil
}

var interceptorN = regexp.MustCompile(`\(?interceptor (\d+)\)?`)

// entryNames replaces the numbers of interceptors in an error by the lines of their entries. outer interceptors have no
// entry.
func entryNames(text string, of []*entry, outer int) string {
	return interceptorN.ReplaceAllStringFunc(text, func(match string) string {
		n, _ := strconv.Atoi(interceptorN.FindStringSubmatch(match)[1])
		n -= outer
		if n < 1 || n > len(of) {
			return match
		}
		at := fmt.Sprintf("line %d", of[n-1].Line)
		if strings.HasPrefix(match, "(") {
			return "(" + at + ")"
		}
		return at
	})
}

// wrapped returns the interceptor under its methods and mode.
func (e *entry) wrapped(x hauberk.Interceptor) hauberk.Interceptor {
	if e.Mode == Shadow {
		x = hauberk.Shadow(x)
	}
	if len(e.Except) > 0 {
		x = hauberk.Except(e.Except, x)
	}
	if len(e.Methods) > 0 {
		x = hauberk.For(e.Methods, x)
	}
	return x
}
