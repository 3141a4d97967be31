package authz

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp/syntax"
	"slices"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits of the parser, which bound its stack and its time.
const (
	maxDepth   = 64  // of nested calls and lists
	maxRegexes = 500 // instructions of a regular expression
)

// newEnv returns the environment of expressions. message is the type of the variable request;
// without it the variable is of any type, if the expression may use it.
func newEnv(request bool, message protoreflect.MessageDescriptor) (*cel.Env, error) {
	messages, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	var opts []cel.EnvOption
	switch {
	case message != nil:
		if err := messages.RegisterDescriptor(message.ParentFile()); err != nil {
			return nil, err
		}
		opts = append(opts, cel.Variable("request", cel.ObjectType(string(message.FullName()))))
	case request:
		opts = append(opts, cel.Variable("request", cel.DynType))
	}
	return cel.NewEnv(slices.Concat([]cel.EnvOption{
		cel.CustomTypeAdapter(messages),
		cel.CustomTypeProvider(newProvider(messages)),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(4),
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.RegexProgramSizeLimit(maxRegexes),
		cel.DefaultUTCTimeZone(true),
		cel.Variable("method", cel.StringType),
		cel.Variable("service", cel.StringType),
		cel.Variable("identity", identityType),
		cel.Variable("metadata", metadataType),
		cel.Variable("client_addr", cel.StringType),
		cel.Variable("now", cel.TimestampType),
		cel.Function("in_cidr",
			cel.Overload("in_cidr_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
				cel.BinaryBinding(inCIDR)),
			cel.MemberOverload("string_in_cidr_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
				cel.BinaryBinding(inCIDR))),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals(),
			cel.ValidateHomogeneousAggregateLiterals(), cel.ValidateComprehensionNestingLimit(2),
		),
	}, opts)...)
}

// inCIDR implements the function in_cidr.
func inCIDR(addr, network ref.Val) ref.Val {
	a, ok := addr.(types.String)
	n, okNetwork := network.(types.String)
	if !ok || !okNetwork {
		return types.NewErr("in_cidr needs two strings")
	}
	parsed, err := netip.ParseAddr(string(a))
	if err != nil {
		return types.NewErr("in_cidr: the address is not one")
	}
	p, err := parseNetwork(string(n))
	if err != nil {
		return types.NewErr("in_cidr: the network is not one")
	}
	return types.Bool(p.Contains(parsed.Unmap().WithZone("")))
}

// identifiers returns the names of the variables that an expression uses, and those of fields with a
// dot in front.
func identifiers(ast *cel.Ast) map[string]bool {
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
	return names
}

// checkUse reports calls that are well-typed and whose meaning is easily mistaken.
func checkUse(ast *cel.Ast) error {
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
			errs = append(errs, checkIndex(args[0]))
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
	_, err := parseNetwork(text)
	return err
}

// checkIndex rejects metadata["key"][0]: a caller chooses which value comes first.
func checkIndex(of celast.Expr) error {
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
		return errors.New("it judges one value of a metadata key; want all or exists, which judge every value")
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

// sizes is what the estimate of costs assumes about the sizes of what a call brings.
type sizes struct{}

// EstimateSize returns the size of a variable or of a part of it.
func (sizes) EstimateSize(element cost.AstNode) *cost.SizeEstimate {
	if element.ComputedSize() != nil {
		return nil
	}
	size := cost.RangedSizeEstimate(0, maxText)
	switch element.Type().Kind() {
	case types.ListKind, types.MapKind:
		size = cost.RangedSizeEstimate(0, maxEntries)
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.TimestampKind, types.DurationKind:
		size = cost.FixedSizeEstimate(1)
	default:
	}
	return &size
}

// EstimateCallCost leaves the cost of functions to CEL.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// anySizes assumes nothing about sizes.
type anySizes struct{ sizes }

// EstimateSize returns nil, which is any size.
func (anySizes) EstimateSize(cost.AstNode) *cost.SizeEstimate { return nil }

func costText(c uint64) string {
	if c == math.MaxUint64 {
		return "any number of units"
	}
	return fmt.Sprintf("%d units", c)
}
