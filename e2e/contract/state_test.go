package contract_test

import (
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// variable is a piece of per-call state that scenarios name.
type variable struct {
	name string
	get  func(call *hauberk.Call) (string, bool)
	set  func(call *hauberk.Call, value string)
}

// variables are those that a run knows: what the product's interceptors keep, and
// what set_state makes.
type variables struct {
	mu  sync.Mutex
	all []variable
}

func newVariables() *variables {
	return &variables{all: []variable{textVariable("request_id", requestid.Key), userVariable()}}
}

func textVariable(name string, key hauberk.Key[string]) variable {
	return variable{name, key.Get, key.Set}
}

// named returns a variable, a new one if there is none.
func (v *variables) named(name string) variable {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, one := range v.all {
		if one.name == name {
			return one
		}
	}
	made := textVariable(name, hauberk.NewKey[string](name))
	v.all = append(v.all, made)
	return made
}

// of returns the state of a call.
func (v *variables) of(call *hauberk.Call) map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	state := map[string]string{}
	for _, one := range v.all {
		if value, ok := one.get(call); ok {
			state[one.name] = value
		}
	}
	return state
}

// userVariable is the user of a call, as authn says it, or set_state.
func userVariable() variable { return textVariable("user_id", authn.User) }
