// Package codename names status codes as gRPC's documentation spells them.
package codename

import (
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"
)

//nolint:gochecknoglobals // never written
var names = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// Count is the number of codes that gRPC defines.
const Count = len(names)

// Known reports whether gRPC defines a code.
func Known(code codes.Code) bool { return int(code) < len(names) }

// Of returns the name of a code: "NOT_FOUND", or "CODE(99)" for one that gRPC does not define.
func Of(code codes.Code) string {
	if Known(code) {
		return names[code]
	}
	return "CODE(" + strconv.FormatUint(uint64(code), 10) + ")"
}

// Parse returns the code with a name that Of returns.
func Parse(name string) (code codes.Code, ok bool) {
	if i := slices.Index(names[:], name); i >= 0 {
		return codes.Code(i), true
	}
	if len(name) < len("CODE()") || name[:5] != "CODE(" || name[len(name)-1] != ')' {
		return 0, false
	}
	n, err := strconv.ParseUint(name[5:len(name)-1], 10, 32)
	code = codes.Code(n)
	return code, err == nil && Of(code) == name
}
