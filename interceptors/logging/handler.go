package logging

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Handler returns a handler that adds data of the call to log lines of the application
// and passes them to next. A line belongs to the call in its context, so that the
// application uses the methods with a context, such as [log/slog.Logger.InfoContext]:
//
//	logger := slog.New(logging.Handler(slog.NewJSONHandler(os.Stdout, nil),
//		logging.State("request_id", requestid.Key),
//		logging.State("user", authn.User),
//		logging.WithAttrs(tracing.LogAttrs)))
//
// The options [State] and [WithAttrs] define what is added, as for [New]. The attributes
// are always at the top level of the line, also after WithGroup. An attribute is not added
// if the line or its logger has one with the same name there; the members of a group
// without a name count as attributes. Lines without a call in their context pass unchanged.
//
// The records of an [Interceptor] are such lines, too: one that logs to this handler needs
// no option State.
//
// Like [log/slog.New], Handler panics if next is nil. It also panics if an option is
// invalid, or if there is none. The handler is as safe for concurrent use as next is.
func Handler(next slog.Handler, opts ...Option) slog.Handler {
	x := Interceptor{forHandler: true}
	if next == nil {
		x.failf("Handler was given a nil slog.Handler")
	}
	if err := options.ApplyTo("Handler", opts, func(o Option) { o.apply(&x) }); err != nil {
		x.errs = append(x.errs, err)
	}
	if len(x.errs) == 0 && len(x.states)+len(x.attrs) == 0 {
		x.failf("Handler would add nothing to log lines; want an option State or WithAttrs")
	}
	if err := errors.Join(x.errs...); err != nil {
		panic("logging: " + err.Error())
	}
	return &callHandler{next: next, states: x.states, attrs: x.attrs}
}

// callHandler adds data of the call to log lines. It holds back the groups of the
// logger, because next would put the added attributes into them.
type callHandler struct {
	next   slog.Handler
	states states
	attrs  []AttrsFunc
	keys   []string // of the attributes that next has
	groups []group  // the outermost first
}

// group is a group of a logger, with the attributes that the logger has in it.
type group struct {
	name  string
	attrs []slog.Attr
}

// Enabled reports whether next is enabled.
func (h *callHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs returns a handler whose lines have attrs, in the innermost group.
func (h *callHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	with := *h
	if len(h.groups) > 0 {
		with.groups = slices.Clone(h.groups)
		innermost := &with.groups[len(with.groups)-1]
		innermost.attrs = slices.Concat(innermost.attrs, attrs)
		return &with
	}
	with.next = h.next.WithAttrs(attrs)
	with.keys = slices.Clone(h.keys)
	for _, a := range attrs {
		with.keys = appendKeys(with.keys, a)
	}
	return &with
}

// WithGroup returns a handler that puts what follows into a group.
func (h *callHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.groups = append(slices.Clone(h.groups), group{name: name})
	return &with
}

// Handle passes a line to next, with the data of the call in ctx.
func (h *callHandler) Handle(ctx context.Context, r slog.Record) error {
	var space [8]slog.Attr
	list := space[:0]
	if call := hauberk.FromContext(ctx); call != nil {
		list = appendStates(list, h.states, call)
		list = appendAttrs(ctx, list, len(list), h.attrs, call)
	}
	if len(list) == 0 && len(h.groups) == 0 {
		return h.next.Handle(ctx, r)
	}
	line := h.grouped(r)
	for _, a := range list {
		h.add(&line, a)
	}
	return h.next.Handle(ctx, line)
}

// add adds an attribute to a line that has none of its name at the top level, and of an
// inline group its members.
func (h *callHandler) add(line *slog.Record, a slog.Attr) {
	members, inline := inlined(a)
	for _, m := range members {
		h.add(line, m)
	}
	if !inline && !h.has(line, a.Key) {
		line.AddAttrs(a)
	}
}

// grouped returns a copy of a record with its attributes in the groups of the logger.
func (h *callHandler) grouped(r slog.Record) slog.Record {
	if len(h.groups) == 0 {
		return r.Clone()
	}
	list := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		list = append(list, a)
		return true
	})
	for _, g := range slices.Backward(h.groups) {
		list = []slog.Attr{{Key: g.name, Value: slog.GroupValue(slices.Concat(g.attrs, list)...)}}
	}
	line := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	line.AddAttrs(list...)
	return line
}

// has reports whether a line has an attribute of this name at the top level.
func (h *callHandler) has(line *slog.Record, key string) (found bool) {
	if slices.Contains(h.keys, key) {
		return true
	}
	line.Attrs(func(a slog.Attr) bool {
		found = isNamed(a, key)
		return !found
	})
	return found
}

// inlined returns the members of a group without a name, which slog puts in its place.
func inlined(a slog.Attr) (members []slog.Attr, inline bool) {
	if a.Key != "" {
		return nil, false
	}
	if v := a.Value.Resolve(); v.Kind() == slog.KindGroup {
		return v.Group(), true
	}
	return nil, false
}

// isOmitted reports whether slog writes nothing for an attribute: a group without members.
func isOmitted(a slog.Attr) bool {
	return a.Value.Kind() == slog.KindGroup && !slices.ContainsFunc(a.Value.Group(), func(m slog.Attr) bool {
		return !isOmitted(m)
	})
}

// isNamed reports whether an attribute, or a member of an inline group, has the name key.
func isNamed(a slog.Attr, key string) bool {
	members, inline := inlined(a)
	if !inline {
		return a.Key == key && !isOmitted(a)
	}
	return slices.ContainsFunc(members, func(m slog.Attr) bool { return isNamed(m, key) })
}

// appendKeys appends the names that an attribute has at its level.
func appendKeys(keys []string, a slog.Attr) []string {
	members, inline := inlined(a)
	for _, m := range members {
		keys = appendKeys(keys, m)
	}
	if inline || isOmitted(a) {
		return keys
	}
	return append(keys, a.Key)
}
