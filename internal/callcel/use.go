package callcel

import (
	"errors"
	"fmt"
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// checkUse reports calls that are well-typed and whose meaning is easily mistaken.
func (l *Language) checkUse(ast *cel.Ast) error {
	var errs []error
	celast.PreOrderVisit(ast.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind {
			return
		}
		call := e.AsCall()
		args := call.Args()
		if call.IsMemberFunction() {
			args = append([]celast.Expr{call.Target()}, args...)
		}
		if len(args) != 2 {
			return
		}
		switch call.FunctionName() {
		case "matches":
			errs = append(errs, checkRegex(args[1]))
		case "in_cidr":
			errs = append(errs, checkCIDR(args[1]))
		case operators.Index:
			errs = append(errs, l.checkIndex(args[0]))
		}
	}))
	return errors.Join(errs...)
}

// checkRegex accepts regular expressions that match whole values.
func checkRegex(e celast.Expr) error {
	text, ok := literal(e)
	if !ok {
		return errors.New(`matches has a pattern that is not a literal; want a literal such as "^(a|b)$"`)
	}
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return fmt.Errorf("matches has a bad pattern: %w", err)
	}
	if n := len(re.Sub); re.Op != syntax.OpConcat || n < 2 ||
		re.Sub[0].Op != syntax.OpBeginText || re.Sub[n-1].Op != syntax.OpEndText {
		return fmt.Errorf(`matches has the pattern %q, which can match a part of a value; want "^(…)$"`, text)
	}
	return nil
}

func checkCIDR(e celast.Expr) error {
	text, ok := literal(e)
	if !ok {
		return errors.New(`in_cidr has a network that is not a literal; want a literal such as "10.0.0.0/8"`)
	}
	_, err := ParseNetwork(text)
	return err
}

// checkIndex rejects metadata["key"][0]: a caller chooses which value comes first.
func (l *Language) checkIndex(of celast.Expr) error {
	var key celast.Expr
	switch {
	case of.Kind() == celast.SelectKind:
		key = of.AsSelect().Operand()
	case of.Kind() == celast.CallKind && of.AsCall().FunctionName() == operators.Index:
		key = of.AsCall().Args()[0]
	default:
		return nil
	}
	if key.Kind() == celast.IdentKind && key.AsIdent() == "metadata" {
		return errors.New(l.OneValue)
	}
	return nil
}

// literal returns the value of a string literal.
func literal(e celast.Expr) (string, bool) {
	if e.Kind() != celast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}
