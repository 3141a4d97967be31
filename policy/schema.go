package policy

import (
	_ "embed"
	"slices"
)

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema of policy files, draft 2020-12. docs/policy.md says how editors use it.
func Schema() []byte { return slices.Clone(schema) }
