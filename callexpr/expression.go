package callexpr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/internal/callcel"
)

// expression is a compiled expression.
type expression struct {
	program  *callcel.Program
	kind     types.Kind // of its value
	identity bool       // it uses the variable
	address  bool       // as identity, for client_addr
	reads    []hauberk.StateKey
	fields   map[string]field.Field // that it uses, by variable; nil for none
	pool     sync.Pool              // of *callcel.Variables
}

// result is which types an expression may return.
type result struct {
	types   []*cel.Type
	want    string // their names
	convert string // a function that converts to one of them
}

func (r *result) check(t *cel.Type) error {
	if slices.ContainsFunc(r.types, t.IsExactType) {
		return nil
	}
	how := "convert it, as in " + r.convert
	if t.Kind() == types.ListKind {
		how = "take a value of it, as in x.last()"
	}
	return fmt.Errorf("it returns %s; want %s: %s", cel.FormatCELType(t), r.want, how)
}

// compile compiles an expression whose value has one of some types.
func compile(text string, of func() *result, opts []Option) (*expression, error) {
	fields, err := fieldsOf(opts)
	if err != nil {
		return nil, err
	}
	e, err := compileAs(text, of().check, fields)
	if err != nil {
		return nil, fmt.Errorf("%.100q: %w", text, err)
	}
	return e, nil
}

func keyResult() *result {
	return &result{
		types: []*cel.Type{cel.StringType, cel.IntType, cel.UintType, cel.BoolType},
		want:  "string, int, uint or bool", convert: "string(x)",
	}
}

func costResult() *result {
	return &result{
		types: []*cel.Type{cel.IntType, cel.UintType, cel.DoubleType},
		want:  "int, uint or double", convert: "int(x)",
	}
}

func compileAs(text string, check func(t *cel.Type) error, fields map[string]field.Field) (*expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the expression is empty; want one such as identity.tenant")
	}
	l := callcel.Language{
		MaxLength: MaxExpression, MaxCost: MaxCost, Result: check, Hint: hint,
		Functions: []cel.EnvOption{lastFunction()},
		OneValue: "it takes a value of a metadata key by its place, which callers choose; " +
			`want metadata["x"].last(), the value that the nearest proxy wrote`,
	}
	for name := range fields {
		l.Functions = append(l.Functions, cel.Variable(name, cel.StringType))
	}
	env, err := l.Env(false, nil)
	if err != nil {
		return nil, err
	}
	ast, err := l.Check(env, text)
	if err != nil {
		return nil, err
	}
	e := &expression{kind: ast.OutputType().Kind()}
	if e.program, err = l.Program(env, ast, text); err != nil {
		return nil, err
	}
	used := callcel.Identifiers(ast)
	e.identity, e.address = used["identity"], used["client_addr"]
	if e.identity {
		e.reads = []hauberk.StateKey{hauberk.IdentityKey}
	}
	e.use(fields, used)
	keys, all := callcel.MetadataKeys(ast)
	if all {
		keys = nil
	}
	e.pool.New = func() any { return &callcel.Variables{Clock: time.Now, Keys: keys, Lookup: e.lookup()} }
	return e, nil
}

// eval returns the value of the expression for a call, or nil if it fails.
func (e *expression) eval(ctx context.Context, call *hauberk.Call) ref.Val {
	v, _ := e.pool.Get().(*callcel.Variables)
	v.Ctx, v.Call = ctx, call
	if e.identity {
		v.Identity = callcel.IdentityOf(call)
	}
	if e.address {
		v.Addr = call.ClientAddr()
	}
	value, err := e.program.Eval(v)
	v.Reset()
	e.pool.Put(v)
	if err != nil || value == nil {
		return nil
	}
	if t, ok := value.Type().(*types.Type); !ok || t.Kind() != e.kind {
		return nil
	}
	return value
}

// lastFunction is the function last.
func lastFunction() cel.EnvOption {
	entry := cel.TypeParamType("T")
	list := cel.ListType(entry)
	return cel.Function("last", cel.MemberOverload("list_last", []*cel.Type{list}, entry, cel.UnaryBinding(last)))
}

// last implements the function last.
func last(list ref.Val) ref.Val {
	l, ok := list.(traits.Lister)
	if !ok {
		return types.NewErr("last needs a list")
	}
	size, ok := l.Size().(types.Int)
	if !ok || size == 0 {
		return types.NewErr("last: the list is empty")
	}
	return l.Get(size - 1)
}

// hint returns what would be right in place of an error of the compiler.
func hint(message string) string {
	switch {
	case callcel.OfRequest(message):
		return "the request is not read yet when a call is charged; " +
			"want a field of it (WithField), method, identity, metadata, client_addr or now"
	case strings.HasPrefix(message, "Syntax error"):
		return "want an expression in CEL, such as identity.tenant"
	case strings.HasPrefix(message, "invalid matches argument"):
		return `want a pattern of RE2 with at most 500 instructions, such as "^(a|b)$"`
	case strings.HasPrefix(message, "comprehension exceeds"):
		return "want at most 2 macros inside each other"
	case strings.HasPrefix(message, "undeclared reference"):
		return "want method, service, identity, metadata, client_addr, now or a field of WithField, " +
			"or a function of CEL, in_cidr or last"
	case strings.HasPrefix(message, "undefined field"):
		return "want subject, issuer, tenant, method, scopes, roles or claims of identity"
	case strings.HasPrefix(message, "found no matching overload"):
		return "want operands of other types: convert them with string(x), int(x) or double(x)"
	default:
		return ""
	}
}
