package authz

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// expression is a compiled [Rule.When]. Rules with the same text share one.
type expression struct {
	text     string
	identity bool        // it uses the variable identity
	program  cel.Program // nil if the type of the request decides on it
	maxCost  uint64

	// program does not count its cost. If that can exceed maxCost, counting is for calls that
	// are not small, and made when it is needed; else it is nil.
	uses     uses
	counting func() (cel.Program, error)

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
	program := e.program
	if e.needsRequest() {
		if !f.request() {
			return unknown, errNoRequest
		}
		p := e.programOf(f.call.Method())
		if p.err != nil {
			return unknown, p.err
		}
		program = p.Program
	} else if e.counting != nil && !f.variables().isSmall(e.uses) {
		var err error
		if program, err = e.counting(); err != nil {
			return unknown, err
		}
	}
	result, _, err := program.Eval(f.variables())
	if err != nil {
		return unknown, err
	}
	holds, ok := result.(types.Bool)
	if !ok {
		return unknown, errNotBool
	}
	return truthOf(bool(holds)), nil
}

// programOf returns the program for the request of a method.
func (e *expression) programOf(m *hauberk.Method) *methodProgram {
	if p, ok := e.ofMethods.Get(m); ok {
		return p
	}
	p := methodProgram{err: errNoRequest}
	if d := m.Descriptor(); d != nil {
		if p.Program, p.err = compileFor(e.text, d.Input(), e.maxCost); p.err != nil {
			p.err = fmt.Errorf("it does not fit the requests of the method: %w", p.err)
		}
	}
	return e.ofMethods.Keep(m, &p)
}

// expressions compiles the expressions of a policy.
type expressions struct {
	maxCost  uint64
	env      *cel.Env // of expressions without a request
	untyped  *cel.Env // with a request of any type
	err      error    // why there is no environment
	compiled map[string]*expression
	requests map[string]*expression
}

func newExpressions(maxCost uint64) *expressions {
	c := &expressions{
		maxCost: maxCost, compiled: make(map[string]*expression), requests: make(map[string]*expression),
	}
	var err error
	c.env, c.err = newEnv(false, nil)
	c.untyped, err = newEnv(true, nil)
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
	ast, err := checked(env, text, c.maxCost)
	if err != nil {
		return nil, err
	}
	used := identifiers(ast)
	e := &expression{text: text, maxCost: c.maxCost, identity: used["identity"]}
	if !request {
		if e.program, err = env.Program(ast, cel.EvalOptions(cel.OptOptimize)); canExceed(env, ast, c.maxCost) {
			e.uses = uses{identity: used["identity"], claims: used[".claims"], metadata: used["metadata"]}
			e.counting = sync.OnceValues(func() (cel.Program, error) {
				ast, err := checked(env, text, c.maxCost)
				if err != nil {
					return nil, err
				}
				return programFor(env, ast, c.maxCost)
			})
		}
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
		_, err := compileFor(e.text, m.Input(), e.maxCost)
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

// compileFor compiles an expression for a type of request.
func compileFor(text string, request protoreflect.MessageDescriptor, maxCost uint64) (cel.Program, error) {
	env, err := newEnv(true, request)
	if err != nil {
		return nil, err
	}
	ast, err := checked(env, text, maxCost)
	if err != nil {
		return nil, err
	}
	return programFor(env, ast, maxCost)
}

// programFor returns the program of an expression. Its cost is counted, which triples its
// time (BenchmarkAdmit), unless the expression cannot cost more than maxCost for a call of any
// size.
func programFor(env *cel.Env, ast *cel.Ast, maxCost uint64) (cel.Program, error) {
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if canExceed(env, ast, maxCost) {
		opts = append(opts, cel.CostLimit(maxCost))
	}
	return env.Program(ast, opts...)
}

// canExceed reports whether an expression can cost more than maxCost for a call of any size.
func canExceed(env *cel.Env, ast *cel.Ast, maxCost uint64) bool {
	cost, err := env.EstimateCost(ast, anySizes{})
	return err != nil || cost.Max > maxCost
}

// checked parses an expression and checks its types, its cost and its use of what is easily
// misused.
func checked(env *cel.Env, text string, maxCost uint64) (*cel.Ast, error) {
	if len(text) > MaxExpression {
		return nil, fmt.Errorf("it has %d bytes; want at most %d", len(text), MaxExpression)
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, errors.New(oneLine(issues))
	}
	switch t := ast.OutputType(); {
	case t.IsExactType(cel.DynType):
		return nil, errors.New("it returns dyn; want bool: compare it, as in x == true")
	case !t.IsExactType(cel.BoolType):
		return nil, fmt.Errorf("it returns %s; want bool", cel.FormatCELType(t))
	}
	if err := errors.Join(checkUse(ast), checkKeys(ast)); err != nil {
		return nil, err
	}
	cost, err := env.EstimateCost(ast, sizes{})
	if err != nil {
		return nil, err
	}
	if cost.Max > maxCost {
		return nil, fmt.Errorf("it can cost %s; want at most %d", costText(cost.Max), maxCost)
	}
	return ast, nil
}

// oneLine returns the errors of an expression with their places, without its text.
func oneLine(issues *cel.Issues) string {
	var parts []string
	for _, e := range issues.Errors() {
		if len(parts) == 3 {
			break
		}
		message := e.Message
		if strings.HasPrefix(message, "undeclared reference to 'request'") {
			message += "; set Rule.Request to use the request"
		}
		parts = append(parts, fmt.Sprintf("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, message))
	}
	return strings.Join(parts, "; ")
}
