package callcel

import (
	"math"
	"slices"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
)

// claimsName is the name of the variable with the claims, and of the field of identity.
const claimsName = "claims"

// Needs is what an expression reads of a call. It is never too little.
type Needs struct {
	Identity, Address, Request bool
	// Metadata and Claims are the keys that are read, and AllMetadata and AllClaims report that any key may be.
	Metadata, Claims       []string
	AllMetadata, AllClaims bool
}

// NeedsOf returns what an expression reads. An expression that does not compile needs everything.
func NeedsOf(text string) Needs {
	everything := Needs{Identity: true, Address: true, Request: true, AllMetadata: true, AllClaims: true}
	l := Language{
		MaxLength: len(text), MaxCost: math.MaxUint64, OneValue: "one value",
		Result: func(*cel.Type) error { return nil }, Hint: func(string) string { return "" },
	}
	env, err := l.Env(true, nil)
	if err != nil {
		return everything
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return everything
	}
	var n Needs
	n.Metadata, n.AllMetadata = MetadataKeys(ast)
	celast.PreOrderVisit(celast.NavigateAST(ast.NativeRep()), celast.NewExprVisitor(n.visit))
	slices.Sort(n.Claims)
	n.Claims = slices.Compact(n.Claims)
	return n
}

// visit notes a variable. One of a macro with the same name counts, too.
func (n *Needs) visit(e celast.Expr) {
	at, ok := e.(celast.NavigableExpr)
	if !ok || e.Kind() != celast.IdentKind {
		return
	}
	switch e.AsIdent() {
	case "identity":
		n.Identity = true
		outer, ok := at.Parent()
		switch {
		case !ok || outer.Kind() != celast.SelectKind:
			n.AllClaims = true
		case outer.AsSelect().FieldName() == claimsName:
			n.claim(outer)
		}
	case claimsName:
		n.Identity = true
		n.claim(at)
	case "client_addr":
		n.Address = true
	case "request":
		n.Request = true
	}
}

// claim notes the key by which the claims, at a place, are used.
func (n *Needs) claim(at celast.NavigableExpr) {
	if key, ok := literalKeyOf(at); ok {
		n.Claims = append(n.Claims, key)
	} else {
		n.AllClaims = true
	}
}
