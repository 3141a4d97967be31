package deadline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// setting is the index of a setting in values.
type setting int

const (
	defaultTime setting = iota
	maxTime
	margin
	minTimeLeft
	receiveTimeout
	sendTimeout
	idleTimeout
	times
)

// names are those of the fields.
var names = [times]string{ //nolint:gochecknoglobals // never written
	"Default", "Max", "Margin", "MinTimeLeft", "ReceiveTimeout", "SendTimeout", "IdleTimeout",
}

// values are the settings of a level, or of a method. In a level Off is a value.
type values struct {
	times    [times]time.Duration
	quantile float64
}

func (r *Rule) values() values {
	return values{
		[times]time.Duration{
			r.Default, r.Max, r.Margin, r.MinTimeLeft, r.ReceiveTimeout, r.SendTimeout, r.IdleTimeout,
		},
		r.TypicalQuantile,
	}
}

// check returns what is wrong with values by themselves. place precedes the names of the fields.
func (v *values) check(place string, canBeOff bool) error {
	var errs []error
	or := ", or 0 for none"
	if canBeOff {
		or = ", 0 for that of a less specific rule, or Off"
	}
	for i, d := range v.times {
		if d < 0 && (d != Off || !canBeOff) {
			errs = append(errs, fmt.Errorf("%s%s is %v; want more than 0%s", place, names[i], d, or))
		}
	}
	if q := v.quantile; !(q >= 0 && q < 1) && (q != Off || !canBeOff) { // NaN is neither
		errs = append(errs, fmt.Errorf("%sTypicalQuantile is %v; want more than 0 and less than 1%s", place, q, or))
	}
	return errors.Join(errs...)
}

// rank orders patterns by how specific they are: the method, the service, packages by their
// length, all.
func rank(p pattern.Pattern) int {
	switch {
	case p.Name != "":
		return 1 << 20
	case p.Service != "":
		return 1 << 19
	case p.Package != "":
		return 1 + strings.Count(p.Package, ".")
	default:
		return 0
	}
}

// sorted returns levels, the most specific first. Of those with the same rank at most one matches a
// method, since no pattern is there twice.
func sorted(levels []level) []level {
	slices.SortStableFunc(levels, func(a, b level) int { return rank(b.pattern) - rank(a.pattern) })
	return levels
}

// resolved are the settings of a method, and the index of the level that each is of.
type resolved struct {
	values

	of         [times]int
	quantileOf int
	levels     []level // that match the method
}

// resolve returns the settings of a method, such as shop.v1.Cart and Get.
func (x *Interceptor) resolve(service, name string) resolved {
	r := resolved{levels: make([]level, 0, len(x.levels)+1)}
	stated, isStated := x.stated[service+"/"+name]
	for i := range x.levels {
		last := i == len(x.levels)-1
		if last && isStated {
			r.levels = append(r.levels, stated)
		}
		if last || x.levels[i].pattern.Matches(service, name) {
			r.levels = append(r.levels, x.levels[i])
		}
	}
	for i := range r.times {
		r.of[i], r.times[i] = first(r.levels, func(l *level) time.Duration { return l.times[i] })
	}
	r.quantileOf, r.quantile = first(r.levels, func(l *level) float64 { return l.quantile })
	return r
}

// first returns the first value of levels that is not 0, and the index of its level. Off becomes 0.
func first[T time.Duration | float64](levels []level, of func(l *level) T) (at int, value T) {
	for i := range levels {
		if v := of(&levels[i]); v != 0 {
			return i, max(v, 0)
		}
	}
	return len(levels) - 1, 0
}

// check returns what contradicts itself in the settings of a method.
func (r *resolved) check() error {
	var errs []error
	// atMost reports a setting above another. If the other is of a more specific level, it is the
	// other that is meant.
	atMost := func(s, bound setting, strictly bool) {
		low, high := r.times[s], r.times[bound]
		if low == 0 || high == 0 || r.of[s] > r.of[bound] || low < high || low == high && !strictly {
			return
		}
		want := "at most that"
		if strictly {
			want = "less"
		}
		errs = append(errs, fmt.Errorf("%s is %v, and %s is %v; want %s",
			r.field(s), low, r.field(bound), high, want))
	}
	atMost(defaultTime, maxTime, false)
	atMost(margin, maxTime, true)
	atMost(minTimeLeft, maxTime, true)
	atMost(receiveTimeout, idleTimeout, false)
	atMost(sendTimeout, idleTimeout, false)
	return errors.Join(errs...)
}

// field is the place of a setting in the Config: "Rules[1].Max".
func (r *resolved) field(s setting) string {
	source := r.levels[r.of[s]].source
	return strings.TrimPrefix(strings.TrimPrefix(source, "deadline.Config")+".", ".") + names[s]
}

// checkLevels resolves a method for each pattern, and reports what contradicts itself.
func (x *Interceptor) checkLevels() error {
	var texts []string
	for i := range x.levels {
		service, name := representative(x.levels[i].pattern)
		r := x.resolve(service, name)
		if err := r.check(); err != nil {
			texts = append(texts, strings.Split(err.Error(), "\n")...)
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	errs := make([]error, len(texts))
	for i, text := range texts {
		errs[i] = errors.New(text)
	}
	return errors.Join(errs...)
}

// representative returns a method that a pattern matches, and as few others as possible.
func representative(p pattern.Pattern) (service, name string) {
	const other = "~other~" // in no pattern
	service, name = p.Service, p.Name
	if service == "" {
		service = strings.TrimPrefix(p.Package+"."+other, ".")
	}
	if name == "" {
		name = other
	}
	return service, name
}

// settings returns the settings of a method, for Explain.
func (x *Interceptor) settings(method string) []hauberk.Setting {
	service, name, _ := strings.Cut(method, "/")
	r := x.resolve(service, name)
	var all []hauberk.Setting
	for i, d := range r.times {
		if d > 0 {
			all = append(all, hauberk.Setting{Name: names[i], Value: d.String(), Source: r.levels[r.of[i]].source})
		}
	}
	if r.quantile > 0 {
		all = append(all, hauberk.Setting{
			Name: "TypicalQuantile", Value: fmt.Sprint(r.quantile), Source: r.levels[r.quantileOf].source,
		})
	}
	return all
}

// unmatched lists the patterns of rules that match none of the methods.
func (x *Interceptor) unmatched(methods []*hauberk.Method) []string {
	index := pattern.IndexOf(methods)
	var all []string //nolint:prealloc // mostly there is none
	for i := range x.config.Rules {
		set, _ := pattern.ParseAll(x.config.Rules[i].Methods)
		all = append(all, index.Unmatched(fmt.Sprintf("deadline.Config.Rules[%d]", i), set)...)
	}
	return all
}
