package callcel

import (
	"errors"
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/hauberk-rpc/hauberk"
)

// identityType is the type of the variable identity.
var identityType = cel.ObjectType("hauberk.Identity") //nolint:gochecknoglobals // never written

// claimsType is the type of the variable claims and of identity.claims.
var claimsType = cel.MapType(cel.StringType, cel.DynType) //nolint:gochecknoglobals // never written

// identityValue is the value of the variable identity. nil has no field.
type identityValue struct{ id *hauberk.Identity }

// identityField is a field of the variable identity. A field without a value is not set: has
// returns false, and its selection is an error.
type identityField struct {
	of  *cel.Type
	get func(id *hauberk.Identity) (value any, set bool)
}

// identityFields are the fields by name.
var identityFields = map[string]identityField{ //nolint:gochecknoglobals // never written
	"subject": {cel.StringType, func(id *hauberk.Identity) (any, bool) { return types.String(id.Subject), true }},
	"issuer":  {cel.StringType, optional(func(id *hauberk.Identity) string { return id.Issuer })},
	"tenant":  {cel.StringType, optional(func(id *hauberk.Identity) string { return id.Tenant })},
	"method":  {cel.StringType, optional(func(id *hauberk.Identity) string { return id.Method })},
	"scopes":  {cel.ListType(cel.StringType), func(id *hauberk.Identity) (any, bool) { return id.Scopes, true }},
	"roles":   {cel.ListType(cel.StringType), func(id *hauberk.Identity) (any, bool) { return id.Roles, true }},
	claimsName: {claimsType, func(id *hauberk.Identity) (any, bool) {
		return id.Claims, id.Claims != nil
	}},
}

// optional returns a field that is not set if it is empty. A types.String is allocated once; CEL would make
// another one of a string.
func optional(of func(id *hauberk.Identity) string) func(id *hauberk.Identity) (value any, set bool) {
	return func(id *hauberk.Identity) (any, bool) {
		text := of(id)
		return types.String(text), text != ""
	}
}

// fieldType returns the description of a field for CEL.
func (f identityField) fieldType(name string) *types.FieldType {
	return &types.FieldType{
		Type: f.of,
		IsSet: func(target any) bool {
			id, _ := target.(*hauberk.Identity)
			if id == nil {
				return false
			}
			_, set := f.get(id)
			return set
		},
		GetFrom: func(target any) (any, error) {
			id, _ := target.(*hauberk.Identity)
			if id == nil {
				return nil, errors.New("the call has no identity")
			}
			value, set := f.get(id)
			if !set {
				return nil, fmt.Errorf("the identity has no %s", name)
			}
			return value, nil
		},
	}
}

// provider adds the type of the variable identity to the types of CEL and of messages.
type provider struct {
	*types.Registry

	fields map[string]*types.FieldType
}

func newProvider(messages *types.Registry) *provider {
	p := &provider{messages, make(map[string]*types.FieldType, len(identityFields))}
	for name, f := range identityFields {
		p.fields[name] = f.fieldType(name)
	}
	return p
}

// FindStructType returns the type with a name.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if name == identityType.TypeName() {
		return types.NewTypeTypeWithParam(identityType), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames returns the names of the fields of a type.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if name != identityType.TypeName() {
		return p.Registry.FindStructFieldNames(name)
	}
	var names []string
	for field := range p.fields {
		names = append(names, field)
	}
	return names, true
}

// FindStructFieldType returns a field of a type.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name != identityType.TypeName() {
		return p.Registry.FindStructFieldType(name, field)
	}
	f, ok := p.fields[field]
	return f, ok
}

// ConvertToNative fails: an identity has no other form.
func (identityValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an identity cannot be converted to %v", t)
}

// ConvertToType converts to the type of identities and to its name.
func (v identityValue) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case identityType:
		return v
	case types.TypeType:
		return identityType
	default:
		return types.NewErr("an identity cannot be converted to %s", t.TypeName())
	}
}

// Equal compares by pointer.
func (v identityValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(identityValue)
	return types.Bool(ok && o.id == v.id)
}

// Type returns identityType.
func (identityValue) Type() ref.Type { return identityType }

// Value returns the identity, for the fields.
func (v identityValue) Value() any { return v.id }
