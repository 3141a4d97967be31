package callcel

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// maxKey is the greatest length of a metadata key in bytes.
const maxKey = 4 << 10

// keyUse checks how an expression uses metadata keys. Keys are in lower case, so that one in
// another case is in no call, and a rule of Deny with it denies nothing.
type keyUse struct {
	ast  *celast.AST
	errs []error
}

// checkKeys reports keys that no call has, and keys that are not literals.
func checkKeys(ast *cel.Ast) error {
	u := keyUse{ast: ast.NativeRep()}
	celast.PreOrderVisit(celast.NavigateAST(u.ast), celast.NewExprVisitor(u.visit))
	return errors.Join(u.errs...)
}

func (u *keyUse) visit(e celast.Expr) {
	switch at, _ := e.(celast.NavigableExpr); e.Kind() {
	case celast.SelectKind:
		if s := e.AsSelect(); u.isMetadata(s.Operand()) {
			u.note(checkLiteralKey(s.FieldName()))
		}
	case celast.CallKind:
		u.call(at, e.AsCall())
	default:
	}
}

func (u *keyUse) note(err error) {
	if err != nil {
		u.errs = append(u.errs, err)
	}
}

// isMetadata reports whether a part of an expression is the variable metadata, whose type nothing
// else has.
func (u *keyUse) isMetadata(e celast.Expr) bool {
	return u.ast.GetType(e.ID()).IsExactType(metadataType)
}

func (u *keyUse) call(at celast.NavigableExpr, call celast.CallExpr) {
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]celast.Expr{call.Target()}, args...)
	}
	if len(args) != 2 {
		return
	}
	name := call.FunctionName()
	switch {
	case name == operators.Index && u.isMetadata(args[0]):
		u.key(at, args[1])
	case name == operators.In && u.isMetadata(args[1]):
		u.key(at, args[0])
	case u.isKey(at, args[0]):
		u.compared(name, args[1])
	case u.isKey(at, args[1]):
		u.compared(name, args[0])
	}
}

// key checks a key that is looked up.
func (u *keyUse) key(at celast.NavigableExpr, key celast.Expr) {
	if text, ok := literal(key); ok {
		u.note(checkLiteralKey(text))
		return
	}
	of := rangeOf(at, key)
	switch {
	case of != nil && u.isMetadata(of):
	case of != nil && of.Kind() == celast.ListKind && slices.ContainsFunc(of.AsList().Elements(), isLiteral):
		for _, element := range of.AsList().Elements() {
			u.key(at, element)
		}
	default:
		u.note(errors.New(`it looks up a metadata key that is not a literal; want a literal in lower case`))
	}
}

func isLiteral(e celast.Expr) bool { return e.Kind() == celast.LiteralKind }

// isKey reports whether a part of an expression is a variable that runs over the keys of metadata.
func (u *keyUse) isKey(at celast.NavigableExpr, e celast.Expr) bool {
	of := rangeOf(at, e)
	return of != nil && u.isMetadata(of)
}

// compared checks what a key is compared with.
func (u *keyUse) compared(function string, with celast.Expr) {
	if with.Kind() == celast.ListKind {
		for _, element := range with.AsList().Elements() {
			u.compared(function, element)
		}
		return
	}
	text, ok := literal(with)
	switch {
	case !ok:
	case function == "matches":
		if re, err := syntax.Parse(text, syntax.Perl); err == nil && hasUpper(re) {
			u.note(fmt.Errorf("it matches metadata keys with %q; want lower case", text))
		}
	case text != strings.ToLower(text):
		u.note(fmt.Errorf("it compares metadata keys with %q; want %q", text, strings.ToLower(text)))
	}
}

// hasUpper reports whether a regular expression has a text that is not in lower case.
func hasUpper(re *syntax.Regexp) bool {
	text := string(re.Rune)
	return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0 && text != strings.ToLower(text) ||
		slices.ContainsFunc(re.Sub, hasUpper)
}

// rangeOf returns what a variable of a macro runs over, at a place in the expression, or nil.
func rangeOf(at celast.NavigableExpr, variable celast.Expr) celast.Expr {
	if variable.Kind() != celast.IdentKind {
		return nil
	}
	for inner := at; ; {
		outer, ok := inner.Parent()
		if !ok {
			return nil
		}
		if outer.Kind() == celast.ComprehensionKind {
			c := outer.AsComprehension()
			if c.IterVar() == variable.AsIdent() && inner.ID() != c.IterRange().ID() {
				return c.IterRange()
			}
		}
		inner = outer
	}
}

// checkLiteralKey reports a key that no call has.
func checkLiteralKey(key string) error {
	if lower := strings.ToLower(key); key != lower {
		return fmt.Errorf("it uses the metadata key %.100q, which no call has; want %.100q", key, lower)
	}
	if err := CheckKey(key); err != nil {
		return fmt.Errorf("it uses the metadata key %.100q, %w", key, err)
	}
	return nil
}

// MetadataKeys returns the keys that an expression uses metadata by, if it uses it by literal keys only;
// else all is true.
func MetadataKeys(ast *cel.Ast) (keys []string, all bool) {
	u := keyUse{ast: ast.NativeRep()}
	celast.PreOrderVisit(celast.NavigateAST(u.ast), celast.NewExprVisitor(func(e celast.Expr) {
		if !u.isMetadata(e) {
			return
		}
		at, _ := e.(celast.NavigableExpr)
		if key, ok := literalKeyOf(at); ok {
			keys = append(keys, key)
		} else {
			all = true
		}
	}))
	slices.Sort(keys)
	return slices.Compact(keys), all
}

// literalKeyOf returns the literal key by which metadata, at a place in an expression, is used.
func literalKeyOf(metadata celast.NavigableExpr) (key string, ok bool) {
	outer, ok := metadata.Parent()
	if !ok {
		return "", false
	}
	switch outer.Kind() {
	case celast.SelectKind:
		return outer.AsSelect().FieldName(), true
	case celast.CallKind:
		call := outer.AsCall()
		args := call.Args()
		switch {
		case call.FunctionName() == operators.Index && args[0].ID() == metadata.ID():
			return literal(args[1])
		case call.FunctionName() == operators.In && args[1].ID() == metadata.ID():
			return literal(args[0])
		}
	default:
	}
	return "", false
}

// metadataType is the type of the variable metadata.
var metadataType = types.NewMapType( //nolint:gochecknoglobals // never written
	types.StringType, types.NewListType(types.StringType))

// CheckKey returns an error for metadata keys that no request has, or that do not reach interceptors
// as they were sent. What depends on such a key is the same for all calls.
func CheckKey(key string) error {
	switch {
	case key == ":authority" || key == "user-agent" || key == "content-type":
		return nil
	case !metadatakey.Legal(key) || len(key) > maxKey:
		return errors.New(`which is not a metadata key; want letters, digits, "-", "_" and "."`)
	case metadatakey.Reserved(key):
		return errors.New("which belongs to the protocol or to one connection")
	default:
		return nil
	}
}
