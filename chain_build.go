package hauberk

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/options"
)

// builder collects the interceptors of a chain and what is wrong with them.
type builder struct {
	chain *Chain
	at    string // the place of what is added
	errs  []error
}

func (b *builder) fail(err error) {
	b.errs = append(b.errs, fmt.Errorf("hauberk: %s: %w", b.at, err))
}

// add adds an interceptor under the scopes and conditions of under.
func (b *builder) add(x Interceptor, under entry) {
	if options.IsNil(x) {
		b.fail(errNil(x))
		return
	}
	switch x := x.(type) {
	case *group:
		b.addGroup(x, under)
	default:
		b.addInterceptor(x, under)
	}
}

func (b *builder) addGroup(g *group, under entry) {
	if g.err != nil {
		b.fail(g.err)
	}
	if len(g.inner) == 0 {
		b.fail(fmt.Errorf("%s has no interceptors", g.name))
	}
	if g.when != nil {
		under.conditions = append(slices.Clip(under.conditions), g.when)
	} else {
		under.scopes = append(slices.Clip(under.scopes), g.scope)
	}
	at := b.at
	for i, x := range g.inner {
		b.at = fmt.Sprintf("%s: %s: interceptor %d", at, g.name, i+1)
		b.add(x, under)
	}
}

// addInterceptor adds one interceptor, which may have its own name.
func (b *builder) addInterceptor(x Interceptor, l entry) {
	l.at, l.decl = b.at, declarationOf(x)
	l.interceptor, _ = unname(x)
	for _, err := range l.check() {
		b.fail(fmt.Errorf("%s: %w", l.decl.Name, err))
	}
	l.measured = measuredOf(l.interceptor)
	if s, ok := l.interceptor.(*Shadowed); ok {
		l.shadow = true
		l.interceptor = &shadowInterceptor{s, l.decl.Name}
	}
	if len(l.conditions) > 0 {
		l.interceptor = &conditional{l.conditions, l.interceptor, l.decl.Decides}
	}
	b.checkTwice(&l, x)
	b.checkPhase(&l)
	b.chain.entries = append(b.chain.entries, &l)
}

// checkTwice reports an instance that runs twice for the same calls, unless it says that
// it may. One that is listed under different For or Except shares its state on purpose.
func (b *builder) checkTwice(l *entry, x Interceptor) {
	instance, _ := unname(x)
	if v := reflect.ValueOf(instance); v.Kind() != reflect.Pointer || v.Type().Elem().Size() == 0 || l.decl.Repeatable {
		return
	}
	for _, other := range b.chain.entries {
		if other.instance == instance && other.overlaps(l) {
			b.fail(fmt.Errorf("%s: it is the same instance as %s: each call would run it twice", l.title(), other.at))
			break
		}
	}
	l.instance = instance
}

// checkPhase reports two interceptors of a phase that a call needs once.
func (b *builder) checkPhase(l *entry) {
	if p := l.decl.Phase; p != PhaseRequestID && p != PhaseRecovery && p != PhaseAuthn {
		return
	}
	for _, other := range b.chain.entries {
		if l.decl.Phase == PhaseRequestID && !slices.ContainsFunc(l.decl.Writes, other.writes) {
			continue // it is there for its place
		}
		if other.decl.Phase == l.decl.Phase && other.decl.Sides.meet(l.decl.Sides) &&
			!other.shadow && !l.shadow && other.instance != l.instance && other.overlaps(l) {
			b.fail(fmt.Errorf("%s: the chain has another interceptor for %s, %s (%s): a call needs one",
				l.title(), l.decl.Phase, other.title(), other.at))
			return
		}
	}
}

// overlaps reports whether two interceptors certainly run for a common call.
func (l *entry) overlaps(other *entry) bool {
	unscoped := func(l *entry) bool { return len(l.scopes)+len(l.conditions) == 0 }
	return unscoped(l) || unscoped(other) ||
		slices.EqualFunc(l.scopes, other.scopes, scope.equal) && slices.Equal(l.conditions, other.conditions)
}

// check returns what is wrong with an interceptor by itself.
func (l *entry) check() []error {
	if err := checkSingle(l.interceptor); err != nil {
		return []error{err}
	}
	errs := flat(errors.Join(l.decl.Err, checkKeys(l.decl)))
	if _, guards := l.interceptor.(Guard); guards && len(l.conditions) > 0 {
		errs = append(errs, errGuardInWhen)
	}
	return errs
}

// flat returns the errors that errors.Join has joined, so that each of them gets the place
// and the name of its interceptor.
func flat(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var errs []error
	for _, err := range joined.Unwrap() {
		errs = append(errs, flat(err)...)
	}
	return errs
}

// checkSingle rejects what New takes and is not one interceptor, where one is
// needed.
func checkSingle(x Interceptor) error {
	if _, ok := x.(*group); ok {
		return errors.New("it is a group, not one interceptor: name or shadow those inside it")
	}
	if options.IsNil(x) {
		return errNil(x)
	}
	return nil
}

func checkKeys(d Declaration) error {
	for _, k := range slices.Concat(d.Reads, d.Writes) {
		if k == nil || k.identity() == nil {
			return errors.New("it declares a key that hauberk.NewKey did not make")
		}
	}
	return nil
}

var errGuardInWhen = errors.New("it guards whole calls against panics, so it cannot run under a When: " +
	"use For or Except")

func errNil(x Interceptor) error {
	if x == nil {
		return errors.New("the interceptor is nil")
	}
	return fmt.Errorf("the interceptor is a nil %T", x)
}

// unname returns an interceptor without the names and declarations that [Named] and
// [Declare] put around it, and the outermost of the names.
func unname(x Interceptor) (inner Interceptor, name string) {
	return peel(x, func(Declaration) {})
}

// peel is unname, and passes each declaration to a function, the outermost first.
func peel(x Interceptor, each func(Declaration)) (inner Interceptor, name string) {
	for {
		switch wrapper := x.(type) {
		case *named:
			name = cmp.Or(name, wrapper.name)
			x = wrapper.Interceptor
		case *declaring:
			name = cmp.Or(name, wrapper.declaration.Name)
			each(wrapper.declaration)
			x = wrapper.Interceptor
		default:
			return x, name
		}
	}
}

// declarationOf returns what an interceptor declares, with a name.
func declarationOf(x Interceptor) Declaration {
	var given []Declaration // the outermost first
	x, name := peel(x, func(d Declaration) { given = append(given, d) })
	var d Declaration
	if declarer, ok := x.(Declarer); ok && !options.IsNil(x) {
		d = declarer.Declare()
	}
	for i := range slices.Backward(given) {
		d = given[i].merged(d)
	}
	if name != "" && name != d.Name {
		d.Name, d.Detail = name, ""
	}
	if d.Name == "" {
		d.Name = typeName(x)
	}
	return d
}

// typeName is the package of an interceptor's type, if that is not the
// program's own, else the type.
func typeName(x Interceptor) string {
	switch x := x.(type) {
	case nil:
		return "nil"
	case Func:
		return "func"
	case *group:
		return x.name
	}
	t := reflect.TypeOf(x)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	pkg, _, _ := strings.Cut(t.String(), ".")
	switch {
	case name == "":
		return t.String()
	case pkg == "main" || strings.HasSuffix(pkg, "_test"):
		return name
	default:
		return pkg
	}
}
