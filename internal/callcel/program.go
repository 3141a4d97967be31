package callcel

import (
	"sync"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types/ref"
)

// Program is a compiled expression that does not use the request. It is safe for concurrent use.
type Program struct {
	program cel.Program

	// program does not count its cost. If that can exceed the limit, counting is for calls that
	// are not small, and made when it is needed; else it is nil.
	uses     uses
	counting func() (cel.Program, error)
}

// Program returns the program of an expression that Check has returned, with its text.
func (l *Language) Program(env *cel.Env, ast *cel.Ast, text string) (*Program, error) {
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	p := &Program{program: program}
	if l.canExceed(env, ast) {
		used := Identifiers(ast)
		p.uses = uses{identity: used["identity"], claims: used[".claims"], metadata: used["metadata"]}
		p.counting = sync.OnceValues(func() (cel.Program, error) {
			ast, err := l.Check(env, text)
			if err != nil {
				return nil, err
			}
			return l.Counting(env, ast)
		})
	}
	return p, nil
}

// Eval evaluates the expression for a call.
func (p *Program) Eval(v *Variables) (ref.Val, error) {
	program := p.program
	if p.counting != nil && !v.isSmall(p.uses) {
		var err error
		if program, err = p.counting(); err != nil {
			return nil, err
		}
	}
	result, _, err := program.Eval(v)
	return result, err
}

// Counting returns the program of an expression. Its cost is counted, which triples its
// time (BenchmarkAdmit of authz), unless the expression cannot cost more than MaxCost for a call of
// any size.
func (l *Language) Counting(env *cel.Env, ast *cel.Ast) (cel.Program, error) {
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if l.canExceed(env, ast) {
		opts = append(opts, cel.CostLimit(l.MaxCost))
	}
	return env.Program(ast, opts...)
}

// canExceed reports whether an expression can cost more than MaxCost for a call of any size.
func (l *Language) canExceed(env *cel.Env, ast *cel.Ast) bool {
	cost, err := env.EstimateCost(ast, anySizes{})
	return err != nil || cost.Max > l.MaxCost
}

// Identifiers returns the names of the variables that an expression uses, and those of fields with a
// dot in front. The variable claims is identity.claims.
func Identifiers(ast *cel.Ast) map[string]bool {
	names := make(map[string]bool)
	visit := celast.NewExprVisitor(func(e celast.Expr) {
		switch e.Kind() {
		case celast.IdentKind:
			names[e.AsIdent()] = true
		case celast.SelectKind:
			names["."+e.AsSelect().FieldName()] = true
		default:
		}
	})
	celast.PreOrderVisit(ast.NativeRep().Expr(), visit)
	if names["claims"] {
		names["identity"], names[".claims"] = true, true
	}
	return names
}
