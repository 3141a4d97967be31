// Package catalog has a row for each interceptor that a policy file can use.
package catalog

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// Deps are the dependencies of interceptors. nil is the default of the interceptor, except for Logger, which
// is set.
type Deps struct {
	Logger     *slog.Logger
	Clock      func() time.Time
	Types      Types
	Services   []protoreflect.ServiceDescriptor
	Tracer     trace.TracerProvider
	Propagator propagation.TextMapPropagator
	Meter      metric.MeterProvider
	Report     func(ctx context.Context, i report.Incident)
	Health     serving.HealthServer
	// CheckOnly opens no sinks and connections.
	CheckOnly bool
	// AuditFiles are the audit files that are open.
	AuditFiles *AuditFiles
	// KeyMemories are the memories of idempotency keys.
	KeyMemories *KeyMemories
	// TestKeys replaces the settings of issuers of tokens.
	TestKeys func(config authnjwt.Config) (authnjwt.Config, []authnjwt.Option, error)
}

// Types finds the types of messages.
type Types interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// Build is the construction of one interceptor.
type Build struct {
	Deps

	// RequestID is set if an outer interceptor of the chain sets the request id.
	RequestID bool
	// Traced is set if the chain has tracing.
	Traced bool
	// Renames has for paths of settings in Go those of the form, such as "Rules[3]" for "Policy.Allow[0]".
	Renames map[string]string

	// Writes are the files that the interceptor writes.
	Writes []string

	inputs  map[string][sha256.Size]byte // files that are read only once
	closers []func() error
}

// OnClose calls f when the interceptor is not used any more.
func (b *Build) OnClose(f func() error) { b.closers = append(b.closers, f) }

// Close releases what the construction has opened, the last first.
func (b *Build) Close() error {
	var failed []error
	for _, f := range slices.Backward(b.closers) {
		failed = append(failed, f())
	}
	b.closers = nil
	return errors.Join(failed...)
}

// closeTime bounds the time to write what is queued.
const closeTime = 5 * time.Second

// own closes x in the end, if it has a method for that.
func (b *Build) own(x any) {
	switch x := x.(type) {
	case interface{ Close() error }:
		b.OnClose(x.Close)
	case interface{ Close() }:
		b.OnClose(func() error {
			x.Close()
			return nil
		})
	case interface {
		Close(ctx context.Context) error
	}:
		b.OnClose(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), closeTime)
			defer cancel()
			return x.Close(ctx)
		})
	}
}

// Row is an interceptor that a policy file can use.
type Row struct {
	Use   string
	Sides hauberk.Sides
	Doc   string // one sentence
	Shape *shape.Shape
	build func(b *Build, form any) (hauberk.Interceptor, error)
}

// New returns a zero form.
func (r *Row) New() reflect.Value { return reflect.New(r.Shape.Type) }

// TakesMethods reports whether the key methods is a setting of the interceptor, too.
func (r *Row) TakesMethods() bool { return r.Shape.FieldOf("Methods") != nil }

// Build makes the interceptor of a form, which New has returned. The error is about what the form has in
// addition to the settings of the interceptor, whose errors are in its declaration.
func (r *Row) Build(b *Build, form reflect.Value) (hauberk.Interceptor, error) {
	x, err := r.build(b, form.Interface())
	if x != nil {
		b.own(x)
	}
	return x, err
}

// Catalog is all rows. Make it with [New]. It is safe for concurrent use.
type Catalog struct {
	Types *shape.Types
	Rows  []*Row
}

// New returns the catalog.
func New() *Catalog {
	c := &Catalog{Types: newTypes()}
	c.observing()
	c.deciding()
	c.limiting()
	c.calling()
	return c
}

// Names returns the names of the rows for a side.
func (c *Catalog) Names(side hauberk.Side) []string {
	var names []string
	for _, r := range c.Rows {
		if includes(r.Sides, side) {
			names = append(names, r.Use)
		}
	}
	slices.Sort(names)
	return names
}

// Row returns the row for a name on a side. other reports whether there is one for the other side only.
func (c *Catalog) Row(use string, side hauberk.Side) (row *Row, other bool) {
	for _, r := range c.Rows {
		if r.Use == use && includes(r.Sides, side) {
			return r, false
		}
		other = other || r.Use == use
	}
	return nil, other
}

func includes(sides hauberk.Sides, side hauberk.Side) bool {
	return sides == hauberk.BothSides || (sides == hauberk.OnlyClients) == (side == hauberk.ClientSide)
}

// add adds a row whose form is F.
func add[F any](
	c *Catalog, use string, sides hauberk.Sides, doc string,
	build func(b *Build, form *F) (hauberk.Interceptor, error),
) {
	c.Rows = append(c.Rows, &Row{
		Use: use, Sides: sides, Doc: doc, Shape: c.Types.Of(reflect.TypeFor[F]()),
		build: func(b *Build, form any) (hauberk.Interceptor, error) {
			f, _ := form.(*F)
			return build(b, f)
		},
	})
}

// plain adds a row whose form is the interceptor's own Config.
func plain[F any](
	c *Catalog, use string, sides hauberk.Sides, doc string, build func(b *Build, config F) hauberk.Interceptor,
) {
	add(c, use, sides, doc, func(b *Build, form *F) (hauberk.Interceptor, error) { return build(b, *form), nil })
}

// options is a list of options of a package.
type options[O any] []O

// when adds an option if a condition holds.
func (o options[O]) when(condition bool, option func() O) options[O] {
	if condition {
		return append(o, option())
	}
	return o
}
