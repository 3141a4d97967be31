package policyimport

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/callcel"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// RateLimit returns a policy file with the limits of a service config of Envoy's ratelimit (YAML with domain and
// descriptors), an entry rate_limit for each limit. name is the name of the file in errors.
//
// What a descriptor means is in the routes of Envoy, which the config does not have. The key remote_address is
// imported as the address of the client, and other keys as the request metadata of that name, in lower case. A
// limit counts a call if the call has all keys of its descriptor with their values, and each combination of values of
// the keys without a value has a quota.
//
// notes are what differs or is not imported, a line each; the file has them as comments, too.
func RateLimit(name string, data []byte) (file []byte, notes []string, err error) {
	source := yamlfile.Parse(name, data)
	i := importer{}
	root := source.Root()
	var descriptors []descriptor
	domain := ""
	root.Map("the file", map[string]func(yamlfile.Value){
		"domain":      func(v yamlfile.Value) { domain, _ = v.Text("domain") },
		"descriptors": func(v yamlfile.Value) { descriptors = readDescriptors(v) },
	})
	if domain == "" && !root.Failed() {
		root.Errorf("the file has no domain; want a service config of Envoy's ratelimit, with domain and descriptors")
	}
	if err := source.Err(); err != nil {
		return nil, nil, err
	}
	i.notef("the keys of descriptors are set by the routes of Envoy: check that they are the metadata of these names," +
		" and that only trusted proxies set it")
	i.list(descriptors, nil)
	text := comments(i.notes) + "version: 1\nserver:\n" + i.out.String()
	if i.out.Len() == 0 {
		text = comments(i.notes) + "version: 1\nserver: []\n"
	}
	return []byte(text), i.notes, check(text)
}

// descriptor is a descriptor of the config.
type descriptor struct {
	line       int
	key, value string
	hasValue   bool
	share      bool // the values that a pattern matches have one quota
	shadow     bool
	limit      *limit
	inner      []descriptor
	ignored    []string // keys without a place in a policy file
}

// limit is a rate_limit of a descriptor.
type limit struct {
	number    int
	per       time.Duration
	unlimited bool
}

// maxRequests is the greatest requests_per_unit, a uint32.
const maxRequests = 1<<32 - 1

// units are the units of a limit, as Envoy's ratelimit counts them.
func units() ([]string, []time.Duration) {
	const day = 24 * time.Hour
	return []string{"second", "minute", "hour", "day", "week", "month", "year"},
		[]time.Duration{time.Second, time.Minute, time.Hour, day, 7 * day, 30 * day, 365 * day}
}

func readDescriptors(v yamlfile.Value) (all []descriptor) {
	v.List("descriptors", func(v yamlfile.Value) {
		var d descriptor
		d.line, _ = v.Place()
		ignored := func(key string) func(yamlfile.Value) {
			return func(yamlfile.Value) { d.ignored = append(d.ignored, key) }
		}
		v.Map("a descriptor", map[string]func(yamlfile.Value){
			"key": func(v yamlfile.Value) { d.key, _ = v.Text("key") },
			"value": func(v yamlfile.Value) {
				d.value = v.Raw()
				d.hasValue = d.value != ""
			},
			"rate_limit":      func(v yamlfile.Value) { d.limit = readLimit(v, &d) },
			"descriptors":     func(v yamlfile.Value) { d.inner = readDescriptors(v) },
			"shadow_mode":     func(v yamlfile.Value) { d.shadow, _ = v.Bool("shadow_mode") },
			"share_threshold": func(v yamlfile.Value) { d.share, _ = v.Bool("share_threshold") },
			"detailed_metric": ignored("detailed_metric"),
			"value_to_metric": ignored("value_to_metric"),
			"quota_mode":      ignored("quota_mode"),
		})
		if v.Kind() == yamlfile.Mapping && d.key == "" {
			v.Errorf("a descriptor has no key")
		}
		all = append(all, d)
	})
	return all
}

func readLimit(v yamlfile.Value, d *descriptor) *limit {
	l := &limit{}
	set := false
	v.Map("rate_limit", map[string]func(yamlfile.Value){
		"unit": func(v yamlfile.Value) {
			names, periods := units()
			name := strings.ToLower(v.Raw())
			for i := range names {
				if names[i] == name {
					l.per = periods[i]
					return
				}
			}
			v.OneOf("unit", names...)
		},
		"requests_per_unit": func(v yamlfile.Value) {
			l.number, set = v.Int("requests_per_unit", 0, maxRequests)
		},
		"unlimited":  func(v yamlfile.Value) { l.unlimited, _ = v.Bool("unlimited") },
		"name":       func(yamlfile.Value) { d.ignored = append(d.ignored, "rate_limit.name") },
		"replaces":   func(yamlfile.Value) { d.ignored = append(d.ignored, "rate_limit.replaces") },
		"algorithm":  func(yamlfile.Value) { d.ignored = append(d.ignored, "rate_limit.algorithm") },
		"quota_mode": func(yamlfile.Value) { d.ignored = append(d.ignored, "rate_limit.quota_mode") },
	})
	if v.Kind() == yamlfile.Mapping && !l.unlimited && (l.per == 0 || !set) && !v.Failed() {
		v.Errorf("rate_limit has no unit or no requests_per_unit; want both, or unlimited: true")
	}
	return l
}

// importer writes the entries.
type importer struct {
	out   strings.Builder
	notes []string
}

func (i *importer) notef(format string, args ...any) {
	i.notes = append(i.notes, fmt.Sprintf(format, args...))
}

// remoteAddress is the key of the address of the client.
const remoteAddress = "remote_address"

// part is a descriptor on the way to a limit.
type part struct {
	*descriptor

	except []string // values of other descriptors with the key
}

// list writes the limits of descriptors under outer ones.
func (i *importer) list(all []descriptor, outer []part) {
	for n := range all {
		d := &all[n]
		p := part{descriptor: d}
		for m := range all {
			other := &all[m]
			if m == n || !strings.EqualFold(other.key, d.key) || !other.hasValue || d.hasValue && !pattern(d.value) {
				continue
			}
			// Envoy's ratelimit takes the value itself, or else the first pattern that matches, or else the key.
			if !d.hasValue || !pattern(other.value) || m < n {
				p.except = append(p.except, other.value)
			}
		}
		path := slices.Concat(outer, []part{p})
		for _, key := range d.ignored {
			i.notef("line %d: %s is not imported", d.line, key)
		}
		if d.limit != nil {
			i.limit(d, path)
		}
		i.list(d.inner, path)
	}
}

// pattern reports whether a value matches all values with a prefix.
func pattern(value string) bool { return strings.HasSuffix(value, "*") }

// limit writes the limit of a descriptor.
func (i *importer) limit(d *descriptor, path []part) {
	conditions, by, why := keys(path)
	if why != "" {
		i.notef("line %d: the limit is not imported: %s", d.line, why)
		return
	}
	if d.limit.unlimited {
		return // other limits leave its values out
	}
	number, cost := d.limit.number, 1
	if number == 0 { // all calls are rejected: each costs more than a limit can have
		number, cost, by = 1, 2, nil
	}
	key := "global"
	if len(by) == 1 {
		key = by[0]
	} else if len(by) > 1 {
		key = "[" + strings.Join(by, ", ") + "]"
	}
	per := strings.TrimSuffix(strings.TrimSuffix(d.limit.per.String(), "0s"), "0m")
	if d.limit.per == time.Second {
		per = "1s"
	}
	fmt.Fprintf(&i.out, "  - use: rate_limit # line %d\n    by: %s\n    limit: %d/%s\n    algorithm: fixed_window\n"+
		"    charge_unknown: true\n", d.line, key, number, per)
	switch {
	case len(conditions) > 0:
		of := fmt.Sprintf("%s ? %d : 0", strings.Join(conditions, " && "), cost)
		fmt.Fprintf(&i.out, "    cost: {of: %s}\n", yamlText(of))
	case cost != 1:
		fmt.Fprintf(&i.out, "    cost: {of: \"%d\"}\n", cost)
	}
	if d.shadow {
		i.out.WriteString("    mode: shadow\n")
	}
}

// keys returns when a call has the keys of a descriptor with their values, and the keys of the quota. why is why that
// cannot be said in a policy file.
func keys(path []part) (conditions, by []string, why string) {
	for _, p := range path {
		key := strings.ToLower(p.key)
		if p.key == "generic_key" {
			return nil, nil, fmt.Sprintf("only the routes of Envoy say which calls have the generic_key %q", p.value)
		}
		if p.key != remoteAddress && callcel.CheckKey(key) != nil {
			return nil, nil, fmt.Sprintf("%q is not a key of request metadata", p.key)
		}
		conditions = append(conditions, p.conditions(key)...)
		switch {
		case p.hasValue && (p.share || !pattern(p.value)):
		case p.key == remoteAddress:
			by = append(by, "peer")
		default:
			by = append(by, "{metadata: "+yamlText(key)+"}")
		}
	}
	return conditions, by, ""
}

// conditions returns when a call has a key with the value, in CEL.
func (p part) conditions(key string) (all []string) {
	value := "client_addr"
	if p.key != remoteAddress {
		value = "metadata[" + strconv.Quote(key) + "].last()"
		all = append(all, strconv.Quote(key)+" in metadata")
	}
	is := func(text string) string {
		if prefix, ok := strings.CutSuffix(text, "*"); ok {
			return value + ".startsWith(" + yamlText(prefix) + ")"
		}
		return value + " == " + yamlText(text)
	}
	if p.hasValue {
		all = append(all, is(p.value))
	}
	for _, other := range p.except {
		all = append(all, "!("+is(other)+")")
	}
	return all
}
