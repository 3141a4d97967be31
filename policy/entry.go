package policy

import (
	"fmt"

	"github.com/hauberk-rpc/hauberk"
)

// Mode is what becomes of the decisions of an entry.
type Mode uint8

// The modes.
const (
	Enforce Mode = iota
	Shadow       // decides without enforcing: see hauberk.Shadow
	Off          // does not run
)

// String returns the name of the mode: "enforce".
func (m Mode) String() string {
	switch m {
	case Enforce:
		return "enforce"
	case Shadow:
		return "shadow"
	case Off:
		return "off"
	default:
		return fmt.Sprintf("Mode(%d)", uint8(m))
	}
}

// Entry is an entry of server or client in a file.
type Entry struct {
	// Side is the chain that the entry is in, and Use the name of the interceptor.
	Side hauberk.Side
	Use  string
	// ID is the id, or "".
	ID string
	// Line and Column are the place in the file, both 1 or more.
	Line, Column int
	// Mode is what becomes of its decisions.
	Mode Mode
	// Methods and Except are the patterns of methods that it runs for. nil is all and none.
	Methods, Except []string
	// Settings are the other keys, in the order of the file.
	Settings []Setting
	// Hash identifies the content of the entry, with mode and methods, in the file as it is written: the same
	// for equal entries in any file, in hexadecimal. The order of keys and the layout have no effect.
	Hash string
	// Interceptor is the instance, such as a *ratelimit.Interceptor, without what methods and mode put around it. It is
	// nil if the mode is Off.
	Interceptor hauberk.Interceptor
	// Kept reports whether the instance is that of the previous policy.
	Kept bool
}

// Setting is a key of an entry with its value as it is written.
type Setting struct {
	// Key is the key, with those of the maps around it: "jwt.issuer", "rules[2].when".
	Key string
	// Value is the text of the value. References such as ${env:NAME} are not replaced, and passwords and
	// values of headers are "(hidden)".
	Value string
	// Line is the place in the file.
	Line int
}

// String returns the setting: "jwt.issuer: https://issuer.example".
func (s Setting) String() string { return s.Key + ": " + s.Value }
