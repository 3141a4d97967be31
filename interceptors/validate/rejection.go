package validate

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
)

// Sentinels that errors.Is finds in rejections, in this process.
var (
	// ErrInvalid is found if a message is not valid.
	ErrInvalid = errors.New("validate: the message is not valid")
	// ErrRules is found if the rules of a message could not be compiled or evaluated.
	ErrRules = errors.New("validate: the rules of the message cannot be used")
	// ErrNotProtobuf is found if a message is not one of protobuf, with Config.Strict.
	ErrNotProtobuf = errors.New("validate: the message is not one of protobuf")
)

// Reasons of rejections ([hauberk.Reason]), on both sides.
const (
	ReasonInvalidRequest  = "INVALID_REQUEST"
	ReasonInvalidResponse = "INVALID_RESPONSE"
	ReasonNotCompiled     = "RULES_NOT_COMPILED"
	ReasonNotEvaluated    = "RULES_NOT_EVALUATED"
	ReasonNotProtobuf     = "NOT_PROTOBUF"
)

// maxText bounds one text, in bytes.
const maxText = 256

// unvalidated is the message of rejections that are the fault of this side.
const unvalidated = "The message could not be validated"

func reject(code codes.Code, reason, message string, c *cause) *hauberk.Rejection {
	r := hauberk.Reject(code, reason, message)
	r.Cause = c
	return r
}

// rejection returns the rejection of a message for the error of the compiler or the validator.
func (x *Interceptor) rejection(msg proto.Message, err error, side hauberk.Side, request bool) *hauberk.Rejection {
	of := string(msg.ProtoReflect().Descriptor().FullName()) + ": "
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		reason := ReasonNotEvaluated
		if _, ok := errors.AsType[*protovalidate.CompilationError](err); ok {
			reason = ReasonNotCompiled
		}
		return reject(codes.Internal, reason, unvalidated, &cause{ErrRules, err, of + err.Error(), x, side})
	}
	fields := violations(invalid, x.config.MaxViolations)
	text := summary(fields, len(invalid.Violations))
	why := &cause{ErrInvalid, invalid, of + listed(fields, len(invalid.Violations)), x, side}
	if !request {
		return reject(codes.Internal, ReasonInvalidResponse, "Invalid response", why)
	}
	r := reject(codes.InvalidArgument, ReasonInvalidRequest, "Invalid request: "+text, why)
	r.FieldViolations = fields
	return r
}

// violations returns the violations of a message for a rejection, which leaves out what a status
// has no room for.
func violations(invalid *protovalidate.ValidationError, most int) []hauberk.FieldViolation {
	all := invalid.Violations
	if len(all) > most {
		all = all[:most]
	}
	fields := make([]hauberk.FieldViolation, 0, len(all))
	for _, v := range all {
		fields = append(fields, hauberk.FieldViolation{
			Field:       shorten(protovalidate.FieldPathString(v.Proto.GetField())),
			Description: description(v.Proto.GetMessage(), v.Proto.GetRuleId()),
		})
	}
	return fields
}

// description returns the message and the id of a rule.
func description(message, rule string) string {
	rule = "[" + shorten(rule) + "]"
	if message == "" {
		return rule
	}
	return shorten(message) + " " + rule
}

// shorten cuts long texts at the end of a rune.
func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// summary describes violations in one line.
func summary(fields []hauberk.FieldViolation, count int) string {
	if len(fields) == 0 {
		return "unknown violation"
	}
	var b strings.Builder
	if field := fields[0].Field; field != "" {
		b.WriteString(field + ": ")
	}
	b.WriteString(fields[0].Description)
	if count > 1 {
		fmt.Fprintf(&b, " (and %d more)", count-1)
	}
	return b.String()
}

// maxListed bounds the text of violations for logs, in bytes.
const maxListed = 400

// listed describes violations in one line.
func listed(fields []hauberk.FieldViolation, count int) string {
	if len(fields) == 0 {
		return "unknown violation"
	}
	var b strings.Builder
	left := count
	for _, f := range fields {
		if b.Len() > maxListed {
			break
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(summary([]hauberk.FieldViolation{f}, 1))
		left--
	}
	if left > 0 {
		fmt.Fprintf(&b, " (and %d more)", left)
	}
	return b.String()
}

// cause is the cause of a rejection. Its text is bounded, unlike that of a ValidationError.
type cause struct {
	sentinel error
	err      error // of the compiler or the validator; may be nil
	text     string
	by       *Interceptor
	side     hauberk.Side
}

func (c *cause) Error() string { return c.sentinel.Error() + ": " + c.text }

// Unwrap returns the errors of which logs have the text. That of a ValidationError has many lines
// and is in the text of the cause.
func (c *cause) Unwrap() []error {
	_, invalid := c.err.(*protovalidate.ValidationError) //nolint:errorlint // c.err itself
	if c.err == nil || invalid {
		return []error{c.sentinel}
	}
	return []error{c.sentinel, c.err}
}

// As finds the ValidationError.
func (c *cause) As(target any) bool {
	invalid, ok := c.err.(*protovalidate.ValidationError) //nolint:errorlint // c.err itself
	to, wanted := target.(**protovalidate.ValidationError)
	if ok && wanted {
		*to = invalid
	}
	return ok && wanted
}

// compileError is what hauberk.New reports for rules that do not compile.
type compileError struct {
	method, message string
	err             error
}

func (e *compileError) Error() string {
	return fmt.Sprintf("the rules of %s (%s) do not compile: %v", e.message, e.method, e.err)
}

func (e *compileError) Unwrap() []error { return []error{ErrRules, e.err} }

// decisionOf returns the decision for a rejection. Its rule has the path and the id of the
// first violation.
func decisionOf(r *hauberk.Rejection) hauberk.Decision {
	d := hauberk.Decision{Verdict: hauberk.Rejected, Reason: r.Reason}
	if invalid, ok := errors.AsType[*protovalidate.ValidationError](r.Cause); ok && len(invalid.Violations) > 0 {
		v := invalid.Violations[0].Proto
		d.Rule = strings.TrimSpace(shorten(protovalidate.FieldPathString(v.GetField())) + " [" + v.GetRuleId() + "]")
	}
	return d
}
