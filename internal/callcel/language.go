// Package callcel compiles and evaluates expressions in CEL (cel.dev) over calls.
//
// Its users are interceptors/authz, whose expressions return a bool, and callexpr, whose expressions
// return keys and costs. Package authz documents the variables.
package callcel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits of the parser, which bound its stack and its time.
const (
	maxDepth   = 64  // of nested calls and lists
	maxRegexes = 500 // instructions of a regular expression
)

// Language is what expressions of one user may be. It is safe for concurrent use.
type Language struct {
	// MaxLength bounds the length of an expression in bytes.
	MaxLength int
	// MaxCost bounds the cost of one evaluation, in CEL's units.
	MaxCost uint64
	// Result returns an error for a type that an expression must not return.
	Result func(t *cel.Type) error
	// Hint returns what would be right in place of an error of the compiler, or "".
	Hint func(message string) string
	// OneValue is what to use in place of one value of a metadata key by its place.
	OneValue string
	// Functions are added to those of all languages.
	Functions []cel.EnvOption
}

// Env returns the environment of expressions. message is the type of the variable request;
// without it the variable is of any type, if the expression may use it.
func (l *Language) Env(request bool, message protoreflect.MessageDescriptor) (*cel.Env, error) {
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
		cel.ParserExpressionSizeLimit(l.MaxLength),
		cel.RegexProgramSizeLimit(maxRegexes),
		cel.DefaultUTCTimeZone(true),
		cel.Variable("method", cel.StringType),
		cel.Variable("service", cel.StringType),
		cel.Variable("identity", identityType),
		cel.Variable("claims", claimsType),
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
	}, l.Functions, opts)...)
}

// Check parses an expression and checks its types, its cost and its use of what is easily
// misused.
func (l *Language) Check(env *cel.Env, text string) (*cel.Ast, error) {
	if len(text) > l.MaxLength {
		return nil, fmt.Errorf("it has %d bytes; want at most %d", len(text), l.MaxLength)
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, errors.New(l.oneLine(issues))
	}
	if err := l.Result(ast.OutputType()); err != nil {
		return nil, err
	}
	if err := errors.Join(l.checkUse(ast), checkKeys(ast)); err != nil {
		return nil, err
	}
	cost, err := env.EstimateCost(ast, sizes{})
	if err != nil {
		return nil, err
	}
	if cost.Max > l.MaxCost {
		return nil, fmt.Errorf("it can cost %s; want at most %d", costText(cost.Max), l.MaxCost)
	}
	return ast, nil
}

// OfRequest reports whether an error of the compiler is that there is no variable request.
func OfRequest(message string) bool {
	return strings.HasPrefix(message, "undeclared reference to 'request'")
}

// oneLine returns the errors of an expression with their places, without its text.
func (l *Language) oneLine(issues *cel.Issues) string {
	var parts []string
	for _, e := range issues.Errors() {
		if len(parts) == 3 {
			break
		}
		message := e.Message
		if hint := l.Hint(message); hint != "" {
			message += "; " + hint
		}
		parts = append(parts, fmt.Sprintf("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, message))
	}
	return strings.Join(parts, "; ")
}
