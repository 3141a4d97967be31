package authz

import (
	"cmp"
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callcel"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// expression is a compiled [Rule.When]. Rules with the same text share one.
type expression struct {
	text     string
	language *callcel.Language
	identity bool             // it uses the variable identity
	program  *callcel.Program // nil if the type of the request decides on it

	// ofMethods are the programs of methods, since the type of the variable request is the
	// method's own.
	ofMethods *methodtable.Cache[*hauberk.Method, *methodProgram]
}

// methodProgram is the program of an expression for a method, or why the expression does not
// compile with the type of the method's request.
type methodProgram struct {
	cel.Program

	err error
}

// Failures of expressions that CEL does not report.
var (
	errNoRequest = errors.New("the call has no request message of a known type")
	errNotBool   = errors.New("its value is not a bool")
)

// needsRequest reports whether the expression uses the request. nil needs nothing.
func (e *expression) needsRequest() bool { return e != nil && e.ofMethods != nil }

// judge evaluates the expression. Every error is a missing attribute.
func (e *expression) judge(f *facts) (truth, error) {
	result, err := e.eval(f)
	if err != nil {
		return unknown, err
	}
	holds, ok := result.(types.Bool)
	if !ok {
		return unknown, errNotBool
	}
	return truthOf(bool(holds)), nil
}

func (e *expression) eval(f *facts) (ref.Val, error) {
	if !e.needsRequest() {
		return e.program.Eval(f.variables())
	}
	if !f.request() {
		return nil, errNoRequest
	}
	p := e.programOf(f.call.Method())
	if p.err != nil {
		return nil, p.err
	}
	result, _, err := p.Eval(f.variables())
	return result, err
}

// programOf returns the program for the request of a method.
func (e *expression) programOf(m *hauberk.Method) *methodProgram {
	if p, ok := e.ofMethods.Get(m); ok {
		return p
	}
	p := methodProgram{err: errNoRequest}
	if d := m.Descriptor(); d != nil {
		if p.Program, p.err = compileFor(e.language, e.text, d.Input()); p.err != nil {
			p.err = fmt.Errorf("it does not fit the requests of the method: %w", p.err)
		}
	}
	return e.ofMethods.Keep(m, &p)
}

// expressions compiles the expressions of a policy.
type expressions struct {
	language *callcel.Language
	env      *cel.Env // of expressions without a request
	untyped  *cel.Env // with a request of any type
	err      error    // why there is no environment
	compiled map[string]*expression
	requests map[string]*expression
}

func newExpressions(maxCost uint64) *expressions {
	c := &expressions{
		language: languageOf(maxCost), compiled: make(map[string]*expression), requests: make(map[string]*expression),
	}
	var err error
	c.env, c.err = c.language.Env(false, nil)
	c.untyped, err = c.language.Env(true, nil)
	c.err = errors.Join(c.err, err)
	return c
}

// compile compiles the expression of a rule for some methods.
func (c *expressions) compile(text string, request bool, methods pattern.Set) (*expression, error) {
	if c.err != nil {
		return nil, c.err
	}
	kept, env := c.compiled, c.env
	if request {
		kept, env = c.requests, c.untyped
	}
	e, ok := kept[text]
	if !ok {
		if len(c.compiled)+len(c.requests) >= MaxExpressions {
			return nil, fmt.Errorf("the policy has more than %d different expressions", MaxExpressions)
		}
		var err error
		if e, err = c.compileNew(env, text, request); err != nil {
			return nil, err
		}
		kept[text] = e
	}
	if request {
		if err := e.checkRequests(methods); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (c *expressions) compileNew(env *cel.Env, text string, request bool) (*expression, error) {
	ast, err := c.language.Check(env, text)
	if err != nil {
		return nil, err
	}
	used := callcel.Identifiers(ast)
	e := &expression{text: text, language: c.language, identity: used["identity"]}
	if !request {
		e.program, err = c.language.Program(env, ast, text)
		return e, err
	}
	if !used["request"] {
		return nil, errors.New("it does not use the request; want Request unset, so that no request is read")
	}
	e.ofMethods = new(methodtable.Cache[*hauberk.Method, *methodProgram])
	return e, nil
}

// checkRequests compiles the expression with the types of the requests of the methods and services
// that the patterns name and that the program knows. It must fit the request of a method, and of a
// service the request of one method at least.
func (e *expression) checkRequests(methods pattern.Set) error {
	for _, p := range methods {
		if p.Service == "" {
			continue
		}
		d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(p.Service))
		service, ok := d.(protoreflect.ServiceDescriptor)
		if !ok {
			continue
		}
		if err := e.checkService(service, p.Name); err != nil {
			return fmt.Errorf("for the requests of %s: %w", p, err)
		}
	}
	return nil
}

// checkService compiles the expression for a method of a service, or for its methods until one fits
// if name is empty. It returns the first error.
func (e *expression) checkService(service protoreflect.ServiceDescriptor, name string) error {
	methods := service.Methods()
	seen := make(map[protoreflect.MessageDescriptor]bool)
	var first error
	for i := range methods.Len() {
		m := methods.Get(i)
		if name != "" && name != string(m.Name()) || seen[m.Input()] {
			continue
		}
		seen[m.Input()] = true
		_, err := compileFor(e.language, e.text, m.Input())
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

// compileFor compiles an expression for a type of request.
func compileFor(
	l *callcel.Language, text string, request protoreflect.MessageDescriptor,
) (cel.Program, error) {
	env, err := l.Env(true, request)
	if err != nil {
		return nil, err
	}
	ast, err := l.Check(env, text)
	if err != nil {
		return nil, err
	}
	return l.Counting(env, ast)
}

// languageOf returns the language of [Rule.When].
func languageOf(maxCost uint64) *callcel.Language {
	return &callcel.Language{
		MaxLength: MaxExpression, MaxCost: maxCost, Result: wantBool,
		Hint:     hint,
		OneValue: "it judges one value of a metadata key; want all or exists, which judge every value",
	}
}

// hint returns what to do about an error of the compiler.
func hint(message string) string {
	if callcel.OfRequest(message) {
		return "set Rule.Request to use the request"
	}
	return ""
}

// wantBool returns an error for types other than bool.
func wantBool(t *cel.Type) error {
	switch {
	case t.IsExactType(cel.DynType):
		return errors.New("it returns dyn; want bool: compare it, as in x == true")
	case !t.IsExactType(cel.BoolType):
		return fmt.Errorf("it returns %s; want bool", cel.FormatCELType(t))
	default:
		return nil
	}
}
