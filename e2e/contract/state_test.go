package contract_test

import (
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// variable is a state key that scenarios name.
type variable struct {
	name string
	get  func(call *hauberk.Call) (string, bool)
	set  func(call *hauberk.Call, value string)
}

// variables are the keys of a run: those of the library's interceptors, and those of set_state.
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

// named returns the variable of a name. It creates one if there is none.
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

// userVariable is the user of a call, which authn or set_state sets.
func userVariable() variable { return textVariable("user_id", authn.User) }
